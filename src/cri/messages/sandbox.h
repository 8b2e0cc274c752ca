// CRI runtime.v1, messages about sandboxes: the shared part of a pod (k8s.io/cri-api, api.proto, which names the fields' numbers). Times
// are nanoseconds since 1970.
#pragma once
#include "cri/message.h"

namespace estiba::cri::v1 {

enum class Protocol : int32_t { tcp, udp, sctp };
enum class NamespaceMode : int32_t { pod, container, node, target };
enum class SupplementalGroupsPolicy : int32_t { merge, strict };
enum class ProfileType : int32_t { runtime_default, unconfined, localhost };
enum class PodSandboxState : int32_t { ready, not_ready };

struct DNSConfig {
  std::vector<std::string> servers, searches, options;
  static constexpr auto fields() {
    using M = DNSConfig;
    return table(field(1, &M::servers), field(2, &M::searches), field(3, &M::options));
  }
};
struct PortMapping {
  Protocol protocol{};
  int32_t container_port = 0, host_port = 0;
  std::string host_ip;
  static constexpr auto fields() {
    using M = PortMapping;
    return table(field(1, &M::protocol), field(2, &M::container_port), field(3, &M::host_port), field(4, &M::host_ip));
  }
};
struct IDMapping {
  uint32_t host_id = 0, container_id = 0, length = 0;
  static constexpr auto fields() {
    using M = IDMapping;
    return table(field(1, &M::host_id), field(2, &M::container_id), field(3, &M::length));
  }
};
struct UserNamespace {
  NamespaceMode mode{};
  std::vector<IDMapping> uids, gids;
  static constexpr auto fields() {
    using M = UserNamespace;
    return table(field(1, &M::mode), field(2, &M::uids), field(3, &M::gids));
  }
};
struct NamespaceOption {
  NamespaceMode network{}, pid{}, ipc{};
  std::string target_id;
  std::optional<UserNamespace> userns_options;
  static constexpr auto fields() {
    using M = NamespaceOption;
    return table(field(1, &M::network), field(2, &M::pid), field(3, &M::ipc), field(4, &M::target_id), field(5, &M::userns_options));
  }
};
struct SecurityProfile {
  ProfileType profile_type{};
  std::string localhost_ref;
  static constexpr auto fields() {
    using M = SecurityProfile;
    return table(field(1, &M::profile_type), field(2, &M::localhost_ref));
  }
};
struct LinuxSandboxSecurityContext {
  NamespaceOption namespace_options;
  std::optional<int64_t> run_as_user, run_as_group;
  bool readonly_rootfs = false, privileged = false;
  std::vector<int64_t> supplemental_groups;
  SupplementalGroupsPolicy supplemental_groups_policy{};
  std::optional<SecurityProfile> seccomp, apparmor;
  std::string seccomp_profile_path;
  static constexpr auto fields() {
    using M = LinuxSandboxSecurityContext;
    return table(field(1, &M::namespace_options), field(3, &M::run_as_user), field(8, &M::run_as_group), field(4, &M::readonly_rootfs),
                 field(5, &M::supplemental_groups), field(11, &M::supplemental_groups_policy), field(6, &M::privileged),
                 field(9, &M::seccomp), field(10, &M::apparmor), field(7, &M::seccomp_profile_path));
  }
};
struct HugepageLimit {
  std::string page_size;
  uint64_t limit = 0;
  static constexpr auto fields() { return table(field(1, &HugepageLimit::page_size), field(2, &HugepageLimit::limit)); }
};
struct LinuxContainerResources {
  int64_t cpu_period = 0, cpu_quota = 0, cpu_shares = 0, memory_limit_in_bytes = 0, oom_score_adj = 0, memory_swap_limit_in_bytes = 0;
  std::string cpuset_cpus, cpuset_mems;
  Labels unified;
  std::vector<HugepageLimit> hugepage_limits;
  static constexpr auto fields() {
    using M = LinuxContainerResources;
    return table(field(1, &M::cpu_period), field(2, &M::cpu_quota), field(3, &M::cpu_shares), field(4, &M::memory_limit_in_bytes),
                 field(5, &M::oom_score_adj), field(6, &M::cpuset_cpus), field(7, &M::cpuset_mems), field(8, &M::hugepage_limits),
                 field(9, &M::unified), field(10, &M::memory_swap_limit_in_bytes));
  }
};
struct LinuxPodSandboxConfig {
  std::string cgroup_parent;
  LinuxSandboxSecurityContext security_context;
  Labels sysctls;
  LinuxContainerResources overhead, resources;
  static constexpr auto fields() {
    using M = LinuxPodSandboxConfig;
    return table(field(1, &M::cgroup_parent), field(2, &M::security_context), field(3, &M::sysctls), field(4, &M::overhead),
                 field(5, &M::resources));
  }
};
struct PodSandboxMetadata {
  std::string name, uid, ns;
  uint32_t attempt = 0;
  static constexpr auto fields() {
    using M = PodSandboxMetadata;
    return table(field(1, &M::name), field(2, &M::uid), field(3, &M::ns), field(4, &M::attempt));
  }
};
struct PodSandboxConfig {
  PodSandboxMetadata metadata;
  std::string hostname, log_directory;
  DNSConfig dns_config;
  std::vector<PortMapping> port_mappings;
  Labels labels, annotations;
  LinuxPodSandboxConfig linux;
  static constexpr auto fields() {
    using M = PodSandboxConfig;
    return table(field(1, &M::metadata), field(2, &M::hostname), field(3, &M::log_directory), field(4, &M::dns_config),
                 field(5, &M::port_mappings), field(6, &M::labels), field(7, &M::annotations), field(8, &M::linux));
  }
};
struct RunPodSandboxRequest {
  PodSandboxConfig config;
  std::string runtime_handler;
  static constexpr auto fields() {
    using M = RunPodSandboxRequest;
    return table(field(1, &M::config), field(2, &M::runtime_handler));
  }
};
struct RunPodSandboxResponse {
  std::string pod_sandbox_id;
  static constexpr auto fields() {
    using M = RunPodSandboxResponse;
    return table(field(1, &M::pod_sandbox_id));
  }
};
struct StopPodSandboxRequest {
  std::string pod_sandbox_id;
  static constexpr auto fields() {
    using M = StopPodSandboxRequest;
    return table(field(1, &M::pod_sandbox_id));
  }
};
struct RemovePodSandboxRequest {
  std::string pod_sandbox_id;
  static constexpr auto fields() {
    using M = RemovePodSandboxRequest;
    return table(field(1, &M::pod_sandbox_id));
  }
};
struct PodSandboxStatusRequest {
  std::string pod_sandbox_id;
  bool verbose = false;
  static constexpr auto fields() {
    using M = PodSandboxStatusRequest;
    return table(field(1, &M::pod_sandbox_id), field(2, &M::verbose));
  }
};
struct PodIP {
  std::string ip;
  static constexpr auto fields() {
    using M = PodIP;
    return table(field(1, &M::ip));
  }
};
struct PodSandboxNetworkStatus {
  std::string ip;
  std::vector<PodIP> additional_ips;
  static constexpr auto fields() {
    using M = PodSandboxNetworkStatus;
    return table(field(1, &M::ip), field(2, &M::additional_ips));
  }
};
struct Namespace {
  NamespaceOption options;
  static constexpr auto fields() {
    using M = Namespace;
    return table(field(2, &M::options));
  }
};
struct LinuxPodSandboxStatus {
  Namespace namespaces;
  static constexpr auto fields() {
    using M = LinuxPodSandboxStatus;
    return table(field(1, &M::namespaces));
  }
};
struct PodSandboxStatus {
  std::string id, runtime_handler;
  PodSandboxMetadata metadata;
  PodSandboxState state{};
  int64_t created_at = 0;
  PodSandboxNetworkStatus network;
  LinuxPodSandboxStatus linux;
  Labels labels, annotations;
  static constexpr auto fields() {
    using M = PodSandboxStatus;
    return table(field(1, &M::id), field(2, &M::metadata), field(3, &M::state), field(4, &M::created_at), field(5, &M::network),
                 field(6, &M::linux), field(7, &M::labels), field(8, &M::annotations), field(9, &M::runtime_handler));
  }
};
struct PodSandboxFilter {
  std::string id;
  std::optional<PodSandboxState> state;
  Labels label_selector;
  static constexpr auto fields() {
    using M = PodSandboxFilter;
    return table(field(1, &M::id), field(2, &M::state), field(3, &M::label_selector));
  }
};
struct ListPodSandboxRequest {
  PodSandboxFilter filter;
  static constexpr auto fields() {
    using M = ListPodSandboxRequest;
    return table(field(1, &M::filter));
  }
};
struct PodSandbox {
  std::string id, runtime_handler;
  PodSandboxMetadata metadata;
  PodSandboxState state{};
  int64_t created_at = 0;
  Labels labels, annotations;
  static constexpr auto fields() {
    using M = PodSandbox;
    return table(field(1, &M::id), field(2, &M::metadata), field(3, &M::state), field(4, &M::created_at), field(5, &M::labels),
                 field(6, &M::annotations), field(7, &M::runtime_handler));
  }
};
struct ListPodSandboxResponse {
  std::vector<PodSandbox> items;
  static constexpr auto fields() {
    using M = ListPodSandboxResponse;
    return table(field(1, &M::items));
  }
};
struct PortForwardRequest {
  std::string pod_sandbox_id;
  std::vector<int32_t> port;
  static constexpr auto fields() {
    using M = PortForwardRequest;
    return table(field(1, &M::pod_sandbox_id), field(2, &M::port));
  }
};
struct PortForwardResponse {
  std::string url;
  static constexpr auto fields() {
    using M = PortForwardResponse;
    return table(field(1, &M::url));
  }
};
struct UpdatePodSandboxResourcesRequest {
  std::string pod_sandbox_id;
  LinuxContainerResources overhead, resources;
  static constexpr auto fields() {
    using M = UpdatePodSandboxResourcesRequest;
    return table(field(1, &M::pod_sandbox_id), field(2, &M::overhead), field(3, &M::resources));
  }
};

}  // namespace estiba::cri::v1
