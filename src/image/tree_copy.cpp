// Copying a layer's tree, and setting its times.
#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <climits>

#include "base/strings.h"
#include "image/tree_tar.h"

namespace estiba::image {
namespace {

/// A layer keeps its opaque marks; what else overlayfs notes (where a copy came from) is about one mount.
bool copied_attribute(std::string_view name) { return name == "trusted.overlay.opaque" || !name.starts_with("trusted.overlay."); }

Result<void> copy_attributes(int from, int to) {
  std::string list(XATTR_LIST_MAX, '\0');
  ssize_t length = ::flistxattr(from, list.data(), list.size());
  if (length < 0) return errno == ENOTSUP ? Result<void>() : fail_errno("listxattr");
  list.resize(size_t(length));
  for (std::string_view name : split(list, '\0')) {
    if (name.empty() || !copied_attribute(name)) continue;
    std::string key(name), value(XATTR_SIZE_MAX, '\0');
    ssize_t n = ::fgetxattr(from, key.c_str(), value.data(), value.size());
    if (n < 0 && errno == ENODATA) continue;
    if (n < 0) return fail_errno("getxattr " + key);
    if (::fsetxattr(to, key.c_str(), value.data(), size_t(n), 0) != 0 && errno != ENOTSUP) return fail_errno("setxattr " + key);
  }
  return {};
}

/// Only what has data, so that holes stay holes.
Result<void> copy_content(int from, int to, off_t size) {
  if (::ftruncate(to, size) != 0) return fail_errno("truncate");
  for (off_t at = 0; at < size;) {
    off_t data = ::lseek(from, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;
    if (data < 0) data = at;
    off_t hole = ::lseek(from, data, SEEK_HOLE);
    if (hole < 0 || hole > size) hole = size;
    for (off_t in = data, out = data; in < hole;) {
      ssize_t n = ::copy_file_range(from, &in, to, &out, size_t(hole - in), 0);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP) return fail_errno("copy");
      if (n < 0) {  // between two file systems
        char buffer[64 * 1024];
        n = ::pread(from, buffer, std::min<size_t>(sizeof buffer, size_t(hole - in)), in);
        if (n > 0 && ::pwrite(to, buffer, size_t(n), out) != n) return fail_errno("copy");
        if (n < 0) return fail_errno("copy");
        in += n;
        out += n;
      }
      if (n == 0) return {};  // it was cut meanwhile
    }
    at = hole;
  }
  return {};
}

class Copier {
 public:
  explicit Copier(int root) : root_(root) {}
  Result<void> children(int from, int to) {
    for (const auto& entry : TRY(os::list_dir(from))) TRY_AS(quoted(entry.name), one(from, to, entry.name));
    return {};
  }
  Result<void> finish_directory(int from, int to) {
    auto info = TRY(os::fstat_file(from));
    return finish(from, to, info);
  }

 private:
  static Result<void> finish(int from, int to, const struct stat& info) {
    TRY(copy_attributes(from, to));
    if (::fchown(to, info.st_uid, info.st_gid) != 0) return fail_errno("chown");
    if (::fchmod(to, info.st_mode & 07777) != 0) return fail_errno("chmod");
    timespec times[2] = {info.st_atim, info.st_mtim};
    if (::futimens(to, times) != 0) return fail_errno("utimens");
    // Capabilities go when the owner changes, so they come once more.
    return copy_attributes(from, to);
  }

