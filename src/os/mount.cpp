#include "os/mount.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>

#include "base/strings.h"
#include "os/file.h"
#include "os/syscall.h"

namespace estiba::os {

Result<void> mount(const std::string& source, const std::string& target, const std::string& type, unsigned long flags,
                   const std::string& data) {
  if (::mount(source.c_str(), target.c_str(), type.empty() ? nullptr : type.c_str(), flags, data.empty() ? nullptr : data.c_str()) < 0) {
    return fail_call("mount", (type.empty() ? source : type) + " at " + target + (data.empty() ? "" : " (" + data + ")"));
  }
  return {};
}

Result<void> umount(const std::string& target, int flags) {
  if (umount2(target.c_str(), flags) < 0) return fail_call("umount", target);
  return {};
}

Result<void> umount_all(const std::string& path) {
  std::vector<std::string> found;
  for (MountInfo& info : TRY(read_mountinfo())) {
    std::string_view point = info.mount_point;
    if (point == path || (point.starts_with(path) && point[path.size()] == '/')) found.push_back(std::move(info.mount_point));
  }
  // mountinfo lists parents first, and what is mounted on top of another later.
  for (auto it = found.rbegin(); it != found.rend(); ++it) {
    if (auto done = umount(*it, MNT_DETACH | UMOUNT_NOFOLLOW); !done && done.error().sys != EINVAL && done.error().sys != ENOENT)
      return done;
  }
  return {};
}

Result<void> pivot_root(int new_root) {
  // Both roots are stacked at the same place and the lower one is taken off: no directory for the old root is needed
  // (pivot_root(2), "pivot_root(".", ".")").
  Fd old_root = TRY(open_file("/", O_PATH | O_DIRECTORY));
  if (fchdir(new_root) < 0) return fail_errno("fchdir to the new root");
  if (syscall(SYS_pivot_root, ".", ".") < 0) return fail_errno("pivot_root");
  if (fchdir(old_root.get()) < 0) return fail_errno("fchdir to the old root");
  // Unmounting must not propagate to where the old root came from.
  if (::mount(nullptr, ".", nullptr, MS_SLAVE | MS_REC, nullptr) < 0) return fail_errno("mount MS_SLAVE of the old root");
  if (umount2(".", MNT_DETACH) < 0) return fail_errno("umount the old root");
  if (chdir("/") < 0) return fail_errno("chdir /");
  return {};
}

Result<void> move_root(const std::string& new_root) {
  if (chdir(new_root.c_str()) < 0) return fail_call("chdir", new_root);
  if (::mount(new_root.c_str(), "/", nullptr, MS_MOVE, nullptr) < 0) return fail_call("mount MS_MOVE", new_root);
  if (chroot(".") < 0) return fail_errno("chroot");
  if (chdir("/") < 0) return fail_errno("chdir /");
  return {};
}

Result<void> change_root(int new_root) {
  if (fchdir(new_root) < 0) return fail_errno("fchdir to the new root");
  if (chroot(".") < 0) return fail_errno("chroot");
  if (chdir("/") < 0) return fail_errno("chdir /");
  return {};
}

namespace {
// Spaces, tabs, newlines and backslashes are "\ooo" in mountinfo.
std::string unescape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += char((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::optional<MountInfo> parse_line(std::string_view line) {
  auto fields = split(line, ' ');
  size_t dash = 6;
  while (dash < fields.size() && fields[dash] != "-") dash++;
  if (dash + 3 >= fields.size()) return std::nullopt;
  MountInfo info;
  auto id = parse_number<int>(fields[0]), parent = parse_number<int>(fields[1]);
  auto [major, minor] = split_once(fields[2], ':');
  if (!id || !parent || !minor) return std::nullopt;
  info.id = *id;
  info.parent = *parent;
  info.major = parse_number<uint32_t>(major).value_or(0);
  info.minor = parse_number<uint32_t>(*minor).value_or(0);
  info.root = unescape(fields[3]);
  info.mount_point = unescape(fields[4]);
  info.options = fields[5];
  for (size_t i = 6; i < dash; i++) info.optional.append(i > 6 ? " " : "").append(fields[i]);
  info.fs_type = fields[dash + 1];
  info.source = unescape(fields[dash + 2]);
  info.super_options = fields[dash + 3];
  return info;
}
}  // namespace

Result<std::vector<MountInfo>> parse_mountinfo(std::string_view text) {
  std::vector<MountInfo> out;
  for (std::string_view line : split(text, '\n')) {
    if (line.empty()) continue;
    auto info = parse_line(line);
    if (!info) return fail(Code::malformed, "mountinfo: unexpected line " + quoted(line));
    out.push_back(std::move(*info));
  }
  return out;
}

Result<std::vector<MountInfo>> read_mountinfo(const std::string& pid) {
  return parse_mountinfo(TRY(read_file("/proc/" + pid + "/mountinfo")));
}

Result<bool> is_mount_point(const std::string& path) {
  const Fd fd = TRY(open_file(path, O_PATH | O_NOFOLLOW));
  return within(path, is_mount_root(fd.get()));
}

Result<Fd> open_tree(int dir, const std::string& path, bool clone, bool recursive) {
  unsigned flags =
      OPEN_TREE_CLOEXEC | (clone ? OPEN_TREE_CLONE : 0) | (clone && recursive ? AT_RECURSIVE : 0) | (path.empty() ? AT_EMPTY_PATH : 0);
  int fd = int(syscall(SYS_open_tree, dir, path.c_str(), flags));
  if (fd < 0) return fail_call("open_tree", path);
  return Fd(fd);
}

Result<void> move_mount(int mount, int target) {
  if (syscall(SYS_move_mount, mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
    return fail_errno("move_mount");
  return {};
}

bool has_mount_api() {
  // What each answers to bad arguments, before it looks whether the caller may mount at all. A seccomp profile that is older than the calls
  // answers EPERM.
  static const bool has = [] {
    const auto there = [](long result, bool privileged) { return result >= 0 || (errno != ENOSYS && (privileged || errno != EPERM)); };
    return there(syscall(SYS_mount_setattr, -1, "", 0, nullptr, 0), false) && there(syscall(SYS_open_tree, -1, "", 0), false) &&
           there(syscall(SYS_move_mount, -1, "", -1, "", ~0U), true);
  }();
  return has;
}

Result<void> bind_mount(int dir, const std::string& path, int target, bool recursive) {
  if (has_mount_api()) {
    Fd tree = TRY(open_tree(dir, path, true, recursive));
    return move_mount(tree.get(), target);
  }
  Fd source;
  if (!path.empty()) source = TRY(open_at(dir, path, O_PATH));
  return mount(fd_path(source ? source.get() : dir), fd_path(target), "", MS_BIND | (recursive ? MS_REC : 0));
}

namespace {

struct Attribute {
  uint64_t bit;
  unsigned long seen, flag;  // of statfs(2) and of mount(2)
};
constexpr Attribute attributes_of_old[] = {
    {MOUNT_ATTR_RDONLY, ST_RDONLY, MS_RDONLY},
    {MOUNT_ATTR_NOSUID, ST_NOSUID, MS_NOSUID},
    {MOUNT_ATTR_NODEV, ST_NODEV, MS_NODEV},
    {MOUNT_ATTR_NOEXEC, ST_NOEXEC, MS_NOEXEC},
    {MOUNT_ATTR_NODIRATIME, ST_NODIRATIME, MS_NODIRATIME},
    {MOUNT_ATTR_NOSYMFOLLOW, 0x2000, 256 /* MS_NOSYMFOLLOW */},
};

// mount(2) sets all flags of a mount at once: those that are not meant stay as they are.
Result<void> remount(const std::string& path, uint64_t set, uint64_t clear) {
  struct statfs now;
  if (statfs(path.c_str(), &now) < 0) return fail_call("statfs", path);
  unsigned long flags = MS_REMOUNT | MS_BIND;
  for (const Attribute& one : attributes_of_old) {
    const bool on = (now.f_flags & long(one.seen)) != 0;
    if ((set & one.bit) || (on && !(clear & one.bit))) flags |= one.flag;
  }
  if ((set | clear) & MOUNT_ATTR__ATIME) {
    const uint64_t kind = set & MOUNT_ATTR__ATIME;
    flags |= kind == MOUNT_ATTR_NOATIME ? MS_NOATIME : kind == MOUNT_ATTR_STRICTATIME ? MS_STRICTATIME : MS_RELATIME;
  } else {
    flags |= (now.f_flags & ST_NOATIME) ? MS_NOATIME : (now.f_flags & ST_RELATIME) ? MS_RELATIME : MS_STRICTATIME;
  }
  return mount("none", path, "", flags);
}

// The mounts below the one that `fd` is the top of, as this thread sees them.
Result<std::vector<Fd>> mounts_below(int fd) {
  const int top = TRY(mount_of(fd));
  std::vector<int> found{top};
  std::vector<Fd> out;
  // mountinfo lists parents first.
  for (const MountInfo& info : TRY(read_mountinfo("thread-self"))) {
    if (info.id == top || std::find(found.begin(), found.end(), info.parent) == found.end()) continue;
    found.push_back(info.id);
    Fd mount = TRY(open_file(info.mount_point, O_PATH | O_NOFOLLOW));
    if (TRY(mount_of(mount.get())) != info.id)
      return fail(Code::unsupported, "a mount at " + info.mount_point + " is covered by another: to change it Linux 5.12 is needed");
    out.push_back(std::move(mount));
  }
  return out;
}

Result<void> set_by_remount(int mount, uint64_t set, uint64_t clear, uint64_t propagation, bool recursive) {
  if (set | clear) {
    if (recursive)
      for (const Fd& below : TRY(mounts_below(mount))) TRY(remount(fd_path(below.get()), set, clear));
    TRY(remount(fd_path(mount), set, clear));
  }
  if (!propagation) return {};
  return os::mount("none", fd_path(mount), "", propagation | (recursive ? MS_REC : 0));
}

}  // namespace

Result<void> set_mount_attributes(int mount, uint64_t set, uint64_t clear, uint64_t propagation, bool recursive) {
  struct mount_attr attributes{};
  attributes.attr_set = set;
  attributes.attr_clr = clear;
  attributes.propagation = propagation;
  if (!has_mount_api()) return set_by_remount(mount, set, clear, propagation, recursive);
  if (syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &attributes, sizeof attributes) < 0) {
    return fail_errno("mount_setattr");
  }
  return {};
}

Result<void> make_root_readonly() {
  if (!has_mount_api()) return remount("/", MOUNT_ATTR_RDONLY, 0);
  const Fd root = TRY(open_file("/", O_PATH | O_DIRECTORY));
  return set_mount_attributes(root.get(), MOUNT_ATTR_RDONLY, 0, 0, false);
}

}  // namespace estiba::os
