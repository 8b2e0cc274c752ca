#include "image/tree_tar.h"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

#include "base/strings.h"

namespace estiba::image {
namespace {

// Names longer than this cannot be unpacked anywhere.
constexpr size_t name_limit = 4095;

std::unexpected<Error> changed(const std::string& name) {
  return fail(Code::conflict, quoted(name) + " changed while its layer was read; try again");
}

bool wanted_attribute(std::string_view name) {
  return !name.starts_with("trusted.overlay.") && !name.starts_with("user.overlay.") && name != "security.selinux" &&
         name != "security.ima" && name != "security.evm" && !name.starts_with("system.nfs");
}

Result<std::vector<std::pair<std::string, std::string>>> attributes(int fd) {
  std::vector<std::pair<std::string, std::string>> out;
  char small[1024];
  ssize_t length = ::flistxattr(fd, small, sizeof small);
  std::string list;
  if (length < 0 && errno == ERANGE) {
    list.resize(XATTR_LIST_MAX);
    length = ::flistxattr(fd, list.data(), list.size());
    if (length >= 0) list.resize(size_t(length));
  } else if (length > 0) {
    list.assign(small, size_t(length));
  }
  if (length < 0) return errno == ENOTSUP ? Result<decltype(out)>(std::move(out)) : fail_errno("listxattr");
  for (std::string_view name : split(list, '\0')) {
    if (name.empty() || !wanted_attribute(name)) continue;
    std::string key(name), value(XATTR_SIZE_MAX, '\0');
    ssize_t n = ::fgetxattr(fd, key.c_str(), value.data(), value.size());
    if (n < 0 && errno == ENODATA) continue;
    if (n < 0) return fail_errno("getxattr " + key);
    value.resize(size_t(n));
    out.emplace_back(std::move(key), std::move(value));
  }
  std::sort(out.begin(), out.end());
  return out;
}

bool is_opaque(int dir) {
  char value[2];
  return ::fgetxattr(dir, "trusted.overlay.opaque", value, sizeof value) == 1 && value[0] == 'y';
}

TarEntry entry_of(const struct stat& info, TarEntry::Type type, std::string name) {
  return {.name = std::move(name),
          .type = type,
          .mode = info.st_mode & 07777,
          .uid = info.st_uid,
          .gid = info.st_gid,
          .mtime = int64_t(info.st_mtim.tv_sec)};
}

}  // namespace

Result<std::unique_ptr<TreeTar>> TreeTar::open(const std::string& tree, TreeTarOptions options) {
  Fd dir = TRY(os::open_file(tree, O_RDONLY | O_DIRECTORY));
  return std::unique_ptr<TreeTar>(new TreeTar(std::move(dir), options));
}

/// dir_ has become a directory's descriptor.
Result<void> TreeTar::enter() {
  auto info = TRY(os::fstat_file(dir_.get()));
  Level level{.device = info.st_dev, .inode = info.st_ino};
  for (auto& entry : TRY(os::list_dir(dir_.get()))) level.names.push_back(std::move(entry.name));
  std::sort(level.names.begin(), level.names.end());
  levels_.push_back(std::move(level));
  return {};
}

/// By "..", so that a tree of any depth takes one descriptor.
Result<void> TreeTar::leave() {
  size_t prefix = levels_.back().prefix;
  levels_.pop_back();
  if (!levels_.empty()) {
    Fd above = TRY(os::open_at(dir_.get(), "..", O_RDONLY | O_DIRECTORY));
    auto info = TRY(os::fstat_file(above.get()));
    if (info.st_dev != levels_.back().device || info.st_ino != levels_.back().inode) return changed(prefix_);
    dir_ = std::move(above);
  }
  prefix_.resize(prefix);
  return {};
}

Result<void> TreeTar::put(const TarEntry& entry) {
  if (entry.name.size() > name_limit)
    return fail(Code::too_large, quoted(entry.name.substr(0, 80)) + "… has a path of " + std::to_string(entry.name.size()) +
                                     " bytes; an image can have " + std::to_string(name_limit));
  return writer_.begin(entry);
}

Result<void> TreeTar::directory(const std::string& name, const struct stat& info) {
  Fd fd = TRY(os::open_at(dir_.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  TarEntry entry = entry_of(info, TarEntry::Type::directory, prefix_ + name + "/");
  entry.xattrs = TRY(attributes(fd.get()));
  TRY(put(entry));
  if (is_opaque(fd.get())) TRY(put({.name = entry.name + ".wh..wh..opq"}));
  size_t outside = prefix_.size();
  dir_ = std::move(fd);
  prefix_ = std::move(entry.name);
  TRY(enter());
  levels_.back().prefix = outside;
  return {};
}

Result<void> TreeTar::file(const std::string& name, const struct stat& info) {
  if (info.st_nlink > 1) {
    auto [it, first] = links_.try_emplace({info.st_dev, info.st_ino}, prefix_ + name);
    if (!first) {
      TarEntry link = entry_of(info, TarEntry::Type::hardlink, prefix_ + name);
      link.link = it->second;
      return put(link);
    }
  }
  Fd fd = TRY(os::open_at(dir_.get(), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  auto now = TRY(os::fstat_file(fd.get()));
  if (now.st_ino != info.st_ino || !S_ISREG(now.st_mode)) return changed(prefix_ + name);
  TarEntry entry = entry_of(now, TarEntry::Type::file, prefix_ + name);
  entry.xattrs = TRY(attributes(fd.get()));
  entry.size = uint64_t(now.st_size);
  TRY(put(entry));
  content_ += entry.size;
  if (entry.size == 0) return {};
  if (entry.size >= chunk_size) ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  file_ = std::move(fd);
  file_offset_ = 0;
  file_size_ = entry.size;
  file_name_ = std::move(entry.name);
  return {};
}

Result<void> TreeTar::special(const std::string& name, const struct stat& info) {
  TarEntry entry = entry_of(info, TarEntry::Type::fifo, prefix_ + name);
  if (S_ISLNK(info.st_mode)) {
    entry.type = TarEntry::Type::symlink;
    entry.mode = 0777;
    char target[PATH_MAX];
    ssize_t n = ::readlinkat(dir_.get(), name.c_str(), target, sizeof target);
    if (n < 0) return fail_errno("readlink " + entry.name);
    entry.link.assign(target, size_t(n));
  } else if (S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode)) {
    entry.type = S_ISCHR(info.st_mode) ? TarEntry::Type::character : TarEntry::Type::block;
    entry.major = major(info.st_rdev);
    entry.minor = minor(info.st_rdev);
  } else if (!S_ISFIFO(info.st_mode)) {
    return {};  // a socket
  }
  return put(entry);
}

Result<void> TreeTar::member(const std::string& name) {
  struct stat info;
  if (::fstatat(dir_.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
    return errno == ENOENT ? changed(prefix_ + name) : fail_errno("stat " + prefix_ + name);
  if (S_ISCHR(info.st_mode) && info.st_rdev == 0) return put({.name = prefix_ + ".wh." + name});
  if (name.starts_with(".wh."))
    return fail(Code::invalid, quoted(prefix_ + name) + " cannot be in an image: names that begin with \".wh.\" mark what a layer deletes");
  if (S_ISDIR(info.st_mode)) return directory(name, info);
  if (S_ISREG(info.st_mode)) return file(name, info);
  return special(name, info);
}

Result<bool> TreeTar::advance() {
  pending_.text.clear();
  taken_ = 0;
  if (!started_) {
    started_ = true;
    TRY(enter());
    if (options_.root) {
      TarEntry entry = entry_of(TRY(os::fstat_file(dir_.get())), TarEntry::Type::directory, "./");
      entry.xattrs = TRY(attributes(dir_.get()));
      TRY(put(entry));
    }
  }
  // A batch of small members at a time.
  while (!levels_.empty() && !file_ && pending_.text.size() < chunk_size) {
    Level& level = levels_.back();
    if (level.next < level.names.size()) {
      std::string name = std::move(level.names[level.next++]);
      TRY(member(name));
    } else {
      TRY(leave());
    }
  }
  if (levels_.empty() && !file_ && !finished_) {
    finished_ = true;
    TRY(writer_.finish());
  }
  return file_ || !pending_.text.empty();
}

void TreeTar::close_file() {
  file_.reset();
  pending_.text.assign((512 - file_size_ % 512) % 512, '\0');
  taken_ = 0;
}

Result<size_t> TreeTar::read(std::span<char> buffer) {
  size_t done = 0;
  while (done < buffer.size()) {
    if (taken_ < pending_.text.size()) {
      size_t n = pending_.text.copy(buffer.data() + done, buffer.size() - done, taken_);
      taken_ += n;
      done += n;
    } else if (file_) {
      size_t want = std::min<uint64_t>(buffer.size() - done, file_size_ - file_offset_);
      ssize_t n = ::pread(file_.get(), buffer.data() + done, want, off_t(file_offset_));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail_errno("read " + file_name_);
      if (n == 0) return changed(file_name_);
      file_offset_ += uint64_t(n);
      done += size_t(n);
      if (file_offset_ == file_size_) close_file();
    } else if (!TRY(advance())) {
      break;
    }
  }
  return done;
}

Result<void> TreeTar::skip(uint64_t count) {
  while (count > 0) {
    uint64_t n = 0;
    if (taken_ < pending_.text.size()) {
      n = std::min<uint64_t>(count, pending_.text.size() - taken_);
      taken_ += n;
    } else if (file_) {
      n = std::min(count, file_size_ - file_offset_);
      file_offset_ += n;
      if (file_offset_ == file_size_) close_file();
    } else if (!TRY(advance())) {
      return fail(Code::malformed, "the offset lies " + std::to_string(count) + " bytes behind the layer's end");
    }
    count -= n;
  }
  return {};
}

}  // namespace estiba::image
