#include "docker/archive/changes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/strings.h"
#include "os/file.h"

namespace estiba::docker {
namespace {

bool is_whiteout(const struct stat& info) { return S_ISCHR(info.st_mode) && info.st_rdev == 0; }

bool is_opaque(int dir) {
  char value = 0;
  return ::fgetxattr(dir, "trusted.overlay.opaque", &value, 1) == 1 && value == 'y';
}

/// Mount points that the runtime makes, and what is below the first of them.
bool is_ours(std::string_view path) {
  constexpr std::array<std::string_view, 3> trees{"/dev", "/proc", "/sys"};
  constexpr std::array<std::string_view, 4> files{"/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/.dockerenv"};
  for (std::string_view tree : trees)
    if (path == tree || (path.starts_with(tree) && path[tree.size()] == '/')) return true;
  return std::find(files.begin(), files.end(), path) != files.end();
}

class Finder {
 public:
  explicit Finder(std::vector<std::string> layers) : layers_(std::move(layers)) { std::reverse(layers_.begin(), layers_.end()); }

  Result<bool> walk(int dir, const std::string& path) {
    bool any = false;
    for (const os::DirEntry& entry : TRY(os::list_dir(dir))) {
      const std::string name = path + "/" + entry.name;
      if (is_ours(name)) {
        ours_ = true;
        continue;
      }
      struct stat info{};
      if (::fstatat(dir, entry.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) continue;  // gone meanwhile
      any = TRY(one(dir, entry.name, name, info)) || any;
    }
    return any;
  }
  std::vector<Change> take() {
    std::sort(found_.begin(), found_.end(), [](const Change& a, const Change& b) { return a.path < b.path; });
    return std::move(found_);
  }

 private:
  /// Notes what changed at and below `name`; whether anything did.
  Result<bool> one(int dir, const std::string& base, const std::string& name, const struct stat& info) {
    const auto before = below(name);
    if (is_whiteout(info)) {
      if (!before) return false;  // made and removed again
      found_.push_back({Change::Kind::deleted, name});
      return true;
    }
    const bool was_directory = before && S_ISDIR(before->st_mode);
    bool inside = false;
    const bool outer_ours = std::exchange(ours_, false);
    if (S_ISDIR(info.st_mode)) {
      Fd child(::openat(dir, base.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (child) inside = TRY(walk(child.get(), name));
    }
    const bool made_by_us = std::exchange(ours_, outer_ours) && !inside;
    if (!before) {
      if (made_by_us) return false;  // /etc of an image without one
      found_.push_back({Change::Kind::added, name});
      return true;
    }
    if (S_ISDIR(info.st_mode) && was_directory) {
      const bool same = info.st_mode == before->st_mode && info.st_uid == before->st_uid && info.st_gid == before->st_gid;
      const bool touched = info.st_mtim.tv_sec != before->st_mtim.tv_sec || info.st_mtim.tv_nsec != before->st_mtim.tv_nsec;
      if (!inside && same && (!touched || made_by_us)) return false;
    }
    found_.push_back({Change::Kind::modified, name});
    return true;
  }

  /// What the layers below have at `path`, the uppermost of them.
  std::optional<struct stat> below(const std::string& path) const {
    for (const std::string& layer : layers_) {
      bool hides = false;
      Fd at(::open(layer.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      const auto parts = split(std::string_view(path).substr(1), '/');
      for (size_t i = 0; at && i < parts.size(); ++i) {
        const std::string part(parts[i]);
        struct stat info{};
        if (::fstatat(at.get(), part.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) break;
        if (is_whiteout(info)) return std::nullopt;
        if (i + 1 == parts.size()) return info;
        if (!S_ISDIR(info.st_mode)) return std::nullopt;
        at = Fd(::openat(at.get(), part.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (at && is_opaque(at.get())) hides = true;
      }
      if (hides) return std::nullopt;
    }
    return std::nullopt;
  }

  std::vector<std::string> layers_;  // uppermost first
  std::vector<Change> found_;
  bool ours_ = false;  // the directory that is walked holds something of ours
};

}  // namespace

Result<std::vector<Change>> find_changes(const std::string& upper, std::vector<std::string> layers) {
  auto dir = os::open_file(upper, O_RDONLY | O_DIRECTORY);
  if (!dir && dir.error().sys == ENOENT) return std::vector<Change>();
  if (!dir) return std::unexpected(dir.error());
  Finder finder(std::move(layers));
  TRY(finder.walk(dir->get(), ""));
  return finder.take();
}

}  // namespace estiba::docker
