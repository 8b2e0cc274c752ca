#include "volume/directory.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/strings.h"
#include "os/file.h"
#include "os/mount.h"

namespace estiba::volume {

static Result<void> open_to_all(const std::string& path, std::optional<gid_t> gid) {
  if (gid) TRY(os::change_owner(path, uid_t(-1), *gid));
  return os::change_mode(path, gid ? 02777 : 0777);
}

Result<void> make_empty_dir(const std::string& path, std::optional<gid_t> gid) {
  if (os::exists(path)) return {};
  TRY(os::make_dirs(path, 0755));
  return open_to_all(path, gid);
}

Result<void> make_memory_dir(const std::string& path, uint64_t size_bytes, std::optional<gid_t> gid) {
  TRY(os::make_dirs(path, 0755));
  if (TRY(os::is_mount_point(path))) return {};
  const std::string size = size_bytes ? "size=" + std::to_string(size_bytes) : std::string();
  auto mounted = os::mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, size.empty() ? "noswap" : size + ",noswap");
  // Older kernels do not know it, and refuse it in user namespaces.
  if (!mounted && mounted.error().sys == EINVAL) mounted = os::mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, size);
  TRY(mounted);
  return open_to_all(path, gid);
}

Result<void> make_huge_page_dir(const std::string& path, uint64_t page_bytes, std::optional<gid_t> gid) {
  TRY(os::make_dirs(path, 0755));
  if (TRY(os::is_mount_point(path))) return {};
  TRY(os::mount("hugetlbfs", path, "hugetlbfs", MS_NOSUID | MS_NODEV, "pagesize=" + std::to_string(page_bytes)));
  return open_to_all(path, gid);
}

Result<void> make_plain_dir(const std::string& path) { return os::make_dirs(path, 0755); }

Result<void> remove_dir_tree(const std::string& path) {
  if (!os::exists(path)) return {};
  TRY(os::umount_all(path));
  return os::remove_all(path);
}

Result<void> check_host_path(const std::string& path, std::string_view type) {
  if (type.empty()) return {};
  auto stat = os::stat_file(path);
  if (!stat && stat.error().code != Code::not_found) return std::unexpected(stat.error());
  if (!stat && type == "DirectoryOrCreate") return os::make_dirs(path, 0755);
  if (!stat && type == "FileOrCreate") return os::write_file(path, "", O_CREAT | O_EXCL, 0644);
  struct Kind {
    std::string_view type, words;
    mode_t mode;
  };
  static constexpr Kind kinds[] = {{"Directory", "a directory", S_IFDIR},
                                   {"DirectoryOrCreate", "a directory", S_IFDIR},
                                   {"File", "a file", S_IFREG},
                                   {"FileOrCreate", "a file", S_IFREG},
                                   {"Socket", "a socket file", S_IFSOCK},
                                   {"CharDevice", "a character device", S_IFCHR},
                                   {"BlockDevice", "a block device", S_IFBLK}};
  for (const Kind& kind : kinds)
    if (kind.type == type) {
      if (stat && (stat->st_mode & S_IFMT) == kind.mode) return {};
      return fail(Code::invalid, "hostPath type check failed: " + path + " is not " + std::string(kind.words));
    }
  return fail(Code::invalid, "hostPath type " + quoted(type) + " is not known");
}

Result<std::string> resolve_sub_path(const std::string& root, std::string_view sub_path, bool make) {
  for (std::string_view part : split(sub_path, '/'))
    if (part == "..") return fail(Code::invalid, "subPath " + quoted(sub_path) + " must not contain '..'");
  auto dir = TRY(os::open_file(root, O_PATH | O_DIRECTORY));
  auto target = os::open_in_root(dir.get(), sub_path, O_PATH);
  if (!target && target.error().code == Code::not_found && make) target = os::make_dirs_in_root(dir.get(), sub_path, 0777);
  if (!target) return std::unexpected(target.error().context("subPath " + quoted(sub_path)));
  // The descriptor's own name is free of symlinks.
  return os::read_link("/proc/self/fd/" + std::to_string(target->get()));
}

Result<std::string> read_file_in(const std::string& root, std::string_view path, uint64_t limit) {
  const auto dir = TRY(os::open_file(root, O_PATH | O_DIRECTORY));
  // Without waiting for the other end of a pipe that somebody has put there.
  const auto file = TRY(os::open_in_root(dir.get(), path, O_RDONLY | O_NONBLOCK));
  const auto info = TRY(os::fstat_file(file.get()));
  if (!S_ISREG(info.st_mode)) return fail(Code::invalid, quoted(path) + " is no plain file");
  if (uint64_t(info.st_size) > limit) return fail(Code::invalid, quoted(path) + " is larger than " + std::to_string(limit) + " bytes");
  return os::read_file("/proc/self/fd/" + std::to_string(file.get()));
}

}  // namespace estiba::volume
