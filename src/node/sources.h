// ConfigMaps and Secrets as a pod reads them, and the downward API.
#pragma once
#include <map>
#include <string>

#include "base/task.h"
#include "model/types/core_v1.h"
#include "node/context.h"

namespace estiba::node {

using Data = std::map<std::string, std::string>;

/// All keys of a ConfigMap (data and binaryData) or Secret, read from the API server now. not_found is worded
/// `configmap "x" not found`.
Task<Result<Data>> read_object(const Context& context, bool secret, std::string ns, std::string name);

/// What a container's environment names, fetched beforehand.
struct ObjectData {
  std::map<std::string, Result<Data>, std::less<>> config_maps, secrets;
  Result<Data> config_map(std::string_view name) const;
  Result<Data> secret(std::string_view name) const;
};
Task<ObjectData> read_referenced(const Context& context, std::string ns, const model::core_v1::Container& container);

/// What the pod's imagePullSecrets say, in their order; unreadable ones are left out.
Task<std::vector<engine::Credentials>> pull_credentials(const Context& context, model::ObjectRef pod);

/// The value of a field of the pod (metadata.name, metadata.labels['x'], spec.nodeName, status.podIP, …). Labels and
/// annotations as a whole are printed as `key="value"` lines.
Result<std::string> field_value(const model::core_v1::Pod& pod, const std::string& path, const std::vector<std::string>& ips,
                                const std::vector<std::string>& host_ips);

/// A container's request or limit divided by the divisor and rounded up, as the downward API gives it. Without a limit of
/// its own the container may use what the node has.
Result<std::string> resource_value(const model::core_v1::Pod& pod, const std::string& container, const std::string& resource,
                                   const std::string& divisor, const Data& node_allocatable);

}  // namespace estiba::node
