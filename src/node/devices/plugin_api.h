// Messages of the device plugin API, v1beta1 (k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1, api.proto, which names the fields' numbers).
#pragma once
#include "base/protobuf_message.h"

namespace estiba::node::plugin_api {

using protobuf::field;
using protobuf::Labels;
using protobuf::table;

inline constexpr std::string_view version = "v1beta1";
inline constexpr std::string_view healthy = "Healthy";

struct Options {
  bool pre_start_required = false, preferred_allocation_available = false;
  static constexpr auto fields() {
    using M = Options;
    return table(field(1, &M::pre_start_required), field(2, &M::preferred_allocation_available));
  }
};
struct RegisterRequest {
  std::string version, endpoint, resource_name;
  Options options;
  static constexpr auto fields() {
    using M = RegisterRequest;
    return table(field(1, &M::version), field(2, &M::endpoint), field(3, &M::resource_name), field(4, &M::options));
  }
};
struct NumaNode {
  int64_t id = 0;
  static constexpr auto fields() {
    using M = NumaNode;
    return table(field(1, &M::id));
  }
};
struct Topology {
  std::vector<NumaNode> nodes;
  static constexpr auto fields() {
    using M = Topology;
    return table(field(1, &M::nodes));
  }
};
struct Device {
  std::string id, health;
  Topology topology;
  static constexpr auto fields() {
    using M = Device;
    return table(field(1, &M::id), field(2, &M::health), field(3, &M::topology));
  }
};
struct ListAndWatchResponse {
  std::vector<Device> devices;
  static constexpr auto fields() {
    using M = ListAndWatchResponse;
    return table(field(1, &M::devices));
  }
};
/// Of AllocateRequest, of PreStartContainerRequest, and of a PreferredAllocationResponse: device ids in field 1.
struct DeviceIds {
  std::vector<std::string> ids;
  static constexpr auto fields() {
    using M = DeviceIds;
    return table(field(1, &M::ids));
  }
};
/// Also PreferredAllocationResponse, which has the same shape.
struct AllocateRequest {
  std::vector<DeviceIds> containers;
  static constexpr auto fields() {
    using M = AllocateRequest;
    return table(field(1, &M::containers));
  }
};
struct Mount {
  std::string container_path, host_path;
  bool read_only = false;
  static constexpr auto fields() {
    using M = Mount;
    return table(field(1, &M::container_path), field(2, &M::host_path), field(3, &M::read_only));
  }
};
struct DeviceSpec {
  std::string container_path, host_path, permissions;
  static constexpr auto fields() {
    using M = DeviceSpec;
    return table(field(1, &M::container_path), field(2, &M::host_path), field(3, &M::permissions));
  }
};
struct CdiDevice {
  std::string name;
  static constexpr auto fields() {
    using M = CdiDevice;
    return table(field(1, &M::name));
  }
};
struct ContainerAllocation {
  Labels envs;
  std::vector<Mount> mounts;
  std::vector<DeviceSpec> devices;
  Labels annotations;
  std::vector<CdiDevice> cdi_devices;
  static constexpr auto fields() {
    using M = ContainerAllocation;
    return table(field(1, &M::envs), field(2, &M::mounts), field(3, &M::devices), field(4, &M::annotations), field(5, &M::cdi_devices));
  }
};
struct AllocateResponse {
  std::vector<ContainerAllocation> containers;
  static constexpr auto fields() {
    using M = AllocateResponse;
    return table(field(1, &M::containers));
  }
};
struct ContainerPreference {
  std::vector<std::string> available, must_include;
  int32_t size = 0;
  static constexpr auto fields() {
    using M = ContainerPreference;
    return table(field(1, &M::available), field(2, &M::must_include), field(3, &M::size));
  }
};
struct PreferredAllocationRequest {
  std::vector<ContainerPreference> containers;
  static constexpr auto fields() {
    using M = PreferredAllocationRequest;
    return table(field(1, &M::containers));
  }
};
struct Empty {
  static constexpr auto fields() { return table(); }
};

}  // namespace estiba::node::plugin_api
