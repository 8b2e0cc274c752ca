
#include "base/signals.h"
#include "base/strings.h"
#include "cri/specs.h"
#include "engine/cdi.h"
#include "os/file.h"

namespace estiba::cri {

using v1::NamespaceMode;

namespace {

// The CRI's numbers are the names in alphabetical order, then 34…49 and 50…64.
constexpr int first_real_time = 34, last_real_time = 64;

Result<void> add_seccomp(engine::ContainerSpec& out, const v1::LinuxContainerSecurityContext& security) {
  if (!security.seccomp || security.seccomp->profile_type == v1::ProfileType::unconfined) return {};
  if (security.seccomp->profile_type == v1::ProfileType::runtime_default) {
    out.seccomp = engine::ContainerSpec::Seccomp::runtime_default;
    return {};
  }
  out.seccomp = engine::ContainerSpec::Seccomp::profile;
  out.seccomp_profile = TRY_AS("seccomp profile", os::read_file(security.seccomp->localhost_ref));
  return {};
}

Result<void> add_security(engine::ContainerSpec& out, const v1::LinuxContainerSecurityContext& security, bool users) {
  out.user.uid = security.run_as_user;
  out.user.gid = security.run_as_group;
  if (!security.run_as_user) out.user.user = security.run_as_username;
  out.user.groups = security.supplemental_groups;
  out.user.groups_from_image = security.supplemental_groups_policy == v1::SupplementalGroupsPolicy::merge;
  out.privileged = security.privileged;
  out.readonly_root = security.readonly_rootfs;
  out.no_new_privileges = security.no_new_privs;
  out.capabilities_add = security.capabilities.add_capabilities;
  out.capabilities_drop = security.capabilities.drop_capabilities;
  // Empty lists cannot be told from missing ones; who wants none (procMount: Unmasked) needs a user namespace, where nothing is to be
  // feared.
  if (!security.masked_paths.empty() || users) out.masked_paths = security.masked_paths;
  if (!security.readonly_paths.empty() || users) out.readonly_paths = security.readonly_paths;
  return add_seccomp(out, security);
}

}  // namespace

int signal_number(v1::Signal signal) {
  const auto named = named_signals();
  const int number = int(signal), beyond = number - int(named.size()) - 1;
  if (number <= 0) return 0;
  if (beyond < 0) return named[size_t(number) - 1].second;
  return first_real_time + beyond <= last_real_time ? first_real_time + beyond : 0;
}

v1::Signal signal_of(int number) {
  const auto named = named_signals();
  for (size_t i = 0; i < named.size(); ++i)
    if (named[i].second == number) return v1::Signal(i + 1);
  if (number < first_real_time || number > last_real_time) return v1::Signal::runtime_default;
  return v1::Signal(int(named.size()) + 1 + number - first_real_time);
}

namespace {

engine::Mount mount_of(const v1::Mount& mount) {
  using enum engine::Mount::Propagation;
  engine::Mount out;
  out.host_path = mount.host_path;
  out.image = mount.image.image;
  out.sub_path = mount.image_sub_path;
  out.container_path = mount.container_path;
  out.readonly = mount.readonly;
  out.readonly_recursive = mount.recursive_read_only;
  out.uids = ranges_of(mount.uid_mappings);
  out.gids = ranges_of(mount.gid_mappings);
  out.propagation = mount.propagation == v1::MountPropagation::bidirectional       ? bidirectional
                    : mount.propagation == v1::MountPropagation::host_to_container ? host_to_container
                                                                                   : none;
  return out;
}

}  // namespace

Result<void> check(const v1::ContainerConfig& config) {
  const std::string what = "container " + quoted(config.metadata.name) + ": ";
  if (config.metadata.name.empty()) return fail(Code::invalid, "the container's config.metadata must have a name");
  if (config.image.image.empty()) return fail(Code::invalid, what + "config.image must name an image");
  if (config.log_path.starts_with('/')) return fail(Code::invalid, what + "log_path must be relative to the sandbox's log_directory");
  TRY_AS("container " + quoted(config.metadata.name), engine::cdi_annotated(config.annotations));
  const auto& security = config.linux.security_context;
  if (security.apparmor && security.apparmor->profile_type == v1::ProfileType::localhost)
    return fail(Code::unsupported, what + "AppArmor profiles are not offered");
  for (const v1::Mount& mount : config.mounts) {
    if (!mount.container_path.starts_with('/'))
      return fail(Code::invalid, what + "the mount's container_path " + quoted(mount.container_path) + " is not absolute");
    if (mount.image.image.empty() && !mount.image_sub_path.empty())
      return fail(Code::invalid, what + "the mount at " + mount.container_path + " has an image_sub_path without an image");
    if (!mount.image.image.empty() && !mount.host_path.empty())
      return fail(Code::invalid, what + "the mount at " + mount.container_path + " has an image and a host_path; give one of them");
    if (mount.image.image.empty() && !mount.host_path.starts_with('/'))
      return fail(Code::invalid, what + "the host_path of mount " + mount.container_path + " is not absolute");
    if (mount.uid_mappings.empty() != mount.gid_mappings.empty())
      return fail(Code::invalid, what + "the mount at " + mount.container_path + " needs both uidMappings and gidMappings, or neither");
    if (mount.recursive_read_only && (!mount.readonly || mount.propagation != v1::MountPropagation::none))
      return fail(Code::invalid, what + "recursive_read_only needs readonly and private propagation");
  }
  return {};
}

Result<engine::ContainerSpec> container_spec(const SandboxRecord& sandbox, const ContainerRecord& record, int target_pid) {
  const v1::ContainerConfig& config = record.config;
  const auto& spaces = config.linux.security_context.namespace_options;
  engine::ContainerSpec out;
  out.id = record.id;
  out.name = config.metadata.name;
  out.attempt = config.metadata.attempt;
  out.image = record.image_id;
  out.command = config.command;
  out.args = config.args;
  for (const auto& [key, value] : config.envs) out.env.emplace_back(key, value);
  out.working_dir = config.working_dir;
  TRY(add_security(out, config.linux.security_context, sandbox.users() != nullptr));
  for (const v1::Mount& mount : config.mounts) {
    // As containerd does, for clients that rely on it.
    if (mount.image.image.empty() && !os::exists(mount.host_path))
      TRY_AS("source of mount " + mount.container_path, os::make_dirs(mount.host_path, 0755));
    out.mounts.push_back(mount_of(mount));
  }
  for (const v1::Device& device : config.devices)
    out.devices.push_back({device.host_path, device.container_path, device.permissions.empty() ? "rwm" : device.permissions});
  for (const v1::CDIDevice& device : config.cdi_devices) out.cdi_devices.push_back(device.name);
  for (std::string& name : TRY(engine::cdi_annotated(config.annotations))) out.cdi_devices.push_back(std::move(name));
  out.resources = resources_of(config.linux.resources);
  out.resources.oom_score_adj = int(config.linux.resources.oom_score_adj);
  const auto whole = sandbox.config.linux.security_context.namespace_options.pid;
  if (spaces.pid == NamespaceMode::target) out.join.pid = "/proc/" + std::to_string(target_pid) + "/ns/pid";
  else if (spaces.pid != whole)
    return fail(Code::invalid, "container " + quoted(config.metadata.name) + ": namespace_options.pid must be its sandbox's, or TARGET");
  out.tty = config.tty;
  out.stdin_open = config.stdin;
  out.stdin_once = config.stdin_once;
  if (!sandbox.config.log_directory.empty()) out.log_path = config.log_path;
  out.log_max_bytes = 0;  // the client rotates, and says so by ReopenContainerLog
  out.stop_signal = signal_number(config.stop_signal);
  out.labels = config.labels;
  out.annotations = config.annotations;
  return out;
}

engine::Resources resources_of(const v1::LinuxContainerResources& resources) {
  engine::Resources out;
  if (resources.cpu_shares > 0) out.cpu_shares = uint64_t(resources.cpu_shares);
  if (resources.cpu_quota != 0) out.cpu_quota_us = resources.cpu_quota;
  if (resources.cpu_period > 0) out.cpu_period_us = uint64_t(resources.cpu_period);
  if (resources.memory_limit_in_bytes > 0) {
    out.memory_bytes = resources.memory_limit_in_bytes;
    // Without a word about swap there is none, as in containerd.
    out.memory_swap_bytes =
        resources.memory_swap_limit_in_bytes > 0 ? resources.memory_swap_limit_in_bytes : resources.memory_limit_in_bytes;
  }
  out.cpuset_cpus = resources.cpuset_cpus;
  out.cpuset_mems = resources.cpuset_mems;
  for (const v1::HugepageLimit& pages : resources.hugepage_limits) out.huge_pages.emplace_back(pages.page_size, pages.limit);
  return out;
}

void merge(v1::LinuxContainerResources& resources, const v1::LinuxContainerResources& changes) {
  const auto number = [&](int64_t v1::LinuxContainerResources::* at) {
    if (changes.*at != 0) resources.*at = changes.*at;
  };
  for (auto at : {&v1::LinuxContainerResources::cpu_period, &v1::LinuxContainerResources::cpu_quota,
                  &v1::LinuxContainerResources::cpu_shares, &v1::LinuxContainerResources::memory_limit_in_bytes,
                  &v1::LinuxContainerResources::oom_score_adj, &v1::LinuxContainerResources::memory_swap_limit_in_bytes})
    number(at);
  if (!changes.cpuset_cpus.empty()) resources.cpuset_cpus = changes.cpuset_cpus;
  if (!changes.cpuset_mems.empty()) resources.cpuset_mems = changes.cpuset_mems;
  if (!changes.hugepage_limits.empty()) resources.hugepage_limits = changes.hugepage_limits;
}

}  // namespace estiba::cri
