#include "volume/group_ownership.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strings.h"
#include "os/file.h"

namespace estiba::volume {

namespace {

constexpr int deepest = 1024;  // each level holds a descriptor

mode_t wanted_bits(bool directory, bool readonly) { return mode_t(readonly ? 0440 : 0660) | mode_t(directory ? S_ISGID | 0110 : 0); }

class Giver {
 public:
  Giver(gid_t gid, bool readonly) : gid_(gid), readonly_(readonly) {}

  // `fd` is O_PATH. Children first, so that a walk that was cut short is seen at the root.
  Result<void> give(int fd, int depth) {
    const struct stat info = TRY(os::fstat_file(fd));
    if (S_ISDIR(info.st_mode)) TRY(children(fd, depth));
    if (::fchownat(fd, "", uid_t(-1), gid_, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0) return fail_errno("change the group");
    if (S_ISLNK(info.st_mode)) return {};
    // By the descriptor's own name, which is no symlink of the volume. After the owner: chown(2) clears set-user-ID.
    return os::change_mode("/proc/self/fd/" + std::to_string(fd), (info.st_mode & 07777) | wanted_bits(S_ISDIR(info.st_mode), readonly_));
  }

 private:
  Result<void> children(int fd, int depth) {
    if (depth == 0) return fail(Code::invalid, "there are more than " + std::to_string(deepest) + " directories in each other");
    const os::Fd dir = TRY(os::open_at(fd, ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    for (const os::DirEntry& entry : TRY(os::list_dir(dir.get()))) {
      auto child = os::open_at(dir.get(), entry.name, O_PATH | O_NOFOLLOW);
      if (!child && child.error().code == Code::not_found) continue;  // another pod has it too
      if (!child) return std::unexpected(std::move(child.error()));
      TRY_AS(entry.name, give(child->get(), depth - 1));
    }
    return {};
  }

  const gid_t gid_;
  const bool readonly_;
};

}  // namespace

Result<bool> give_to_group(const std::string& root, gid_t gid, bool readonly, GroupChange change) {
  const std::string about = "give volume " + root + " to group " + std::to_string(gid);
  const os::Fd top = TRY_AS(about, os::open_file(root, O_PATH));
  const struct stat info = TRY_AS(about, os::fstat_file(top.get()));
  const mode_t wanted = wanted_bits(true, readonly);
  const bool fits = S_ISDIR(info.st_mode) && info.st_gid == gid && (info.st_mode & wanted) == wanted;
  if (change == GroupChange::on_root_mismatch && fits) return false;
  TRY_AS(about, Giver(gid, readonly).give(top.get(), deepest));
  return true;
}

}  // namespace estiba::volume
