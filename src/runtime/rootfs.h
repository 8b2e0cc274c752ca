// What the container's first process does to its mount namespace, from the host's tree to its own root.
#pragma once
#include <sys/stat.h>

#include <string>

#include "base/function.h"
#include "os/cgroup.h"
#include "os/fd.h"
#include "os/pty.h"
#include "runtime/outside_mounts.h"
#include "runtime/spec.h"

namespace estiba::runtime {

/// Runs in the container's new mount namespace, in this order. Paths inside the root are always resolved as if it were "/"
/// (os::open_in_root()), so that symlinks in an image lead nowhere else.
class Rootfs {
 public:
  /// `outside` is what prepare_outside() has made of it.
  Rootfs(const Spec& spec, std::string bundle, OutsideMounts& outside) : spec_(spec), bundle_(std::move(bundle)), outside_(outside) {}

  /// Called before anything that needs the process to be in its cgroup.
  UniqueFunction<Result<void>()> before_cgroup;

  /// Sets propagation, and makes the root directory a mount.
  Result<void> open();
  /// All mounts of the config, in order.
  Result<void> mount_all();
  /// Device nodes, and the usual links in /dev, unless the config binds a /dev of its own.
  Result<void> make_devices();
  /// Masked and readonly paths.
  Result<void> seal();
  /// Changes the root; `no_pivot` uses MS_MOVE and chroot. The working directory is "/" then.
  Result<void> enter(bool no_pivot);
  /// After enter(): the root's own mode and propagation.
  Result<void> finish();

 private:
  Result<void> mount_one(const SpecMount& mount);
  Result<void> mount_bind(const SpecMount& mount, const struct MountOptions& options);
  Result<void> attach(const os::Fd& tree, const std::string& destination);
  Result<os::Fd> mount_point(const struct ::stat& source, const std::string& destination);
  Result<void> mount_filesystem(const SpecMount& mount, const struct MountOptions& options);
  Result<void> mount_cgroup(const SpecMount& mount, const struct MountOptions& options);
  Result<void> mount_cgroup_v1(const SpecMount& mount, const struct MountOptions& options, const os::CgroupHost& host);
  Result<void> set_propagation(const std::string& destination, const std::vector<unsigned long>& kinds);
  Result<void> make_device(const SpecDevice& device);
  Result<void> link_in_dev(const char* target, const char* name);
  Result<void> mask(const std::string& path);
  Result<void> make_readonly(const std::string& path);
  bool own_dev() const;

  const Spec& spec_;
  std::string bundle_;
  OutsideMounts& outside_;
  std::string path_;  // of the root, on the host
  os::Fd root_;
};

/// Bind-mounts the terminal at "/dev/console" of the current root.
Result<void> mount_console(const os::Pty& terminal);

}  // namespace estiba::runtime
