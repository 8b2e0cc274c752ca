#include "image/unpack.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <tuple>

#include "base/fd.h"
#include "base/strings.h"
#include "os/file.h"

namespace estiba::image {
namespace {

Result<Fd> open_in_root(int root, const std::string& path, int flags) { return os::open_in_root(root, path.empty() ? "." : path, flags); }

bool harmless_device(const TarEntry& entry) {
  constexpr std::array<std::pair<unsigned, unsigned>, 8> known{{{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, {5, 0}, {5, 1}, {5, 2}}};
  return entry.type == TarEntry::Type::character &&
         std::find(known.begin(), known.end(), std::pair(entry.major, entry.minor)) != known.end();
}

class Unpacker {
 public:
  Unpacker(Source& source, int root, const UnpackOptions& options) : tar_(source, options.limits), root_(root), options_(options) {}

  Result<uint64_t> run() {
    prefix_ = TRY(normal(options_.below, true));
    while (auto entry = TRY(tar_.next())) {
      if (options_.owner) std::tie(entry->uid, entry->gid) = *options_.owner;
      TRY_AS("unpack " + quoted(entry->name), one(*entry));
    }
    // Children change their directory's time, so these come last, the deepest first.
    for (auto it = times_.rbegin(); it != times_.rend(); ++it) {
      auto dir = open_in_root(root_, it->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      if (dir) ::futimens(dir->get(), it->times);
    }
    return tar_.content_bytes();
  }

 private:
  // os::remove_all needs a descriptor a level.
  static constexpr int max_depth = 400;

  struct DirectoryTime {
    std::string path;
    timespec times[2];
  };

  static std::unexpected<Error> refused(std::string why) { return fail(Code::invalid, std::move(why)); }

  /// The name without "./" and double slashes; "" is the root itself.
  static Result<std::string> normal(std::string_view name, bool absolute = false) {
    if (name.starts_with('/') && !absolute) return refused("an absolute name is not allowed in an image");
    std::string out;
    int depth = 0;
    for (std::string_view part : split(name, '/')) {
      if (part.empty() || part == ".") continue;
      if (++depth > max_depth) return refused("its directories are nested more than " + std::to_string(max_depth) + " deep");
      if (part == "..") return refused("\"..\" is not allowed in an image: it leads out of the root");
      if (part.size() > 255) return refused("a part of the name is longer than 255 bytes");
      if (!out.empty()) out += '/';
      out += part;
    }
    return out;
  }

  /// The same, from the root on.
  Result<std::string> placed(std::string_view name) const {
    std::string path = TRY(normal(name, options_.lenient));
    return prefix_.empty() ? path : path.empty() ? prefix_ : prefix_ + "/" + path;
  }

  static std::pair<std::string, std::string> cut(const std::string& path) {
    size_t slash = path.rfind('/');
    if (slash == path.npos) return {"", path};
    return {path.substr(0, slash), path.substr(slash + 1)};
  }

  /// The directory `path`, made (0755, root) where it is missing, since archives may leave parents out. A symlink on the way
  /// that points at nothing yet has its target made, inside the root.
  Result<Fd> directory(const std::string& path, int links = 0) {
    auto fd = open_in_root(root_, path, O_PATH | O_DIRECTORY);
    if (fd || fd.error().sys != ENOENT || path.empty()) return fd;
    auto [above, base] = cut(path);
    Fd parent = TRY(directory(above, links));
    if (::mkdirat(parent.get(), base.c_str(), 0755) == 0) return open_in_root(root_, path, O_PATH | O_DIRECTORY);
    char target[PATH_MAX];
    ssize_t length = errno == EEXIST ? ::readlinkat(parent.get(), base.c_str(), target, sizeof target) : -1;
    if (length <= 0 || length == sizeof target || links > 20) return fail_errno("mkdir " + path);
    std::string_view to(target, size_t(length));
    return directory(clamped(to.starts_with('/') ? "" : above, to), links + 1);
  }

  /// `to` seen from the directory `from`, with ".." ending at the root as the kernel has it there.
  static std::string clamped(const std::string& from, std::string_view to) {
    std::vector<std::string> parts;
    for (std::string_view text : {std::string_view(from), to}) {
      for (std::string_view part : split(text, '/')) {
        if (part.empty() || part == ".") continue;
        if (part != "..") parts.emplace_back(part);
        else if (!parts.empty()) parts.pop_back();
      }
    }
    return join(parts, "/");
  }

  Result<int> parent_of(const std::string& path) {
    if (!parent_ || path != parent_path_) {
      parent_ = TRY_AS("directory " + quoted(path), directory(path));
      parent_path_ = path;
    }
    return parent_.get();
  }

  Result<void> one(TarEntry& entry) {
    std::string path = TRY(placed(entry.name));
    auto [above, base] = cut(path);
    if (path == prefix_) {
      if (options_.keep_existing_root) return {};
      if (entry.type != TarEntry::Type::directory) return refused("the root of an image must be a directory");
      return directory_itself(entry, path);
    }
    if (options_.whiteouts && base.starts_with(".wh.")) return whiteout(above, base);
    int parent = TRY(parent_of(above));
    if (options_.keep_kinds) TRY(same_kind(entry, parent, base));
    switch (entry.type) {
      case TarEntry::Type::directory: return make_directory(entry, path, parent, base);
      case TarEntry::Type::file: return make_file(entry, parent, base);
      case TarEntry::Type::symlink: return make_symlink(entry, path, parent, base);
      case TarEntry::Type::hardlink: return make_hardlink(entry, parent, base);
      default: return make_node(entry, parent, base);
    }
  }

  static Result<void> same_kind(const TarEntry& entry, int parent, const std::string& base) {
    struct stat st;
    if (::fstatat(parent, base.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return {};
    const bool is_directory = S_ISDIR(st.st_mode), comes_directory = entry.type == TarEntry::Type::directory;
    if (is_directory && !comes_directory)
      return refused("cannot overwrite directory " + quoted(base) + " with non-directory " + quoted(entry.name));
    if (!is_directory && comes_directory)
      return refused("cannot overwrite non-directory " + quoted(base) + " with directory " + quoted(entry.name));
    return {};
  }

  /// Tries to make something; when its place is taken, clears the place and tries once more.
  template <class Make>
  Result<int> in_place(int parent, const std::string& base, const char* what, Make make) {
    int result = make();
    if (result < 0 && errno == EEXIST) {
      TRY(os::remove_all_at(parent, base));
      result = make();
    }
    if (result < 0) return fail_errno(what);
    return result;
  }

  Result<void> whiteout(const std::string& above, const std::string& base) {
    if (base == ".wh..wh..opq") {
      auto dir = open_in_root(root_, above, O_RDONLY | O_DIRECTORY);
      if (!dir) return dir.error().sys == ENOENT ? Result<void>() : std::unexpected(dir.error());
      return clear_directory(dir->get());
    }
    if (base.starts_with(".wh..wh.")) return {};  // bookkeeping of aufs
    std::string name = base.substr(4);
    if (name.empty() || name == "." || name == "..") return refused("this whiteout names nothing that can be deleted");
    auto parent = open_in_root(root_, above, O_PATH | O_DIRECTORY);
    if (!parent) return parent.error().sys == ENOENT ? Result<void>() : std::unexpected(parent.error());
    parent_.reset();
    return os::remove_all_at(parent->get(), name);
  }

  Result<void> clear_directory(int dir) {
    parent_.reset();
    for (const auto& entry : TRY(os::list_dir(dir))) TRY(os::remove_all_at(dir, entry.name));
    return {};
  }

  Result<void> make_directory(const TarEntry& entry, const std::string& path, int parent, const std::string& base) {
    if (::mkdirat(parent, base.c_str(), 0700) != 0) {
      if (errno != EEXIST) return fail_errno("mkdir");
      struct stat st;
      if (::fstatat(parent, base.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return fail_errno("stat");
      if (!S_ISDIR(st.st_mode)) {
        TRY(os::remove_all_at(parent, base));
        if (::mkdirat(parent, base.c_str(), 0700) != 0) return fail_errno("mkdir");
      }
    }
    return directory_itself(entry, path);
  }

  Result<void> directory_itself(const TarEntry& entry, const std::string& path) {
    auto [above, base] = cut(path);
    Fd holder;
    int parent = root_;
    if (!path.empty()) parent = TRY(parent_of(above));
    holder = Fd(::openat(parent, path.empty() ? "." : base.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!holder) return fail_errno("open");
    TRY(own(holder.get(), entry));
    times_.push_back({path, {{0, UTIME_OMIT}, {entry.mtime, long(entry.mtime_ns)}}});
    return {};
  }

  Result<void> own(int fd, const TarEntry& entry) {
    if (::fchown(fd, entry.uid, entry.gid) != 0) return fail_errno("chown");
    if (::fchmod(fd, entry.mode) != 0) return fail_errno("chmod");
    for (const auto& [name, value] : entry.xattrs) {
      // The overlay's own attributes would let a layer redirect directories; they mean nothing in an image.
      if (name.starts_with("trusted.overlay.") || name.starts_with("user.overlay.")) continue;
      if (::fsetxattr(fd, name.c_str(), value.data(), value.size(), 0) != 0 && errno != ENOTSUP) return fail_errno("setxattr " + name);
    }
    return {};
  }

  Result<void> make_file(const TarEntry& entry, int parent, const std::string& base) {
    int raw = TRY(in_place(parent, base, "create",
                           [&] { return ::openat(parent, base.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600); }));
    Fd fd(raw);
    FileSink sink(raw);
    if (!buffer_) buffer_ = std::make_unique<char[]>(chunk_size);
    for (;;) {
      size_t n = TRY(tar_.read({buffer_.get(), chunk_size}));
      if (n == 0) break;
      TRY(sink.write({buffer_.get(), n}));
    }
    TRY(own(raw, entry));
    timespec times[2] = {{0, UTIME_OMIT}, {entry.mtime, long(entry.mtime_ns)}};
    if (::futimens(raw, times) != 0) return fail_errno("utimens");
    return {};
  }

  Result<void> make_symlink(const TarEntry& entry, const std::string& path, int parent, const std::string& base) {
    if (entry.link.empty()) return refused("a symlink without a target");
    if (!entry.link.starts_with('/') && !options_.lenient) {
      long depth = std::count(path.begin(), path.end(), '/');
      for (std::string_view part : split(entry.link, '/')) {
        if (part.empty() || part == ".") continue;
        depth += part == ".." ? -1 : 1;
        if (depth < 0) return refused("the symlink's target " + quoted(entry.link) + " leads out of the root");
      }
    }
    TRY(in_place(parent, base, "symlink", [&] { return ::symlinkat(entry.link.c_str(), parent, base.c_str()); }));
    return own_by_name(entry, parent, base);
  }

  Result<void> own_by_name(const TarEntry& entry, int parent, const std::string& base) {
    if (::fchownat(parent, base.c_str(), entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) != 0) return fail_errno("chown");
    if (entry.type != TarEntry::Type::symlink && ::fchmodat(parent, base.c_str(), entry.mode, 0) != 0) return fail_errno("chmod");
    timespec times[2] = {{0, UTIME_OMIT}, {entry.mtime, long(entry.mtime_ns)}};
    if (::utimensat(parent, base.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) return fail_errno("utimens");
    return {};
  }

  Result<void> make_hardlink(const TarEntry& entry, int parent, const std::string& base) {
    std::string target = TRY_AS("the hard link's target " + quoted(entry.link), placed(entry.link));
    auto [above, name] = cut(target);
    if (name.empty()) return refused("a hard link to the root");
    auto dir = open_in_root(root_, above, O_PATH | O_DIRECTORY);
    struct stat st;
    if (!dir || ::fstatat(dir->get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0)
      return refused("the hard link's target " + quoted(entry.link) + " is not in the image");
    if (S_ISDIR(st.st_mode)) return refused("a hard link to the directory " + quoted(entry.link));
    TRY(in_place(parent, base, "link", [&] { return ::linkat(dir->get(), name.c_str(), parent, base.c_str(), 0); }));
    return {};
  }

  Result<void> make_node(const TarEntry& entry, int parent, const std::string& base) {
    bool fifo = entry.type == TarEntry::Type::fifo;
    if (!fifo && !harmless_device(entry)) {
      return refused(std::string("the device node ") + (entry.type == TarEntry::Type::block ? "block " : "character ") +
                     std::to_string(entry.major) + ":" + std::to_string(entry.minor) + " is not allowed in an image");
    }
    mode_t mode = (fifo ? S_IFIFO : S_IFCHR) | 0600;
    auto made = in_place(parent, base, "mknod", [&] { return ::mknodat(parent, base.c_str(), mode, makedev(entry.major, entry.minor)); });
    // Without CAP_MKNOD the container still gets its own /dev.
    if (!made && made.error().sys == EPERM && !fifo) return {};
    TRY(std::move(made));
    return own_by_name(entry, parent, base);
  }

  TarReader tar_;
  int root_;
  const UnpackOptions& options_;
  std::string prefix_;  // of every name
  Fd parent_;           // of the last member, since archives are mostly sorted
  std::string parent_path_;
  std::vector<DirectoryTime> times_;
  std::unique_ptr<char[]> buffer_;
};

}  // namespace

Result<uint64_t> unpack(Source& tar, int root, const UnpackOptions& options) { return Unpacker(tar, root, options).run(); }

}  // namespace estiba::image
