#include "os/file.h"

#include <dirent.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "base/strings.h"
#include "os/resolve.h"
#include "os/syscall.h"

namespace estiba::os {

Result<Fd> open_file(const std::string& path, int flags, mode_t mode) {
  int fd = retry_interrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, mode); });
  if (fd < 0) return fail_call("open", path);
  return Fd(fd);
}

Result<Fd> open_at(int dir, const std::string& path, int flags, mode_t mode) {
  int fd = retry_interrupted([&] { return ::openat(dir, path.c_str(), flags | O_CLOEXEC, mode); });
  if (fd < 0) return fail_call("openat", path);
  return Fd(fd);
}

namespace {

bool refused_openat2() {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  Fd fd(int(syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof how)));
  return !fd && errno == EPERM;
}

// Of a call that has failed with `err`: ENOSYS, or EPERM by a seccomp profile that is older than the call.
bool lacks_openat2(int err) {
  static const bool refused = refused_openat2();
  return err == ENOSYS || (err == EPERM && refused);
}

Result<Fd> open_resolved(int root, std::string_view path, int flags, mode_t mode, uint64_t resolve) {
  static std::atomic<bool> missing = false;
  std::string name(path.empty() ? "." : path);
  // openat2 refuses a mode where nothing can be created.
  if (!(flags & O_CREAT) && (flags & O_TMPFILE) != O_TMPFILE) mode = 0;
  if (!missing) {
    open_how how{};
    how.flags = uint64_t(flags) | O_CLOEXEC;
    how.mode = mode;
    how.resolve = resolve;
    // EAGAIN: a rename or mount went on meanwhile, and the kernel could not tell whether ".." was safe.
    int fd;
    int tries = 0;
    do fd = int(syscall(SYS_openat2, root, name.c_str(), &how, sizeof how));
    while (fd < 0 && (errno == EINTR || (errno == EAGAIN && ++tries < 32)));
    if (fd >= 0) return Fd(fd);
    const int err = errno;
    if ((err != ENOSYS && err != EPERM) || !lacks_openat2(err)) return fail_errno("openat2 " + name, err);
    missing = true;
  }
  return open_stepwise(root, name, flags, mode, resolve & RESOLVE_BENEATH ? Resolve::beneath : Resolve::in_root);
}

}  // namespace

