// Messages of the pod resources API, v1 (k8s.io/kubelet/pkg/apis/podresources/v1, api.proto, which names the fields' numbers).
#pragma once
#include "base/protobuf_message.h"
#include "node/devices/plugin_api.h"

namespace estiba::node::pod_resources_api {

using plugin_api::NumaNode;
using plugin_api::Topology;
using protobuf::field;
using protobuf::table;

struct ContainerDevices {
  std::string resource_name;
  std::vector<std::string> device_ids;
  Topology topology;
  static constexpr auto fields() {
    using M = ContainerDevices;
    return table(field(1, &M::resource_name), field(2, &M::device_ids), field(3, &M::topology));
  }
};
struct ContainerMemory {
  std::string memory_type;
  uint64_t size = 0;
  Topology topology;
  static constexpr auto fields() {
    using M = ContainerMemory;
    return table(field(1, &M::memory_type), field(2, &M::size), field(3, &M::topology));
  }
};
struct ContainerResources {
  std::string name;
  std::vector<ContainerDevices> devices;
  std::vector<int64_t> cpu_ids;
  std::vector<ContainerMemory> memory;
  static constexpr auto fields() {
    using M = ContainerResources;
    return table(field(1, &M::name), field(2, &M::devices), field(3, &M::cpu_ids), field(4, &M::memory));
  }
};
struct PodResources {
  std::string name, ns;
  std::vector<ContainerResources> containers;
  static constexpr auto fields() {
    using M = PodResources;
    return table(field(1, &M::name), field(2, &M::ns), field(3, &M::containers));
  }
};
struct ListPodResourcesResponse {
  std::vector<PodResources> pod_resources;
  static constexpr auto fields() {
    using M = ListPodResourcesResponse;
    return table(field(1, &M::pod_resources));
  }
};
struct AllocatableResourcesResponse {
  std::vector<ContainerDevices> devices;
  std::vector<int64_t> cpu_ids;
  std::vector<ContainerMemory> memory;
  static constexpr auto fields() {
    using M = AllocatableResourcesResponse;
    return table(field(1, &M::devices), field(2, &M::cpu_ids), field(3, &M::memory));
  }
};
struct GetPodResourcesRequest {
  std::string pod_name, pod_namespace;
  static constexpr auto fields() {
    using M = GetPodResourcesRequest;
    return table(field(1, &M::pod_name), field(2, &M::pod_namespace));
  }
};
struct GetPodResourcesResponse {
  std::optional<PodResources> pod_resources;
  static constexpr auto fields() {
    using M = GetPodResourcesResponse;
    return table(field(1, &M::pod_resources));
  }
};

}  // namespace estiba::node::pod_resources_api
