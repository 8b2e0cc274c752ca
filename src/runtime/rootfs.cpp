#include "runtime/rootfs.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/strings.h"
#include "os/file.h"
#include "os/mount.h"
#include "runtime/mount_options.h"

namespace estiba::runtime {

Result<void> Rootfs::open() {
  // Slave: mounts made on the host later come through where a volume asks for it, nothing goes back.
  unsigned long propagation = propagation_by_name(spec_.linux_.rootfs_propagation);
  if (outside_.root) {
    TRY(os::mount("none", "/", "", MS_SLAVE | MS_REC));
    // On top of "/", because no other directory of the host is sure to be open to the container's root. Absolute paths go on to mean the
    // host's: what is mounted on the root itself is not entered by its name.
    os::Fd host = TRY(os::open_file("/", O_PATH | O_DIRECTORY));
    TRY_AS("root.path", os::move_mount(outside_.root.get(), host.get()));
    root_ = std::move(outside_.root);
    return {};
  }
  // What is unbindable could not be bound to itself below; the root becomes so in the end (finish()).
  TRY(os::mount("none", "/", "", propagation && !(propagation & MS_UNBINDABLE) ? propagation : MS_SLAVE | MS_REC));
  path_ = root_path_of(spec_, bundle_);
  if (auto info = os::stat_file(path_); !info || !S_ISDIR(info->st_mode)) {
    return fail(Code::not_found, "root.path " + path_ + " is not a directory");
  }
  // pivot_root refuses a new root whose parent mount is shared.
  if (propagation & MS_SHARED) {
    std::string parent = path_;
    while (!os::mount("none", parent, "", MS_PRIVATE) && parent.size() > 1) {
      size_t slash = parent.rfind('/');
      parent = slash == 0 ? "/" : parent.substr(0, slash);
    }
  }
  TRY(os::mount(path_, path_, "", MS_BIND | MS_REC));
  root_ = TRY(os::open_file(path_, O_PATH | O_DIRECTORY));
  return {};
}

Result<void> Rootfs::mount_all() {
  for (size_t i = 0; i < spec_.mounts.size(); i++) {
    const SpecMount& mount = spec_.mounts[i];
    const bool there = i < outside_.binds.size() && outside_.binds[i];
    TRY_AS("mount " + mount.destination, there ? attach(outside_.binds[i], mount.destination) : mount_one(mount));
  }
  return {};
}

Result<void> Rootfs::mount_one(const SpecMount& mount) {
  MountOptions options = TRY(parse_mount_options(mount));
  if (mount.type == "cgroup" || mount.type == "cgroup2") return mount_cgroup(mount, options);
  if (options.bind) return mount_bind(mount, options);
  return mount_filesystem(mount, options);
}

Result<void> Rootfs::mount_bind(const SpecMount& mount, const MountOptions& options) {
  if (os::has_mount_api()) return attach(TRY(bind_tree(mount, options, bundle_)), mount.destination);
  // At its place first, and with its attributes then: nothing of the container runs before all of this is done.
  os::Fd source = TRY(os::open_file(bind_source_of(mount, bundle_), O_PATH));
  struct stat info = TRY(os::fstat_file(source.get()));
  TRY(os::bind_mount(source.get(), "", TRY(mount_point(info, mount.destination)).get(), options.recursive));
  os::Fd mounted = TRY(os::open_in_root(root_.get(), mount.destination, O_PATH));
  return set_bind_options(mounted.get(), options);
}

Result<void> Rootfs::attach(const os::Fd& tree, const std::string& destination) {
  struct stat info = TRY(os::fstat_file(tree.get()));
  return os::move_mount(tree.get(), TRY(mount_point(info, destination)).get());
}

Result<os::Fd> Rootfs::mount_point(const struct stat& source, const std::string& destination) {
  return S_ISDIR(source.st_mode) ? os::make_dirs_in_root(root_.get(), destination) : os::make_file_in_root(root_.get(), destination);
}

Result<void> Rootfs::mount_filesystem(const SpecMount& mount, const MountOptions& options) {
  os::Fd target = TRY(os::make_dirs_in_root(root_.get(), mount.destination));
  std::string source = mount.source.empty() ? mount.type : mount.source;
  auto done = os::mount(source, os::fd_path(target.get()), mount.type, options.flags, options.data);
  if (!done && mount.type == "sysfs" && done.error().sys == EPERM) {
    // A new sysfs belongs to whoever owns the network namespace; with the host's, its /sys is all there is.
    SpecMount bind{mount.destination, "bind", "/sys", {"rbind", "ro", "nosuid", "nodev", "noexec"}};
    return mount_bind(bind, TRY(parse_mount_options(bind)));
  }
  TRY(std::move(done));
  return set_propagation(mount.destination, options.propagation);
}

Result<void> Rootfs::set_propagation(const std::string& destination, const std::vector<unsigned long>& kinds) {
  if (kinds.empty()) return {};
  os::Fd mounted = TRY(os::open_in_root(root_.get(), destination, O_PATH));
  for (unsigned long kind : kinds) TRY(os::mount("none", os::fd_path(mounted.get()), "", kind));
  return {};
}

Result<void> Rootfs::mount_cgroup(const SpecMount& mount, const MountOptions& options) {
  if (before_cgroup) TRY(before_cgroup());
  const os::CgroupHost& host = *TRY(os::cgroup_host());
  if (host.mode == os::CgroupMode::v1) return mount_cgroup_v1(mount, options, host);
  if (spec_.find_namespace(CLONE_NEWCGROUP)) {
    os::Fd target = TRY(os::make_dirs_in_root(root_.get(), mount.destination));
    if (auto done = os::mount("cgroup", os::fd_path(target.get()), "cgroup2", options.flags); done || done.error().sys != EPERM)
      return done;
  }
  // Without a namespace of its own the container sees its own group and nothing beside it.
  SpecMount bind{mount.destination, "bind", host.unified + TRY(os::cgroup_of(0)), {"bind"}};
  MountOptions bind_options = options;
  bind_options.bind = true;
  return mount_bind(bind, bind_options);
}

Result<void> Rootfs::mount_cgroup_v1(const SpecMount& mount, const MountOptions& options, const os::CgroupHost& host) {
  bool own_namespace = spec_.find_namespace(CLONE_NEWCGROUP) != nullptr;
  SpecMount base{mount.destination, "tmpfs", "tmpfs", {"nosuid", "nodev", "noexec", "mode=755"}};
  MountOptions base_options = TRY(parse_mount_options(base));
  TRY(mount_filesystem(base, base_options));
  std::vector<std::string> done;
  for (const auto& [controller, from] : host.v1) {
    std::string name = from.substr(from.rfind('/') + 1);
    std::string destination = mount.destination + "/" + name;
    if (std::find(done.begin(), done.end(), name) == done.end()) {
      os::Fd target = TRY(os::make_dirs_in_root(root_.get(), destination));
      done.push_back(name);
      if (own_namespace) {
        std::string what = controller.starts_with("name=") ? "none," + controller : name;
        TRY(os::mount("cgroup", os::fd_path(target.get()), "cgroup", options.flags, what));
      } else {
        std::string own = TRY(os::read_file("/proc/self/cgroup"));
        std::string path = "/";
        for (std::string_view line : split(own, '\n')) {
          auto fields = split(line, ':');
          if (fields.size() == 3 && ("," + std::string(fields[1]) + ",").find("," + controller + ",") != std::string::npos)
            path = fields[2];
        }
        SpecMount bind{destination, "bind", from + path, {}};
        TRY(mount_bind(bind, options));
      }
    }
    // "cpu" → "cpu,cpuacct" where several controllers share a hierarchy.
    if (name.find(',') != std::string::npos) {
      os::Fd dir = TRY(os::open_in_root(root_.get(), mount.destination, O_RDONLY | O_DIRECTORY));
      if (symlinkat(name.c_str(), dir.get(), controller.c_str()) < 0 && errno != EEXIST) return fail_errno("symlink " + controller);
    }
  }
  if (!(options.flags & MS_RDONLY)) return {};
  os::Fd mounted = TRY(os::open_in_root(root_.get(), mount.destination, O_PATH));
  return os::set_mount_attributes(mounted.get(), MOUNT_ATTR_RDONLY, 0, 0, false);
}

bool Rootfs::own_dev() const {
  for (const SpecMount& mount : spec_.mounts) {
    std::string_view destination = mount.destination;
    if (destination.ends_with('/')) destination.remove_suffix(1);
    if (destination != "/dev") continue;
    for (const std::string& option : mount.options) {
      if (option == "bind" || option == "rbind") return true;
    }
    return mount.type == "bind";
  }
  return false;
}

Result<void> Rootfs::make_device(const SpecDevice& device) {
  size_t slash = device.path.rfind('/');
  os::Fd dir = TRY(os::make_dirs_in_root(root_.get(), slash == 0 ? "/" : device.path.substr(0, slash)));
  std::string name = device.path.substr(slash + 1);
  mode_t type = device.type == 'b' ? S_IFBLK : device.type == 'p' ? S_IFIFO : S_IFCHR;
  mode_t mode = device.file_mode.value_or(0666) & 07777;
  dev_t number = makedev(unsigned(device.major), unsigned(device.minor));
  if (mknodat(dir.get(), name.c_str(), type | mode, number) < 0) {
    if (errno == EEXIST) return {};
    if (errno != EPERM) return fail_errno("mknod " + device.path);
    // In a user namespace nobody may make nodes; the host's own is bound instead.
    os::Fd target = TRY(os::make_file_in_root(root_.get(), device.path));
    return os::bind_mount(AT_FDCWD, device.path, target.get(), false);
  }
  if (fchownat(dir.get(), name.c_str(), device.uid.value_or(0), device.gid.value_or(0), AT_SYMLINK_NOFOLLOW) < 0) {
    return fail_errno("chown " + device.path);
  }
  return {};
}

Result<void> Rootfs::link_in_dev(const char* target, const char* name) {
  os::Fd dir = TRY(os::make_dirs_in_root(root_.get(), "/dev"));
  if (symlinkat(target, dir.get(), name) < 0 && errno != EEXIST) return fail_errno(std::string("symlink /dev/") + name);
  return {};
}

Result<void> Rootfs::make_devices() {
  if (own_dev()) return {};
  static const SpecDevice usual[] = {{"/dev/null", 'c', 1, 3, {}, {}, {}},    {"/dev/zero", 'c', 1, 5, {}, {}, {}},
                                     {"/dev/full", 'c', 1, 7, {}, {}, {}},    {"/dev/random", 'c', 1, 8, {}, {}, {}},
                                     {"/dev/urandom", 'c', 1, 9, {}, {}, {}}, {"/dev/tty", 'c', 5, 0, {}, {}, {}}};
  for (const SpecDevice& device : usual) TRY(make_device(device));
  for (const SpecDevice& device : spec_.linux_.devices) TRY(make_device(device));
  TRY(link_in_dev("/proc/self/fd", "fd"));
  TRY(link_in_dev("/proc/self/fd/0", "stdin"));
  TRY(link_in_dev("/proc/self/fd/1", "stdout"));
  TRY(link_in_dev("/proc/self/fd/2", "stderr"));
  if (os::exists("/proc/kcore")) TRY(link_in_dev("/proc/kcore", "core"));
  if (os::open_in_root(root_.get(), "/dev/pts/ptmx", O_PATH)) TRY(link_in_dev("pts/ptmx", "ptmx"));
  return {};
}

namespace {

bool nothing_there(const Error& error) { return error.sys == ENOENT || error.sys == ENOTDIR; }

}  // namespace

Result<void> Rootfs::mask(const std::string& path) {
  auto target = os::open_in_root(root_.get(), path, O_PATH);
  if (!target && nothing_there(target.error())) return {};
  if (!target) return std::unexpected(target.error());
  struct stat info = TRY(os::fstat_file(target->get()));
  if (S_ISDIR(info.st_mode)) {
    return os::mount("tmpfs", os::fd_path(target->get()), "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "nr_blocks=1,nr_inodes=1");
  }
  return os::bind_mount(AT_FDCWD, "/dev/null", target->get(), false);
}

Result<void> Rootfs::make_readonly(const std::string& path) {
  auto target = os::open_in_root(root_.get(), path, O_PATH);
  if (!target && nothing_there(target.error())) return {};
  if (!target) return std::unexpected(target.error());
  if (!os::has_mount_api()) {
    TRY(os::bind_mount(target->get(), "", target->get(), true));
    os::Fd mounted = TRY(os::open_in_root(root_.get(), path, O_PATH));
    return os::set_mount_attributes(mounted.get(), MOUNT_ATTR_RDONLY, 0, 0, false);
  }
  os::Fd tree = TRY(os::open_tree(target->get(), "", true, true));
  TRY(os::set_mount_attributes(tree.get(), MOUNT_ATTR_RDONLY, 0, 0, false));
  return os::move_mount(tree.get(), target->get());
}

Result<void> Rootfs::seal() {
  for (const std::string& path : spec_.linux_.readonly_paths) TRY_AS("readonlyPaths " + path, make_readonly(path));
  for (const std::string& path : spec_.linux_.masked_paths) TRY_AS("maskedPaths " + path, mask(path));
  return {};
}

Result<void> Rootfs::enter(bool no_pivot) {
  if (!no_pivot) return os::pivot_root(root_.get());
  return path_.empty() ? os::change_root(root_.get()) : os::move_root(path_);
}

Result<void> Rootfs::finish() {
  if (spec_.root_readonly) TRY_AS("root.readonly", os::make_root_readonly());
  if (unsigned long kind = propagation_by_name(spec_.linux_.rootfs_propagation)) TRY(os::mount("none", "/", "", kind));
  return {};
}

Result<void> mount_console(const os::Pty& terminal) {
  os::Fd root = TRY(os::open_file("/", O_PATH | O_DIRECTORY));
  os::Fd target = TRY(os::make_file_in_root(root.get(), "/dev/console", 0620));
  // There may be no /proc by which descriptors have names; names lead out of the root no more.
  if (!os::has_mount_api()) return os::mount(terminal.slave_path, "/dev/console", "", MS_BIND);
  return os::bind_mount(terminal.slave.get(), "", target.get(), false);
}

}  // namespace estiba::runtime
