// CRI runtime.v1, messages about the runtime itself, and its events (k8s.io/cri-api, api.proto, which names the fields' numbers). Times are
// nanoseconds since 1970.
#pragma once
#include "cri/message.h"
#include "cri/messages/container.h"

namespace estiba::cri::v1 {

enum class CgroupDriver : int32_t { systemd, cgroupfs };
enum class ContainerEventType : int32_t { created, started, stopped, deleted };

struct VersionRequest {
  std::string version;
  static constexpr auto fields() {
    using M = VersionRequest;
    return table(field(1, &M::version));
  }
};
struct VersionResponse {
  std::string version, runtime_name, runtime_version, runtime_api_version;
  static constexpr auto fields() {
    using M = VersionResponse;
    return table(field(1, &M::version), field(2, &M::runtime_name), field(3, &M::runtime_version), field(4, &M::runtime_api_version));
  }
};
struct NetworkConfig {
  std::string pod_cidr;
  static constexpr auto fields() {
    using M = NetworkConfig;
    return table(field(1, &M::pod_cidr));
  }
};
struct RuntimeConfig {
  NetworkConfig network_config;
  static constexpr auto fields() {
    using M = RuntimeConfig;
    return table(field(1, &M::network_config));
  }
};
struct UpdateRuntimeConfigRequest {
  RuntimeConfig runtime_config;
  static constexpr auto fields() {
    using M = UpdateRuntimeConfigRequest;
    return table(field(1, &M::runtime_config));
  }
};
struct RuntimeCondition {
  std::string type, reason, message;
  bool status = false;
  static constexpr auto fields() {
    using M = RuntimeCondition;
    return table(field(1, &M::type), field(2, &M::status), field(3, &M::reason), field(4, &M::message));
  }
};
struct RuntimeStatus {
  std::vector<RuntimeCondition> conditions;
  static constexpr auto fields() {
    using M = RuntimeStatus;
    return table(field(1, &M::conditions));
  }
};
struct StatusRequest {
  bool verbose = false;
  static constexpr auto fields() {
    using M = StatusRequest;
    return table(field(1, &M::verbose));
  }
};
struct RuntimeHandlerFeatures {
  bool recursive_read_only_mounts = false, user_namespaces = false;
  static constexpr auto fields() {
    using M = RuntimeHandlerFeatures;
    return table(field(1, &M::recursive_read_only_mounts), field(2, &M::user_namespaces));
  }
};
struct RuntimeHandler {
  std::string name;
  RuntimeHandlerFeatures features;
  static constexpr auto fields() {
    using M = RuntimeHandler;
    return table(field(1, &M::name), field(2, &M::features));
  }
};
struct RuntimeFeatures {
  bool supplemental_groups_policy = false, user_namespaces_host_network = false;
  static constexpr auto fields() {
    using M = RuntimeFeatures;
    return table(field(1, &M::supplemental_groups_policy), field(2, &M::user_namespaces_host_network));
  }
};
struct StatusResponse {
  RuntimeStatus status;
  Labels info;
  std::vector<RuntimeHandler> runtime_handlers;
  RuntimeFeatures features;
  static constexpr auto fields() {
    using M = StatusResponse;
    return table(field(1, &M::status), field(2, &M::info), field(3, &M::runtime_handlers), field(4, &M::features));
  }
};
struct ContainerEventResponse {
  std::string container_id;
  ContainerEventType container_event_type{};
  int64_t created_at = 0;
  PodSandboxStatus pod_sandbox_status;
  std::vector<ContainerStatus> containers_statuses;
  static constexpr auto fields() {
    using M = ContainerEventResponse;
    return table(field(1, &M::container_id), field(2, &M::container_event_type), field(3, &M::created_at), field(4, &M::pod_sandbox_status),
                 field(5, &M::containers_statuses));
  }
};
struct LinuxRuntimeConfiguration {
  CgroupDriver cgroup_driver{};
  static constexpr auto fields() {
    using M = LinuxRuntimeConfiguration;
    return table(field(1, &M::cgroup_driver));
  }
};
struct RuntimeConfigResponse {
  LinuxRuntimeConfiguration linux;
  static constexpr auto fields() {
    using M = RuntimeConfigResponse;
    return table(field(1, &M::linux));
  }
};
struct Empty {
  static constexpr auto fields() { return table(); }
};

}  // namespace estiba::cri::v1
