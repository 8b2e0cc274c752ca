#include "os/resolve.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "base/strings.h"
#include "os/file.h"
#include "os/syscall.h"

namespace estiba::os {

namespace {

constexpr const char* slash = "/";  // after the last name
constexpr int max_links = 40;       // MAXSYMLINKS
constexpr ino_t proc_root = 1;      // PROC_ROOT_INO
constexpr auto no_links = 0x2000;   // ST_NOSYMFOLLOW, linux/statfs.h

// fs.protected_symlinks (proc_sys_fs(5)): the kernel heeds it when it follows a link; here nobody else would.
bool links_are_protected() {
  static const bool on = [] {
    auto text = read_file("/proc/sys/fs/protected_symlinks");
    return !text || trim(*text) != "0";
  }();
  return on;
}

class Walk {
 public:
  Walk(int root, std::string_view path, Resolve how) : root_(root), path_(path), how_(how) {}

  Result<Fd> open(int flags, mode_t mode) {
    if (path_.size() >= PATH_MAX) return error(ENAMETOOLONG);
    TRY(take(path_.empty() ? "." : path_));
    while (!rest_.empty()) {
      const std::string name = std::move(rest_.back());
      rest_.pop_back();
      if (name == "." || name == slash) continue;
      if (name == "..") {
        TRY(up());
      } else if (!rest_.empty()) {
        if (rest_[0] == slash && rest_.size() == 1 && flags & O_CREAT) return error(EISDIR);
        TRY(down(name));
      } else if (Fd fd = TRY(last(name, flags, mode))) {
        return fd;
      }
    }
    Fd fd(openat(here(), ".", flags | O_CLOEXEC, mode));
    if (!fd) return error(errno);
    return fd;
  }

 private:
  int here() const { return above_.empty() ? root_ : above_.back().get(); }
  std::unexpected<Error> error(int number) const { return fail_errno("open " + path_, number); }

  // Puts the names of `text` before those that are still to come.
  Result<void> take(std::string_view text) {
    if (text.empty()) return error(ENOENT);
    if (text.starts_with('/')) {
      if (how_ == Resolve::beneath) return error(EXDEV);
      above_.clear();
    }
    // With a slash at its end the last name means a directory, however it is reached.
    if (text.ends_with('/')) rest_.emplace_back(slash);
    const auto names = split(text, '/');
    for (auto it = names.rbegin(); it != names.rend(); ++it)
      if (!it->empty()) rest_.emplace_back(*it);
    return {};
  }

  Result<void> up() {
    if (!above_.empty()) above_.pop_back();
    else if (how_ == Resolve::beneath) return error(EXDEV);
    return {};
  }

  Result<void> down(const std::string& name) {
    Fd fd(openat(here(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) return error(errno);
    const struct stat info = TRY(fstat_file(fd.get()));
    if (S_ISLNK(info.st_mode)) return follow(fd, info);
    if (!S_ISDIR(info.st_mode)) return error(ENOTDIR);
    above_.push_back(std::move(fd));
    return {};
  }

  // The last name; nothing when that was a link, whose own names are to be walked then.
  Result<Fd> last(const std::string& name, int flags, mode_t mode) {
    for (int tries = 0; tries < 32; tries++) {
      Fd fd(retry_interrupted([&] { return openat(here(), name.c_str(), flags | O_NOFOLLOW | O_CLOEXEC, mode); }));
      const int err = errno;
      // ELOOP, and ENOTDIR where a directory is wanted, are what links are answered with.
      const bool may_be_link = fd ? (flags & O_PATH) != 0 : err == ELOOP || err == ENOTDIR;
      if (may_be_link && !(flags & O_NOFOLLOW)) {
        Fd link = fd ? std::move(fd) : Fd(openat(here(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
        if (!link) return error(errno);
        const struct stat info = TRY(fstat_file(link.get()));
        if (S_ISLNK(info.st_mode)) {
          TRY(follow(link, info));
          return Fd();
        }
        if (flags & O_PATH && (!(flags & O_DIRECTORY) || S_ISDIR(info.st_mode))) return link;
        if (err == ELOOP) continue;  // it was a link a moment ago
        return error(ENOTDIR);
      }
      if (!fd) return error(err);
      return fd;
    }
    return error(EAGAIN);
  }

  Result<void> follow(const Fd& link, const struct stat& info) {
    if (how_ == Resolve::beneath || ++links_ > max_links) return error(ELOOP);
    struct statfs file_system;
    struct stat directory;
    if (fstatfs(link.get(), &file_system) < 0 || fstat(here(), &directory) < 0) return error(errno);
    // Magic links lead to objects, not along their text; all of procfs are below its top.
    if (file_system.f_type == PROC_SUPER_MAGIC && directory.st_ino != proc_root) return error(ELOOP);
    if (file_system.f_flags & no_links) return error(ELOOP);
    constexpr mode_t open_to_all = S_ISVTX | S_IWOTH;
    const bool trailing = rest_.empty() || (rest_.size() == 1 && rest_[0] == slash);  // others are not protected, may_follow_link()
    if (trailing && (directory.st_mode & open_to_all) == open_to_all && info.st_uid != geteuid() && info.st_uid != directory.st_uid &&
        links_are_protected())
      return error(EACCES);
    char text[4096];
    const ssize_t size = readlinkat(link.get(), "", text, sizeof text);
    if (size < 0) return error(errno);
    if (size_t(size) == sizeof text) return error(ENAMETOOLONG);
    return take({text, size_t(size)});
  }

  const int root_;
  const std::string path_;
  const Resolve how_;
  std::vector<Fd> above_;          // the directories from below the root down to where the walk is
  std::vector<std::string> rest_;  // names to come, last first
  int links_ = 0;
};

}  // namespace

Result<Fd> open_stepwise(int root, std::string_view path, int flags, mode_t mode, Resolve how) {
  return Walk(root, path, how).open(flags, mode);
}

}  // namespace estiba::os
