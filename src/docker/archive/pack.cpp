#include "docker/archive/pack.h"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "image/tar.h"
#include "os/file.h"

namespace estiba::docker {
namespace {

using image::TarEntry;

class Packer {
 public:
  Packer(image::Sink& sink, PackOptions options) : tar_(sink), options_(options) {}

  Result<void> run(int root, const PathParts& parts) {
    Fd dir = TRY(os::open_in_root(root, parts.directory, O_RDONLY | O_DIRECTORY));
    const bool whole = parts.base.empty() || parts.base == ".";
    if (!whole) {
      TRY(member(dir.get(), parts.base, parts.name, 0, options_.first));
    } else {
      // "/etc/" is archived under its name; "/etc/." and "/" are what is in them.
      const bool plain = parts.name == "." || parts.name == "/";
      TRY(tree(dir.get(), plain ? "" : parts.name + "/", plain ? "./" : parts.name + "/", 0, options_.first));
    }
    return tar_.finish();
  }

 private:
  static constexpr int max_depth = 800;  // a descriptor a level

  Result<void> tree(int dir, const std::string& prefix, const std::string& name, int depth, bool itself) {
    if (itself) {
      TarEntry entry = entry_of(TRY(os::fstat_file(dir)), name, TarEntry::Type::directory);
      entry.xattrs = attributes(dir);
      TRY(tar_.begin(entry));
      TRY(tar_.end());
    }
    if (depth > max_depth) return fail(Code::too_large, name + ": directories are nested more than " + std::to_string(max_depth) + " deep");
    auto entries = TRY(os::list_dir(dir));
    std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    for (const os::DirEntry& entry : entries) TRY(member(dir, entry.name, prefix + entry.name, depth + 1, true));
    return {};
  }

  Result<void> member(int dir, const std::string& base, const std::string& name, int depth, bool itself) {
    struct statx info{};
    if (::statx(dir, base.c_str(), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, &info) != 0) {
      if (errno == ENOENT && depth > 0) return {};  // gone since the directory was read
      return fail_errno("stat " + name);
    }
    const bool left_out = !options_.across_mounts && depth > 0 && TRY(is_mounted(dir, base, info));
    switch (info.stx_mode & S_IFMT) {
      case S_IFDIR: return directory(dir, base, name, depth, itself, left_out);
      case S_IFREG: return file(dir, base, name, left_out);
      case S_IFSOCK: return {};
      default: return special(dir, base, name, info);
    }
  }

