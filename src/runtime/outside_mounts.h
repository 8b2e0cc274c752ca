// What of a container's mounts is made outside of its user namespace: within, the way to the sources may be closed to its root, and ids
// cannot be mapped (mount_setattr(2): MOUNT_ATTR_IDMAP wants CAP_SYS_ADMIN where the file system is from).
#pragma once
#include <string>
#include <vector>

#include "os/fd.h"
#include "runtime/mount_options.h"
#include "runtime/spec.h"

namespace estiba::runtime {

struct OutsideMounts {
  os::Fd root;                ///< the root, detached; empty: the container's process mounts it by its path
  std::vector<os::Fd> binds;  ///< those of Spec::mounts, by their place there, detached and with all their options; empty likewise
};

/// In the caller's mount namespace. All of it, for a container with a user namespace; of another only the mounts that are id-mapped. A
/// caller without CAP_SYS_ADMIN, or on a kernel without os::has_mount_api(), leaves all to the container's process. Errors name the mount,
/// and the file system that cannot be id-mapped.
Result<OutsideMounts> prepare_outside(const Spec& spec, const std::string& bundle);

/// Where the mount's source is, as a path of the host.
std::string bind_source_of(const SpecMount& mount, const std::string& bundle);
/// Attributes and propagation of a bind mount.
Result<void> set_bind_options(int mount, const MountOptions& options);
/// A detached copy of `mount`'s source with its attributes and propagation, in this mount namespace. `user` >= 0: with that namespace's
/// ids.
Result<os::Fd> bind_tree(const SpecMount& mount, const MountOptions& options, const std::string& bundle, int user = -1,
                         bool cut_off = false);

/// root.path as a path of the host.
std::string root_path_of(const Spec& spec, const std::string& bundle);

}  // namespace estiba::runtime
