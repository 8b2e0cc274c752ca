#include "runtime/mount_options.h"

#include <sys/mount.h>

#include "base/strings.h"

namespace estiba::runtime {

namespace {

struct Flag {
  std::string_view name;
  unsigned long set, clear;  // MS_*
  uint64_t attributes, cleared;
};

// The access time is a small number within the attributes, not a bit: setting one mode clears the field first.
constexpr Flag flags[] = {
    {"ro", MS_RDONLY, 0, MOUNT_ATTR_RDONLY, 0},
    {"rw", 0, MS_RDONLY, 0, MOUNT_ATTR_RDONLY},
    {"nosuid", MS_NOSUID, 0, MOUNT_ATTR_NOSUID, 0},
    {"suid", 0, MS_NOSUID, 0, MOUNT_ATTR_NOSUID},
    {"nodev", MS_NODEV, 0, MOUNT_ATTR_NODEV, 0},
    {"dev", 0, MS_NODEV, 0, MOUNT_ATTR_NODEV},
    {"noexec", MS_NOEXEC, 0, MOUNT_ATTR_NOEXEC, 0},
    {"exec", 0, MS_NOEXEC, 0, MOUNT_ATTR_NOEXEC},
    {"noatime", MS_NOATIME, 0, MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
    {"atime", 0, MS_NOATIME, MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"relatime", MS_RELATIME, 0, MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"norelatime", 0, MS_RELATIME, 0, MOUNT_ATTR__ATIME},
    {"strictatime", MS_STRICTATIME, 0, MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
    {"nostrictatime", 0, MS_STRICTATIME, MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"nodiratime", MS_NODIRATIME, 0, MOUNT_ATTR_NODIRATIME, 0},
    {"diratime", 0, MS_NODIRATIME, 0, MOUNT_ATTR_NODIRATIME},
    {"nosymfollow", 256 /* MS_NOSYMFOLLOW */, 0, MOUNT_ATTR_NOSYMFOLLOW, 0},
    {"symfollow", 0, 256, 0, MOUNT_ATTR_NOSYMFOLLOW},
    {"sync", MS_SYNCHRONOUS, 0, 0, 0},
    {"async", 0, MS_SYNCHRONOUS, 0, 0},
    {"dirsync", MS_DIRSYNC, 0, 0, 0},
    {"mand", MS_MANDLOCK, 0, 0, 0},
    {"nomand", 0, MS_MANDLOCK, 0, 0},
    {"lazytime", MS_LAZYTIME, 0, 0, 0},
    {"nolazytime", 0, MS_LAZYTIME, 0, 0},
    {"iversion", MS_I_VERSION, 0, 0, 0},
    {"noiversion", 0, MS_I_VERSION, 0, 0},
    {"silent", MS_SILENT, 0, 0, 0},
    {"loud", 0, MS_SILENT, 0, 0},
    {"remount", MS_REMOUNT, 0, 0, 0},
};

const Flag* find_flag(std::string_view name) {
  for (const Flag& flag : flags) {
    if (flag.name == name) return &flag;
  }
  return nullptr;
}

// "rro", "rnosuid", …: the attribute for the whole tree.
bool add_recursive(std::string_view option, MountOptions& out) {
  if (option.size() < 3 || option[0] != 'r') return false;
  const Flag* flag = find_flag(option.substr(1));
  if (!flag || (!flag->attributes && !flag->cleared)) return false;
  out.tree_attributes = (out.tree_attributes & ~flag->cleared) | flag->attributes;
  out.tree_cleared |= flag->cleared;
  return true;
}

// Options without meaning here: mount(8)'s own, and those of tmpfs that ask the runtime to copy what was below.
bool ignored(std::string_view option) {
  return option.empty() || option == "defaults" || option == "nofail" || option == "tmpcopyup" || option == "copy-symlink" ||
         option == "auto" || option == "noauto" || option == "user" || option == "nouser" || option == "_netdev" ||
         option.starts_with("x-") || option == "U";
}

}  // namespace

unsigned long propagation_by_name(std::string_view name) {
  unsigned long recursive = name.starts_with('r') ? MS_REC : 0;
  std::string_view plain = recursive ? name.substr(1) : name;
  if (plain == "shared") return MS_SHARED | recursive;
  if (plain == "slave") return MS_SLAVE | recursive;
  if (plain == "private") return MS_PRIVATE | recursive;
  if (plain == "unbindable") return MS_UNBINDABLE | recursive;
  return 0;
}

Result<MountOptions> parse_mount_options(const SpecMount& mount) {
  MountOptions out;
  out.bind = mount.type == "bind";
  out.idmap = !mount.uid_mappings.empty();
  for (const std::string& option : mount.options) {
    if (option == "bind" || option == "rbind") {
      out.bind = true;
      out.recursive = out.recursive || option == "rbind";
    } else if (const Flag* flag = find_flag(option)) {
      out.flags = (out.flags & ~flag->clear) | flag->set;
      out.attributes = (out.attributes & ~flag->cleared) | flag->attributes;
      out.cleared |= flag->cleared;
    } else if (unsigned long propagation = propagation_by_name(option)) {
      out.propagation.push_back(propagation);
    } else if (option == "idmap" || option == "ridmap") {
      out.idmap = true;
      out.idmap_recursive = option == "ridmap";
    } else if (!add_recursive(option, out) && !ignored(option)) {
      out.data.append(out.data.empty() ? "" : ",").append(option);
    }
  }
  if (out.bind && mount.source.empty()) return fail(Code::invalid, "mounts " + quoted(mount.destination) + ": a bind mount needs a source");
  if (out.idmap && !out.bind)
    return fail(Code::unsupported,
                "mounts " + quoted(mount.destination) + ": only bind mounts can be id-mapped, not " + quoted(mount.type));
  // A bind mount has no file system options; Docker puts such as "z" there.
  if (out.bind) out.data.clear();
  return out;
}

}  // namespace estiba::runtime
