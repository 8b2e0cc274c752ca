#include "build/context/layered_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <climits>
#include <set>

#include "base/strings.h"
#include "image/stream.h"
#include "os/file.h"

namespace estiba::build {
namespace {

using Type = FileInfo::Type;

bool is_opaque(const std::string& directory) {
  char value[4];
  ssize_t n = ::lgetxattr(directory.c_str(), "trusted.overlay.opaque", value, sizeof value);
  return n == 1 && value[0] == 'y';
}

}  // namespace

bool is_whiteout(const struct stat& st) { return S_ISCHR(st.st_mode) && st.st_rdev == 0; }

Result<FileInfo> file_info(const std::string& real_path, const struct stat& st) {
  FileInfo out{.mode = st.st_mode & 07777u,
               .uid = st.st_uid,
               .gid = st.st_gid,
               .mtime = st.st_mtim.tv_sec,
               .mtime_ns = uint32_t(st.st_mtim.tv_nsec)};
  if (S_ISREG(st.st_mode)) out.size = uint64_t(st.st_size);
  out.type = S_ISDIR(st.st_mode)    ? Type::directory
             : S_ISLNK(st.st_mode)  ? Type::symlink
             : S_ISFIFO(st.st_mode) ? Type::fifo
             : S_ISCHR(st.st_mode)  ? Type::character
             : S_ISBLK(st.st_mode)  ? Type::block
                                    : Type::file;
  if (S_ISSOCK(st.st_mode)) return fail(Code::invalid, real_path + " is a socket");
  if (out.type == Type::character || out.type == Type::block) {
    out.major = major(st.st_rdev);
    out.minor = minor(st.st_rdev);
  }
  if (out.type == Type::symlink) out.link = TRY(os::read_link(real_path));
  char names[4096];
  ssize_t n = ::llistxattr(real_path.c_str(), names, sizeof names);
  for (ssize_t at = 0; at < n;) {
    std::string name(names + at);
    at += ssize_t(name.size()) + 1;
    if (name.starts_with("trusted.overlay.") || name.starts_with("user.overlay.") || name == "security.selinux") continue;
    char value[4096];
    ssize_t length = ::lgetxattr(real_path.c_str(), name.c_str(), value, sizeof value);
    if (length >= 0) out.xattrs.emplace_back(name, std::string(value, size_t(length)));
  }
  return out;
}

Result<std::optional<LayeredTree::Found>> LayeredTree::find(std::string_view path) const {
  Found at;
  for (size_t i = layers_.size(); i-- > 0;) at.places.push_back(layers_[i]);
  if (at.places.empty()) at.st.st_mode = S_IFDIR | 0755;
  else at.st = TRY(os::lstat_file(at.places[0]));
  if (path.empty()) return at;
  for (std::string_view part : split(path, '/')) {
    if (!S_ISDIR(at.st.st_mode)) return std::nullopt;
    Found next;
    for (const std::string& place : at.places) {
      std::string candidate = place + "/" + std::string(part);
      struct stat st;
      if (::lstat(candidate.c_str(), &st) != 0) {
        if (errno != ENOENT && errno != ENOTDIR) return fail_errno("stat " + candidate);
        continue;
      }
      if (is_whiteout(st)) break;
      bool first = next.places.empty();
      if (!S_ISDIR(st.st_mode)) {
        if (first) {
          next.places.push_back(std::move(candidate));
          next.st = st;
        }
        break;
      }
      if (first) next.st = st;
      bool opaque = is_opaque(candidate);
      next.places.push_back(std::move(candidate));
      if (opaque) break;
    }
    if (next.places.empty()) return std::nullopt;
    at = std::move(next);
  }
  return at;
}

Result<std::optional<FileInfo>> LayeredTree::look(const std::string& path) const {
  auto found = TRY(find(path));
  if (!found) return std::nullopt;
  if (found->places.empty()) return FileInfo{.type = Type::directory, .mode = 0755};
  return TRY(file_info(found->places[0], found->st));
}

Result<std::string> LayeredTree::real_path(const std::string& path) const {
  auto found = TRY(find(path));
  return found && !found->places.empty() ? found->places[0] : std::string();
}

Result<std::vector<std::string>> LayeredTree::list(const std::string& path) const {
  auto found = TRY(find(path));
  if (!found || !S_ISDIR(found->st.st_mode)) return fail(Code::not_found, "/" + path + " is no directory");
  std::set<std::string> names, gone;
  for (const std::string& place : found->places) {
    std::set<std::string> whiteouts;
    for (const auto& entry : TRY(os::list_dir(place))) {
      if (gone.contains(entry.name) || names.contains(entry.name)) continue;
      if (entry.type == DT_CHR || entry.type == DT_UNKNOWN) {
        auto st = TRY(os::lstat_file(place + "/" + entry.name));
        if (is_whiteout(st)) {
          whiteouts.insert(entry.name);
          continue;
        }
      }
      names.insert(entry.name);
    }
    gone.merge(whiteouts);
  }
  return std::vector<std::string>(names.begin(), names.end());
}

Result<Fd> LayeredTree::open(const std::string& path, uint64_t& size) const {
  auto found = TRY(find(path));
  if (!found || !S_ISREG(found->st.st_mode)) return fail(Code::not_found, "/" + path + " is no file");
  size = uint64_t(found->st.st_size);
  return os::open_file(found->places[0], O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
}

Result<std::string> LayeredTree::digest(const std::string& path) const {
  uint64_t size = 0;
  Fd fd = TRY(open(path, size));
  image::FileSource source(fd.get());
  image::HashingSource hashed(source);
  TRY(image::copy_all(hashed, nullptr));
  return hashed.digest();
}

Result<void> LayeredTree::copy_content(const std::string& path, int to) const {
  uint64_t size = 0;
  Fd fd = TRY(open(path, size));
  return copy_bytes(fd.get(), 0, size, to);
}

Result<std::string> LayeredTree::read(const std::string& path, uint64_t limit) const {
  uint64_t size = 0;
  Fd fd = TRY(open(path, size));
  image::FileSource source(fd.get());
  return image::read_all(source, limit);
}

Result<std::string> LayeredTree::read_head(const std::string& path, size_t size) const {
  uint64_t whole = 0;
  Fd fd = TRY(open(path, whole));
  image::FileSource source(fd.get(), 0, std::min<uint64_t>(size, whole));
  return image::read_all(source, size);
}

}  // namespace estiba::build