  static Result<bool> is_mounted(int dir, const std::string& base, const struct statx& info) {
    if (info.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) return (info.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
    // Before Linux 5.8.
    const Fd fd = TRY(os::open_at(dir, base, O_PATH | O_NOFOLLOW));
    return TRY(os::mount_of(fd.get())) != TRY(os::mount_of(dir));
  }

  Result<void> directory(int parent, const std::string& base, const std::string& name, int depth, bool itself, bool empty) {
    Fd dir(::openat(parent, base.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!dir) return errno == ENOENT || errno == ENOTDIR ? Result<void>() : fail_errno("open " + name);
    if (!empty) return tree(dir.get(), name + "/", name + "/", depth, itself);
    TRY(tar_.begin(entry_of(TRY(os::fstat_file(dir.get())), name + "/", TarEntry::Type::directory)));
    return tar_.end();
  }

  Result<void> file(int parent, const std::string& base, const std::string& name, bool empty) {
    Fd fd(::openat(parent, base.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!fd) return errno == ENOENT ? Result<void>() : fail_errno("open " + name);
    const struct stat info = TRY(os::fstat_file(fd.get()));
    if (!S_ISREG(info.st_mode)) return {};
    if (hard_link(info, name)) return {};
    TarEntry entry = entry_of(info, name, TarEntry::Type::file);
    entry.size = empty ? 0 : uint64_t(info.st_size);
    entry.xattrs = attributes(fd.get());
    TRY(tar_.begin(entry));
    TRY(content(fd.get(), entry.size, name));
    return tar_.end();
  }

  Result<void> content(int fd, uint64_t left, const std::string& name) {
    buffer_.resize(image::chunk_size);
    while (left > 0) {
      const size_t want = size_t(std::min<uint64_t>(left, buffer_.size()));
      ssize_t n = ::read(fd, buffer_.data(), want);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail_errno("read " + name);
      if (n == 0) {  // it has become shorter: the archive must keep the size that it has told
        std::fill_n(buffer_.begin(), want, '\0');
        n = ssize_t(want);
      }
      TRY(tar_.content({buffer_.data(), size_t(n)}));
      left -= uint64_t(n);
    }
    return {};
  }

  Result<void> special(int parent, const std::string& base, const std::string& name, const struct statx& info) {
    TarEntry entry;
    entry.name = name;
    entry.mode = info.stx_mode & 07777;
    entry.uid = info.stx_uid;
    entry.gid = info.stx_gid;
    entry.mtime = info.stx_mtime.tv_sec;
    entry.mtime_ns = info.stx_mtime.tv_nsec;
    switch (info.stx_mode & S_IFMT) {
      case S_IFLNK: {
        char target[4096];
        const ssize_t n = ::readlinkat(parent, base.c_str(), target, sizeof target);
        if (n < 0) return errno == ENOENT || errno == EINVAL ? Result<void>() : fail_errno("readlink " + name);
        entry.type = TarEntry::Type::symlink;
        entry.link.assign(target, size_t(n));
        break;
      }
      case S_IFIFO: entry.type = TarEntry::Type::fifo; break;
      case S_IFBLK:
      case S_IFCHR:
        entry.type = S_ISBLK(info.stx_mode) ? TarEntry::Type::block : TarEntry::Type::character;
        entry.major = info.stx_rdev_major;
        entry.minor = info.stx_rdev_minor;
        break;
      default: return {};
    }
    TRY(tar_.begin(entry));
    return tar_.end();
  }

  /// Writes a further name of a file that is in the archive already.
  bool hard_link(const struct stat& info, const std::string& name) {
    if (info.st_nlink < 2) return false;
    auto [place, fresh] = links_.try_emplace({info.st_dev, info.st_ino}, name);
    if (fresh) return false;
    TarEntry entry = entry_of(info, name, TarEntry::Type::hardlink);
    entry.link = place->second;
    return tar_.begin(entry) && tar_.end();
  }

  static TarEntry entry_of(const struct stat& info, const std::string& name, TarEntry::Type type) {
    TarEntry entry;
    entry.name = name;
    entry.type = type;
    entry.mode = info.st_mode & 07777;
    entry.uid = info.st_uid;
    entry.gid = info.st_gid;
    entry.mtime = info.st_mtim.tv_sec;
    entry.mtime_ns = uint32_t(info.st_mtim.tv_nsec);
    return entry;
  }

  /// What the file has beside its content; the overlay's own and labels of security modules belong to this machine.
  static std::vector<std::pair<std::string, std::string>> attributes(int fd) {
    std::vector<std::pair<std::string, std::string>> out;
    const ssize_t size = ::flistxattr(fd, nullptr, 0);
    if (size <= 0) return out;
    std::string names(size_t(size), '\0');
    const ssize_t got = ::flistxattr(fd, names.data(), names.size());
    for (ssize_t at = 0; at < got;) {
      std::string name(names.c_str() + at);
      at += ssize_t(name.size()) + 1;
      if (!name.starts_with("user.") && name != "security.capability") continue;
      if (name.starts_with("user.overlay.")) continue;
      std::string value(64 * 1024, '\0');
      const ssize_t n = ::fgetxattr(fd, name.c_str(), value.data(), value.size());
      if (n < 0) continue;
      value.resize(size_t(n));
      out.emplace_back(std::move(name), std::move(value));
    }
    return out;
  }

  image::TarWriter tar_;
  const PackOptions options_;
  std::map<std::pair<dev_t, ino_t>, std::string> links_;
  std::string buffer_;
};

}  // namespace

Result<void> pack(int root, const std::string& path, image::Sink& sink, PackOptions options) {
  return Packer(sink, options).run(root, take_path_apart(path));
}

}  // namespace estiba::docker
