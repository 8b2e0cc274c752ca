#include "volume/tree_copy.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <map>
#include <set>

#include "os/file.h"

namespace estiba::volume {

namespace {

using Inode = std::pair<dev_t, ino_t>;

class Copier {
 public:
  Result<void> directory(int from, int to);

 private:
  Result<void> entry(int from, int to, const std::string& name);
  Result<void> file(int from, int to, const std::string& name, const struct stat& info);
  Result<void> subdirectory(int from, int to, const std::string& name, const struct stat& info);

  std::map<Inode, std::string> first_;  // of files with several names: /proc/self/fd/<to>/<path> of the first copy
  int root_ = -1;
  std::string path_;  // of the directory at hand, below root_
};

Result<void> copy_bytes(int in, int out, off_t size) {
  for (off_t at = 0; at < size;) {
    // SEEK_DATA skips holes; where the file system has none of it, the whole file is data.
    off_t begin = lseek(in, at, SEEK_DATA);
    if (begin < 0 && errno == ENXIO) break;
    if (begin < 0) begin = at;
    off_t end = lseek(in, begin, SEEK_HOLE);
    if (end < 0) end = size;
    for (off_t left = end - begin, from = begin, to = begin; left > 0;) {
      ssize_t done = copy_file_range(in, &from, out, &to, size_t(left), 0);
      if (done < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP)) {
        char buffer[64 << 10];
        done = pread(in, buffer, std::min<size_t>(sizeof buffer, size_t(left)), from);
        if (done > 0 && (done = pwrite(out, buffer, size_t(done), to)) > 0) from += done, to += done;
      }
      if (done < 0) return fail_errno("copy");
      if (done == 0) break;  // the file has become shorter
      left -= done;
    }
    at = end;
  }
  if (ftruncate(out, size) < 0) return fail_errno("set the size");
  return {};
}

// Of the files behind two /proc/self/fd paths or real paths, neither followed when it is a symlink.
Result<void> copy_xattrs(const std::string& from, const std::string& to) {
  char names[16384];
  ssize_t size = llistxattr(from.c_str(), names, sizeof names);
  if (size < 0) return errno == EOPNOTSUPP ? Result<void>() : fail_errno("list xattrs");
  std::string value(65536, '\0');
  for (const char* name = names; name < names + size; name += std::string_view(name).size() + 1) {
    if (std::string_view(name).starts_with("trusted.overlay.") || std::string_view(name).starts_with("user.overlay.")) continue;
    ssize_t length = lgetxattr(from.c_str(), name, value.data(), value.size());
    if (length < 0) continue;
    if (lsetxattr(to.c_str(), name, value.data(), size_t(length), 0) < 0 && errno != EOPNOTSUPP && errno != EPERM)
      return fail_errno(std::string("set the xattr ") + name);
  }
  return {};
}

Result<void> finish(int to, const std::string& name, const struct stat& info) {
  if (fchownat(to, name.c_str(), info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW) < 0) return fail_errno("set the owner");
  // After the owner: chown(2) clears set-user-ID.
  if (!S_ISLNK(info.st_mode) && fchmodat(to, name.c_str(), info.st_mode & 07777, 0) < 0) return fail_errno("set the mode");
  timespec times[] = {info.st_atim, info.st_mtim};
  if (utimensat(to, name.c_str(), times, AT_SYMLINK_NOFOLLOW) < 0) return fail_errno("set the times");
  return {};
}

Result<void> Copier::file(int from, int to, const std::string& name, const struct stat& info) {
  Fd in = TRY(os::open_at(from, name, O_RDONLY | O_NOFOLLOW));
  Fd out = TRY(os::open_at(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  return copy_bytes(in.get(), out.get(), info.st_size);
}

Result<void> Copier::subdirectory(int from, int to, const std::string& name, const struct stat&) {
  if (mkdirat(to, name.c_str(), 0700) < 0) return fail_errno("make the directory");
  Fd in = TRY(os::open_at(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  Fd out = TRY(os::open_at(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  size_t length = path_.size();
  path_ += name + "/";
  auto done = directory(in.get(), out.get());
  path_.resize(length);
  return done;
}

Result<void> Copier::entry(int from, int to, const std::string& name) {
  struct stat info;
  if (fstatat(from, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) return fail_errno("look at it");
  if (!S_ISDIR(info.st_mode) && info.st_nlink > 1) {
    auto [known, fresh] = first_.try_emplace({info.st_dev, info.st_ino}, path_ + name);
    if (!fresh) {
      if (linkat(root_, known->second.c_str(), to, name.c_str(), 0) < 0) return fail_errno("link it to " + known->second);
      return {};
    }
  }
  if (S_ISREG(info.st_mode)) {
    TRY(file(from, to, name, info));
  } else if (S_ISDIR(info.st_mode)) {
    TRY(subdirectory(from, to, name, info));
  } else if (S_ISLNK(info.st_mode)) {
    char target[4096];
    ssize_t size = readlinkat(from, name.c_str(), target, sizeof target);
    if (size < 0 || symlinkat(std::string(target, size_t(size)).c_str(), to, name.c_str()) < 0) return fail_errno("make the symlink");
  } else if (mknodat(to, name.c_str(), info.st_mode, info.st_rdev) < 0) {
    return fail_errno("make the node");
  }
  TRY(copy_xattrs(os::fd_path(from) + "/" + name, os::fd_path(to) + "/" + name));
  return finish(to, name, info);
}

Result<void> Copier::directory(int from, int to) {
  if (root_ < 0) root_ = to;
  for (const os::DirEntry& item : TRY(os::list_dir(from))) TRY_AS(path_ + item.name, entry(from, to, item.name));
  return {};
}

Result<void> add_size(int dir, std::set<Inode>& seen, uint64_t& bytes) {
  for (const os::DirEntry& item : TRY(os::list_dir(dir))) {
    struct stat info;
    if (fstatat(dir, item.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) continue;  // gone meanwhile
    if (S_ISDIR(info.st_mode)) {
      auto below = os::open_at(dir, item.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      if (below) TRY(add_size(below->get(), seen, bytes));
    } else if (info.st_nlink == 1 || seen.insert({info.st_dev, info.st_ino}).second) {
      bytes += uint64_t(info.st_size);
    }
  }
  return {};
}

}  // namespace

Result<bool> is_empty_dir(int fd) {
  for (const os::DirEntry& item : TRY(os::list_dir(fd)))
    if (item.name != "lost+found") return false;
  return true;
}

Result<void> copy_tree(int from, int to) {
  TRY(Copier().directory(from, to));
  struct stat info = TRY(os::fstat_file(from));
  TRY(copy_xattrs(os::fd_path(from) + "/.", os::fd_path(to) + "/."));
  return finish(to, ".", info);
}

Result<uint64_t> tree_size(const std::string& path) {
  Fd dir = TRY(os::open_file(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  std::set<Inode> seen;
  uint64_t bytes = 0;
  TRY(add_size(dir.get(), seen, bytes));
  return bytes;
}

}  // namespace estiba::volume