Result<Fd> open_in_root(int root, std::string_view path, int flags, mode_t mode) {
  return open_resolved(root, path, flags, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

Result<Fd> open_beneath(int root, std::string_view path, int flags, mode_t mode) {
  return open_resolved(root, path, flags, mode, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

Result<std::string> read_file(const std::string& path) {
  Fd fd = TRY(open_file(path, O_RDONLY));
  return within("read " + path, read_all(fd.get()));
}

Result<std::string> read_file_at(int dir, const std::string& path) {
  Fd fd = TRY(open_at(dir, path, O_RDONLY));
  return within("read " + path, read_all(fd.get()));
}

namespace {
Result<void> write_once(const Fd& fd, const std::string& path, std::string_view bytes) {
  // Files of the kernel take a value in one write; splitting it would mean another value.
  ssize_t n = retry_interrupted([&] { return ::write(fd.get(), bytes.data(), bytes.size()); });
  if (n < 0) {
    int err = errno;
    std::string what = "write ";
    if (bytes.size() < 80) what.append("\"").append(bytes).append("\" to ");
    return fail_errno(what + path, err);
  }
  if (size_t(n) < bytes.size()) return within("write " + path, write_all(fd.get(), bytes.substr(size_t(n))));
  return {};
}
}  // namespace

Result<void> write_file(const std::string& path, std::string_view bytes, int flags, mode_t mode) {
  return write_file_at(AT_FDCWD, path, bytes, flags, mode);
}

Result<void> write_file_at(int dir, const std::string& path, std::string_view bytes, int flags, mode_t mode) {
  Fd fd = TRY(open_at(dir, path, O_WRONLY | flags, mode));
  return write_once(fd, path, bytes);
}

Result<void> write_file_atomic(const std::string& path, std::string_view bytes, mode_t mode, bool durable) {
  // One writer per path at a time is assumed, as everywhere here: the leftover of a crash is simply overwritten.
  std::string temporary = path + ".tmp";
  {
    Fd fd = TRY(open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode));
    TRY(within("write " + temporary, write_all(fd.get(), bytes)));
    if (durable && fdatasync(fd.get()) < 0) return fail_call("fdatasync", temporary);
  }
  TRY(rename_file(temporary, path));
  if (!durable) return {};
  size_t slash = path.rfind('/');
  return sync_dir(slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash));
}

Result<void> make_dir(const std::string& path, mode_t mode) {
  if (mkdir(path.c_str(), mode) < 0 && errno != EEXIST) return fail_call("mkdir", path);
  return {};
}

Result<void> make_dirs(const std::string& path, mode_t mode) {
  if (path.empty() || mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return {};
  if (errno != ENOENT) return fail_call("mkdir", path);
  size_t slash = path.find_last_not_of('/');
  slash = path.rfind('/', slash);
  if (slash == std::string::npos) return fail_call("mkdir", path);
  TRY(make_dirs(path.substr(0, slash), mode));
  return make_dir(path, mode);
}

// The names in a path, last first.
static std::vector<std::string> components(std::string_view path) {
  std::vector<std::string> out;
  for (std::string_view name : split(path, '/')) {
    if (!name.empty() && name != ".") out.emplace_back(name);
  }
  std::reverse(out.begin(), out.end());
  return out;
}

Result<Fd> make_dirs_in_root(int root, std::string_view path, mode_t mode) {
  auto there = open_in_root(root, path, O_PATH | O_DIRECTORY);
  if (there || there.error().sys != ENOENT) return there;
  // Most often all but the last name is there. What that one is (a dangling link?) is seen only if it cannot be made.
  const size_t last = path.rfind('/') + 1;  // 0 without a slash
  const std::string last_name(path.substr(last));
  if (!last_name.empty() && last_name != "." && last_name != "..") {
    if (auto parent = open_in_root(root, last ? path.substr(0, last) : "/", O_PATH | O_DIRECTORY);
        parent && mkdirat(parent->get(), last_name.c_str(), mode) == 0)
      return open_at(parent->get(), last_name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  }
  // Component by component, links taken apart by hand: one may point at what is still to be made. Each directory is opened anew
  // from the root, so whatever changes meanwhile, nothing is made outside.
  std::string at = "/";
  std::vector<std::string> rest = components(path);
  int links = 0;
  while (!rest.empty()) {
    std::string name = std::move(rest.back());
    rest.pop_back();
    if (name == "..") {
      at.resize(std::max<size_t>(at.rfind('/'), 1));
      continue;
    }
    std::string next = at.size() == 1 ? at + name : at + "/" + name;
    Fd parent = TRY(open_in_root(root, at, O_PATH | O_DIRECTORY));
    char target[4096];
    ssize_t n = readlinkat(parent.get(), name.c_str(), target, sizeof target);
    if (n >= 0) {
      if (++links > 40) return fail_errno("mkdir " + next, ELOOP);
      std::string_view text(target, size_t(n));
      if (text.starts_with('/')) at = "/";
      for (std::string& part : components(text)) rest.push_back(std::move(part));
      continue;
    }
    if (errno == ENOENT && mkdirat(parent.get(), name.c_str(), mode) < 0 && errno != EEXIST) return fail_call("mkdirat", next);
    at = std::move(next);
  }
  return open_in_root(root, at, O_PATH | O_DIRECTORY);
}

Result<Fd> make_file_in_root(int root, std::string_view path, mode_t mode) {
  auto there = open_in_root(root, path, O_PATH);
  if (there || there.error().sys != ENOENT) return there;
  size_t slash = path.rfind('/');
  if (slash != std::string_view::npos && slash > 0) TRY(make_dirs_in_root(root, path.substr(0, slash)));
  TRY(open_in_root(root, path, O_RDONLY | O_CREAT | O_NONBLOCK, mode));
  return open_in_root(root, path, O_PATH);
}

Result<int> mount_of(int fd) {
  const std::string text = TRY(read_file("/proc/self/fdinfo/" + std::to_string(fd)));
  for (std::string_view line : split(text, '\n')) {
    auto [name, value] = split_once(line, ':');
    if (auto id = name == "mnt_id" && value ? parse_number<int>(trim(*value)) : std::nullopt) return *id;
  }
  return fail(Code::malformed, "/proc/self/fdinfo has no mnt_id");
}

Result<bool> is_mount_root(int fd) {
  // A bind mount of the same file system has the same device, so the device alone does not show it.
  struct statx info{};
  if (statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &info) < 0) return fail_errno("statx");
  if (info.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) return (info.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
  // Before Linux 5.8. What is no directory has no way up, but a name, to which the descriptor's link leads.
  Fd above;
  if (S_ISDIR(info.stx_mode)) {
    above.reset(openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC));
  } else {
    const std::string place = TRY(read_link(fd_path(fd)));
    above.reset(::open(place.substr(0, place.rfind('/') + 1).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  }
  if (!above) return fail_errno("open the directory above");
  if (TRY(mount_of(fd)) != TRY(mount_of(above.get()))) return true;
  // Only the root directory is the one above itself.
  const struct stat here = TRY(fstat_file(fd)), up = TRY(fstat_file(above.get()));
  return S_ISDIR(here.st_mode) && here.st_dev == up.st_dev && here.st_ino == up.st_ino;
}

namespace {
Result<void> remove_children(int dir, const std::string& path);

Result<void> remove_entry(int dir, const std::string& name, const std::string& path) {
  if (unlinkat(dir, name.c_str(), 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return fail_call("unlink", path);
  int unlink_error = errno;
  Fd child(openat(dir, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!child) {
    if (errno == ENOENT) return {};
    return fail_errno("unlink " + path, errno == ENOTDIR || errno == ELOOP ? unlink_error : errno);
  }
  if (TRY_AS(path, is_mount_root(child.get()))) return fail_errno("remove " + path + " (something is mounted there)", EXDEV);
  TRY(remove_children(child.get(), path));
  if (unlinkat(dir, name.c_str(), AT_REMOVEDIR) < 0 && errno != ENOENT) return fail_call("rmdir", path);
  return {};
}

Result<void> remove_children(int dir, const std::string& path) {
  for (const DirEntry& entry : TRY(list_dir(dir))) TRY(remove_entry(dir, entry.name, path + "/" + entry.name));
  return {};
}
}  // namespace

Result<void> remove_all(const std::string& path) {
  struct stat info;
  if (lstat(path.c_str(), &info) < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return {};
    return fail_call("lstat", path);
  }
  return remove_entry(AT_FDCWD, path, path);
}

Result<void> remove_all_at(int dir, const std::string& name) { return remove_entry(dir, name, name); }

Result<void> remove_file(const std::string& path) {
  if (unlink(path.c_str()) < 0 && errno != ENOENT) return fail_call("unlink", path);
  return {};
}

Result<void> remove_dir(const std::string& path) {
  if (rmdir(path.c_str()) < 0 && errno != ENOENT) return fail_call("rmdir", path);
  return {};
}

Result<void> rename_file(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) < 0) return fail_call("rename", from + " to " + to);
  return {};
}

Result<void> make_symlink(const std::string& target, const std::string& path) {
  if (symlink(target.c_str(), path.c_str()) < 0) return fail_call("symlink", path);
  return {};
}

Result<void> make_hardlink(const std::string& from, const std::string& to) {
  if (link(from.c_str(), to.c_str()) < 0) return fail_call("link", from + " to " + to);
  return {};
}

Result<std::string> read_link(const std::string& path) {
  char buffer[4096];
  ssize_t n = readlink(path.c_str(), buffer, sizeof buffer);
  if (n < 0) return fail_call("readlink", path);
  return std::string(buffer, size_t(n));
}

Result<void> make_fifo(const std::string& path, mode_t mode) {
  if (mkfifo(path.c_str(), mode) < 0) return fail_call("mkfifo", path);
  return {};
}

Result<void> change_owner(const std::string& path, uid_t uid, gid_t gid) {
  if (lchown(path.c_str(), uid, gid) < 0) return fail_call("lchown", path);
  return {};
}

Result<void> change_mode(const std::string& path, mode_t mode) {
  if (chmod(path.c_str(), mode) < 0) return fail_call("chmod", path);
  return {};
}

bool exists(const std::string& path) { return faccessat(AT_FDCWD, path.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0; }

Result<struct stat> stat_file(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) < 0) return fail_call("stat", path);
  return info;
}

Result<struct stat> lstat_file(const std::string& path) {
  struct stat info;
  if (lstat(path.c_str(), &info) < 0) return fail_call("lstat", path);
  return info;
}

Result<struct stat> fstat_file(int fd) {
  struct stat info;
  if (fstat(fd, &info) < 0) return fail_errno("fstat");
  return info;
}

Result<std::vector<DirEntry>> list_dir(int fd) {
  int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) return fail_errno("open directory");
  DIR* dir = fdopendir(copy);
  if (!dir) {
    ::close(copy);
    return fail_errno("fdopendir");
  }
  std::vector<DirEntry> entries;
  errno = 0;
  while (dirent* entry = readdir(dir)) {
    std::string_view name = entry->d_name;
    if (name != "." && name != "..") entries.push_back({std::string(name), entry->d_type});
    errno = 0;
  }
  int err = errno;
  closedir(dir);
  if (err) return fail_errno("readdir", err);
  return entries;
}

Result<std::vector<DirEntry>> list_dir(const std::string& path) {
  Fd fd = TRY(open_file(path, O_RDONLY | O_DIRECTORY));
  return within(path, list_dir(fd.get()));
}

Result<Fd> lock_file(const std::string& path, bool wait) {
  Fd fd = TRY(open_file(path, O_RDWR | O_CREAT, 0600));
  if (retry_interrupted([&] { return flock(fd.get(), LOCK_EX | (wait ? 0 : LOCK_NB)); }) < 0) {
    if (errno == EWOULDBLOCK) return fail(Code::conflict, path + " is locked by another process");
    return fail_call("flock", path);
  }
  return fd;
}

Result<void> sync_dir(const std::string& path) {
  Fd fd = TRY(open_file(path, O_RDONLY | O_DIRECTORY));
  if (fsync(fd.get()) < 0) return fail_call("fsync", path);
  return {};
}

Result<DiskSpace> disk_space(const std::string& path) {
  struct statvfs info;
  if (statvfs(path.c_str(), &info) < 0) return fail_call("statvfs", path);
  return DiskSpace{info.f_blocks * info.f_frsize, info.f_bavail * info.f_frsize, info.f_files, info.f_favail};
}

}  // namespace estiba::os
