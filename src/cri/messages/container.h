// CRI runtime.v1, messages about containers (k8s.io/cri-api, api.proto, which names the fields' numbers). Times are nanoseconds since 1970.
#pragma once
#include "cri/message.h"
#include "cri/messages/sandbox.h"

namespace estiba::cri::v1 {

enum class MountPropagation : int32_t { none, host_to_container, bidirectional };
enum class ContainerState : int32_t { created, running, exited, unknown };
/// 0 is the image's; signal_number() and signal_of() (cri/specs.h) translate.
enum class Signal : int32_t { runtime_default };

struct ImageSpec {
  std::string image, user_specified_image, runtime_handler, image_ref;
  Labels annotations;
  static constexpr auto fields() {
    using M = ImageSpec;
    return table(field(1, &M::image), field(2, &M::annotations), field(18, &M::user_specified_image), field(19, &M::runtime_handler),
                 field(20, &M::image_ref));
  }
};
struct Mount {
  std::string container_path, host_path, image_sub_path;
  bool readonly = false, selinux_relabel = false, recursive_read_only = false;
  MountPropagation propagation{};
  ImageSpec image;
  std::vector<IDMapping> uid_mappings, gid_mappings;
  static constexpr auto fields() {
    using M = Mount;
    return table(field(1, &M::container_path), field(2, &M::host_path), field(3, &M::readonly), field(4, &M::selinux_relabel),
                 field(5, &M::propagation), field(6, &M::uid_mappings), field(7, &M::gid_mappings), field(8, &M::recursive_read_only),
                 field(9, &M::image), field(10, &M::image_sub_path));
  }
};
struct ContainerMetadata {
  std::string name;
  uint32_t attempt = 0;
  static constexpr auto fields() {
    using M = ContainerMetadata;
    return table(field(1, &M::name), field(2, &M::attempt));
  }
};
struct ContainerResources {
  LinuxContainerResources linux;
  static constexpr auto fields() {
    using M = ContainerResources;
    return table(field(1, &M::linux));
  }
};
struct LinuxContainerUser {
  int64_t uid = 0, gid = 0;
  std::vector<int64_t> supplemental_groups;
  static constexpr auto fields() {
    using M = LinuxContainerUser;
    return table(field(1, &M::uid), field(2, &M::gid), field(3, &M::supplemental_groups));
  }
};
struct ContainerUser {
  std::optional<LinuxContainerUser> linux;
  static constexpr auto fields() {
    using M = ContainerUser;
    return table(field(1, &M::linux));
  }
};
struct ContainerStatus {
  std::string id, image_ref, reason, message, log_path, image_id;
  ContainerMetadata metadata;
  ContainerState state{};
  int64_t created_at = 0, started_at = 0, finished_at = 0;
  int32_t exit_code = 0;
  ImageSpec image;
  Labels labels, annotations;
  std::vector<Mount> mounts;
  ContainerResources resources;
  std::optional<ContainerUser> user;
  Signal stop_signal{};
  static constexpr auto fields() {
    using M = ContainerStatus;
    return table(field(1, &M::id), field(2, &M::metadata), field(3, &M::state), field(4, &M::created_at), field(5, &M::started_at),
                 field(6, &M::finished_at), field(7, &M::exit_code), field(8, &M::image), field(9, &M::image_ref), field(10, &M::reason),
                 field(11, &M::message), field(12, &M::labels), field(13, &M::annotations), field(14, &M::mounts), field(15, &M::log_path),
                 field(16, &M::resources), field(17, &M::image_id), field(18, &M::user), field(19, &M::stop_signal));
  }
};
struct KeyValue {
  std::string key, value;
  static constexpr auto fields() {
    using M = KeyValue;
    return table(field(1, &M::key), field(2, &M::value));
  }
};
struct Capability {
  std::vector<std::string> add_capabilities, drop_capabilities, add_ambient_capabilities;
  static constexpr auto fields() {
    using M = Capability;
    return table(field(1, &M::add_capabilities), field(2, &M::drop_capabilities), field(3, &M::add_ambient_capabilities));
  }
};
struct LinuxContainerSecurityContext {
  Capability capabilities;
  bool privileged = false, readonly_rootfs = false, no_new_privs = false;
  NamespaceOption namespace_options;
  std::optional<int64_t> run_as_user, run_as_group;
  std::string run_as_username, apparmor_profile, seccomp_profile_path;
  std::vector<int64_t> supplemental_groups;
  SupplementalGroupsPolicy supplemental_groups_policy{};
  std::vector<std::string> masked_paths, readonly_paths;
  std::optional<SecurityProfile> seccomp, apparmor;
  static constexpr auto fields() {
    using M = LinuxContainerSecurityContext;
    return table(field(1, &M::capabilities), field(2, &M::privileged), field(3, &M::namespace_options), field(5, &M::run_as_user),
                 field(12, &M::run_as_group), field(6, &M::run_as_username), field(7, &M::readonly_rootfs),
                 field(8, &M::supplemental_groups), field(17, &M::supplemental_groups_policy), field(11, &M::no_new_privs),
                 field(13, &M::masked_paths), field(14, &M::readonly_paths), field(15, &M::seccomp), field(16, &M::apparmor),
                 field(9, &M::apparmor_profile), field(10, &M::seccomp_profile_path));
  }
};
struct LinuxContainerConfig {
  LinuxContainerResources resources;
  LinuxContainerSecurityContext security_context;
  static constexpr auto fields() {
    using M = LinuxContainerConfig;
    return table(field(1, &M::resources), field(2, &M::security_context));
  }
};
struct Device {
  std::string container_path, host_path, permissions;
  static constexpr auto fields() {
    using M = Device;
    return table(field(1, &M::container_path), field(2, &M::host_path), field(3, &M::permissions));
  }
};
struct CDIDevice {
  std::string name;
  static constexpr auto fields() {
    using M = CDIDevice;
    return table(field(1, &M::name));
  }
};
struct ContainerConfig {
  ContainerMetadata metadata;
  ImageSpec image;
  std::vector<std::string> command, args;
  std::string working_dir, log_path;
  std::vector<KeyValue> envs;
  std::vector<Mount> mounts;
  std::vector<Device> devices;
  Labels labels, annotations;
  bool stdin = false, stdin_once = false, tty = false;
  LinuxContainerConfig linux;
  std::vector<CDIDevice> cdi_devices;
  Signal stop_signal{};
  static constexpr auto fields() {
    using M = ContainerConfig;
    return table(field(1, &M::metadata), field(2, &M::image), field(3, &M::command), field(4, &M::args), field(5, &M::working_dir),
                 field(6, &M::envs), field(7, &M::mounts), field(8, &M::devices), field(9, &M::labels), field(10, &M::annotations),
                 field(11, &M::log_path), field(12, &M::stdin), field(13, &M::stdin_once), field(14, &M::tty), field(15, &M::linux),
                 field(17, &M::cdi_devices), field(18, &M::stop_signal));
  }
};
struct CreateContainerRequest {
  std::string pod_sandbox_id;
  ContainerConfig config;
  PodSandboxConfig sandbox_config;
  static constexpr auto fields() {
    using M = CreateContainerRequest;
    return table(field(1, &M::pod_sandbox_id), field(2, &M::config), field(3, &M::sandbox_config));
  }
};
struct CreateContainerResponse {
  std::string container_id;
  static constexpr auto fields() {
    using M = CreateContainerResponse;
    return table(field(1, &M::container_id));
  }
};
struct StartContainerRequest {
  std::string container_id;
  static constexpr auto fields() {
    using M = StartContainerRequest;
    return table(field(1, &M::container_id));
  }
};
struct StopContainerRequest {
  std::string container_id;
  int64_t timeout = 0;
  static constexpr auto fields() {
    using M = StopContainerRequest;
    return table(field(1, &M::container_id), field(2, &M::timeout));
  }
};
struct RemoveContainerRequest {
  std::string container_id;
  static constexpr auto fields() {
    using M = RemoveContainerRequest;
    return table(field(1, &M::container_id));
  }
};
struct ContainerFilter {
  std::string id, pod_sandbox_id;
  std::optional<ContainerState> state;
  Labels label_selector;
  static constexpr auto fields() {
    using M = ContainerFilter;
    return table(field(1, &M::id), field(2, &M::state), field(3, &M::pod_sandbox_id), field(4, &M::label_selector));
  }
};
struct ListContainersRequest {
  ContainerFilter filter;
  static constexpr auto fields() {
    using M = ListContainersRequest;
    return table(field(1, &M::filter));
  }
};
struct Container {
  std::string id, pod_sandbox_id, image_ref, image_id;
  ContainerMetadata metadata;
  ImageSpec image;
  ContainerState state{};
  int64_t created_at = 0;
  Labels labels, annotations;
  static constexpr auto fields() {
    using M = Container;
    return table(field(1, &M::id), field(2, &M::pod_sandbox_id), field(3, &M::metadata), field(4, &M::image), field(5, &M::image_ref),
                 field(6, &M::state), field(7, &M::created_at), field(8, &M::labels), field(9, &M::annotations), field(10, &M::image_id));
  }
};
struct ListContainersResponse {
  std::vector<Container> containers;
  static constexpr auto fields() {
    using M = ListContainersResponse;
    return table(field(1, &M::containers));
  }
};
struct ContainerStatusRequest {
  std::string container_id;
  bool verbose = false;
  static constexpr auto fields() {
    using M = ContainerStatusRequest;
    return table(field(1, &M::container_id), field(2, &M::verbose));
  }
};
struct ContainerStatusResponse {
  ContainerStatus status;
  Labels info;
  static constexpr auto fields() {
    using M = ContainerStatusResponse;
    return table(field(1, &M::status), field(2, &M::info));
  }
};
struct UpdateContainerResourcesRequest {
  std::string container_id;
  LinuxContainerResources linux;
  Labels annotations;
  static constexpr auto fields() {
    using M = UpdateContainerResourcesRequest;
    return table(field(1, &M::container_id), field(2, &M::linux), field(4, &M::annotations));
  }
};
struct ExecSyncRequest {
  std::string container_id;
  std::vector<std::string> cmd;
  int64_t timeout = 0;
  static constexpr auto fields() {
    using M = ExecSyncRequest;
    return table(field(1, &M::container_id), field(2, &M::cmd), field(3, &M::timeout));
  }
};
struct ExecSyncResponse {
  std::string stdout, stderr;
  int32_t exit_code = 0;
  static constexpr auto fields() {
    using M = ExecSyncResponse;
    return table(field(1, &M::stdout), field(2, &M::stderr), field(3, &M::exit_code));
  }
};
struct ExecRequest {
  std::string container_id;
  std::vector<std::string> cmd;
  bool tty = false, stdin = false, stdout = false, stderr = false;
  static constexpr auto fields() {
    using M = ExecRequest;
    return table(field(1, &M::container_id), field(2, &M::cmd), field(3, &M::tty), field(4, &M::stdin), field(5, &M::stdout),
                 field(6, &M::stderr));
  }
};
struct ExecResponse {
  std::string url;
  static constexpr auto fields() {
    using M = ExecResponse;
    return table(field(1, &M::url));
  }
};
struct AttachRequest {
  std::string container_id;
  bool stdin = false, tty = false, stdout = false, stderr = false;
  static constexpr auto fields() {
    using M = AttachRequest;
    return table(field(1, &M::container_id), field(2, &M::stdin), field(3, &M::tty), field(4, &M::stdout), field(5, &M::stderr));
  }
};
struct AttachResponse {
  std::string url;
  static constexpr auto fields() {
    using M = AttachResponse;
    return table(field(1, &M::url));
  }
};
struct ReopenContainerLogRequest {
  std::string container_id;
  static constexpr auto fields() {
    using M = ReopenContainerLogRequest;
    return table(field(1, &M::container_id));
  }
};
struct CheckpointContainerRequest {
  std::string container_id, location;
  int64_t timeout = 0;
  static constexpr auto fields() {
    using M = CheckpointContainerRequest;
    return table(field(1, &M::container_id), field(2, &M::location), field(3, &M::timeout));
  }
};
struct PodSandboxStatusResponse {
  PodSandboxStatus status;
  Labels info;
  std::vector<ContainerStatus> containers_statuses;
  int64_t timestamp = 0;
  static constexpr auto fields() {
    using M = PodSandboxStatusResponse;
    return table(field(1, &M::status), field(2, &M::info), field(3, &M::containers_statuses), field(4, &M::timestamp));
  }
};

}  // namespace estiba::cri::v1
