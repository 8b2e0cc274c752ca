#include "docker/archive/rooted.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>

#include "base/strings.h"
#include "base/time.h"
#include "docker/json_writer.h"
#include "os/file.h"
#include "os/mount.h"
#include "os/namespace.h"

namespace estiba::docker {

Result<RootView> RootView::running(int pid) {
  RootView view;
  view.root_ = TRY(os::open_file("/proc/" + std::to_string(pid) + "/root", O_PATH | O_DIRECTORY));
  view.namespace_ = TRY(os::open_namespace(pid, CLONE_NEWNS));
  return view;
}

Result<void> RootView::enter() const {
  if (!namespace_) return {};
  TRY(os::unshare(CLONE_FS));
  return os::enter_namespace(namespace_.get(), CLONE_NEWNS);
}

namespace {

Result<void> put_in_place(const std::string& root, const RootedMount& mount) {
  Fd dir = TRY(os::open_file(root, O_PATH | O_DIRECTORY));
  const struct stat source = TRY(os::stat_file(mount.source));
  Fd target = S_ISDIR(source.st_mode) ? TRY(os::make_dirs_in_root(dir.get(), mount.destination))
                                      : TRY(os::make_file_in_root(dir.get(), mount.destination));
  TRY(os::mount(mount.source, os::fd_path(target.get()), "", MS_BIND | MS_REC));
  if (!mount.readonly) return {};
  Fd mounted = TRY(os::open_in_root(dir.get(), mount.destination, O_PATH));
  return os::set_mount_attributes(mounted.get(), MOUNT_ATTR_RDONLY, 0, 0, true);
}

}  // namespace

Result<RootView> RootView::stopped(const std::string& root, std::vector<RootedMount> mounts) {
  RootView view;
  if (mounts.empty()) {
    view.root_ = TRY(os::open_file(root, O_PATH | O_DIRECTORY));
    return view;
  }
  // A mount inside another one's destination comes after it.
  std::stable_sort(mounts.begin(), mounts.end(), [](const auto& a, const auto& b) { return a.destination.size() < b.destination.size(); });
  view.namespace_ = TRY(os::private_mounts([&]() -> Result<void> {
    for (const RootedMount& mount : mounts) TRY_AS("mount " + mount.source + " at " + mount.destination, put_in_place(root, mount));
    view.root_ = TRY(os::open_file(root, O_PATH | O_DIRECTORY));
    return {};
  }));
  return view;
}

PathParts take_path_apart(std::string_view path) {
  std::vector<std::string> parts;
  for (std::string_view part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    // As Go's filepath.Join does before any symlink is looked at.
    if (part != "..") parts.emplace_back(part);
    else if (!parts.empty()) parts.pop_back();
  }
  PathParts out;
  const bool dot = path == "." || path.ends_with("/.");
  const bool whole = dot || path.ends_with('/') || parts.empty();
  out.name = dot && !parts.empty() ? "." : parts.empty() ? "/" : parts.back();
  if (whole) out.base = dot ? "." : "";
  else out.base = parts.back(), parts.pop_back();
  out.directory = parts.empty() ? "/" : "/" + join(parts, "/") + "/";
  return out;
}

Result<Fd> open_path(int root, const PathParts& parts) {
  auto dir = os::open_in_root(root, parts.directory, O_PATH | O_DIRECTORY);
  if (!dir) return dir;
  if (parts.base.empty() || parts.base == ".") return dir;
  return os::open_at(dir->get(), parts.base, O_PATH | O_NOFOLLOW);
}

std::string real_path(int root, std::string_view path) {
  std::string at = "/";
  std::vector<std::string> rest;
  auto push = [&](std::string_view text) {
    std::vector<std::string_view> parts = split(text, '/');
    for (size_t i = parts.size(); i-- > 0;)
      if (!parts[i].empty() && parts[i] != ".") rest.emplace_back(parts[i]);
  };
  push(path);
  for (int links = 0; !rest.empty();) {
    const std::string name = std::move(rest.back());
    rest.pop_back();
    if (name == "..") {
      at.resize(std::max<size_t>(at.rfind('/'), 1));
      continue;
    }
    char target[4096];
    auto dir = os::open_in_root(root, at, O_PATH | O_DIRECTORY);
    const ssize_t n = dir ? ::readlinkat(dir->get(), name.c_str(), target, sizeof target) : -1;
    if (n < 0 || ++links > 40) {
      at = at.size() == 1 ? at + name : at + "/" + name;
      continue;
    }
    const std::string_view text(target, size_t(n));
    if (text.starts_with('/')) at = "/";
    push(text);
  }
  return at;
}

uint32_t go_mode(mode_t mode) {
  uint32_t out = mode & 0777;
  switch (mode & S_IFMT) {
    case S_IFDIR: out |= 1u << 31; break;
    case S_IFLNK: out |= 1u << 27; break;
    case S_IFBLK: out |= 1u << 26; break;
    case S_IFCHR: out |= 1u << 26 | 1u << 21; break;
    case S_IFIFO: out |= 1u << 25; break;
    case S_IFSOCK: out |= 1u << 24; break;
    default: break;
  }
  if (mode & S_ISUID) out |= 1u << 23;
  if (mode & S_ISGID) out |= 1u << 22;
  if (mode & S_ISVTX) out |= 1u << 20;
  return out;
}

Result<PathStat> stat_in_root(int root, std::string_view path) {
  const PathParts parts = take_path_apart(path);
  Fd fd = TRY(open_path(root, parts));
  const struct stat info = TRY(os::fstat_file(fd.get()));
  PathStat out;
  out.name = parts.name;
  out.size = info.st_size;
  out.mode = go_mode(info.st_mode);
  out.mtime = format_rfc3339_nano(WallTime(std::chrono::seconds(info.st_mtim.tv_sec) + std::chrono::nanoseconds(info.st_mtim.tv_nsec)));
  if (S_ISLNK(info.st_mode)) out.link_target = real_path(root, parts.directory + parts.base);
  return out;
}

std::string PathStat::json() const {
  JsonWriter json;
  json.object().put("name", name).put("size", size).put("mode", mode).put("mtime", mtime).put("linkTarget", link_target).end();
  return json.take();
}

}  // namespace estiba::docker