  Result<void> one(int from, int to, const std::string& name) {
    struct stat info;
    if (::fstatat(from, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return errno == ENOENT ? Result<void>() : fail_errno("stat");
    if (S_ISDIR(info.st_mode)) return directory(from, to, name);
    if (info.st_nlink > 1) {
      auto it = links_.find({info.st_dev, info.st_ino});
      if (it != links_.end()) {
        if (::linkat(root_, it->second.c_str(), to, name.c_str(), 0) != 0) return fail_errno("link");
        return {};
      }
      links_.emplace(std::pair(info.st_dev, info.st_ino), path_ + name);
    }
    if (S_ISREG(info.st_mode)) return file(from, to, name);
    return special(from, to, name, info);
  }

  Result<void> directory(int from, int to, const std::string& name) {
    auto source = os::open_at(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!source) return source.error().sys == ENOENT ? Result<void>() : std::unexpected(source.error());
    if (::mkdirat(to, name.c_str(), 0700) != 0) return fail_errno("mkdir");
    Fd target = TRY(os::open_at(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    size_t outside = path_.size();
    path_ += name + "/";
    if (path_.size() > PATH_MAX) return fail(Code::too_large, "its path is too long");
    TRY(children(source->get(), target.get()));
    path_.resize(outside);
    return finish_directory(source->get(), target.get());
  }

  Result<void> file(int from, int to, const std::string& name) {
    auto source = os::open_at(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (!source) return source.error().sys == ENOENT ? Result<void>() : std::unexpected(source.error());
    auto info = TRY(os::fstat_file(source->get()));
    Fd target = TRY(os::open_at(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    TRY(copy_content(source->get(), target.get(), info.st_size));
    return finish(source->get(), target.get(), info);
  }

  Result<void> special(int from, int to, const std::string& name, const struct stat& info) {
    if (S_ISLNK(info.st_mode)) {
      char target[PATH_MAX];
      ssize_t n = ::readlinkat(from, name.c_str(), target, sizeof target - 1);
      if (n < 0) return fail_errno("readlink");
      target[n] = '\0';
      if (::symlinkat(target, to, name.c_str()) != 0) return fail_errno("symlink");
    } else {
      if (S_ISSOCK(info.st_mode)) return {};
      if (::mknodat(to, name.c_str(), info.st_mode & (S_IFMT | 07777), info.st_rdev) != 0) return fail_errno("mknod");
      if (::fchmodat(to, name.c_str(), info.st_mode & 07777, 0) != 0) return fail_errno("chmod");
    }
    if (::fchownat(to, name.c_str(), info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW) != 0) return fail_errno("chown");
    timespec times[2] = {info.st_atim, info.st_mtim};
    if (::utimensat(to, name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) return fail_errno("utimens");
    return {};
  }

  std::map<std::pair<dev_t, ino_t>, std::string> links_;
  std::string path_;
  int root_;  // of the copy
};

Result<void> clamp(int dir, const std::string& name, int64_t epoch) {
  struct stat info;
  if (::fstatat(dir, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return fail_errno("stat " + name);
  if (S_ISDIR(info.st_mode)) {
    Fd child = TRY(os::open_at(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    for (const auto& entry : TRY(os::list_dir(child.get()))) TRY(clamp(child.get(), entry.name, epoch));
  }
  // A whole second that is exactly the epoch may still have a fraction.
  if (info.st_mtim.tv_sec < epoch || (info.st_mtim.tv_sec == epoch && info.st_mtim.tv_nsec == 0)) return {};
  timespec times[2] = {{0, UTIME_OMIT}, {epoch, 0}};
  if (::utimensat(dir, name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) return fail_errno("utimens " + name);
  return {};
}

}  // namespace

Result<void> clamp_times(const std::string& tree, int64_t epoch) { return clamp(AT_FDCWD, tree, epoch); }

Result<void> copy_tree(const std::string& from, const std::string& to) {
  Fd source = TRY(os::open_file(from, O_RDONLY | O_DIRECTORY));
  if (::mkdir(to.c_str(), 0700) != 0) return fail_errno("mkdir " + to);
  Fd target = TRY(os::open_file(to, O_RDONLY | O_DIRECTORY));
  Copier copier(target.get());
  TRY_AS("copy " + from, copier.children(source.get(), target.get()));
  return copier.finish_directory(source.get(), target.get());
}

}  // namespace estiba::image
