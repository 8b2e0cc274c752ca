// What an autoscaler scales: any kind with a scale subresource.
#pragma once
#include <string>

#include "client/informer.h"
#include "controllers/kinds.h"
#include "model/types/autoscaling_v2.h"

namespace estiba::controllers {

struct ScaleTarget {
  client::Resource resource;
  std::string name;
  int32_t replicas = 0, status_replicas = 0;  ///< wanted, and there
  std::string selector;                       ///< of its pods, as the scale subresource says it; empty: none
};

/// Reads the target itself, not its scale subresource, so that nobody is asked about a change that is none. `definitions` are the
/// CustomResourceDefinitions.
Task<Result<ScaleTarget>> find_target(client::Client& client, const client::Informer& definitions,
                                      model::autoscaling_v2::CrossVersionObjectReference reference, std::string ns);

/// "deployments.apps" of an object reference; not_found when no such kind is served.
Result<std::string> resource_name(const client::Informer& definitions, const model::autoscaling_v2::CrossVersionObjectReference& reference);

}  // namespace estiba::controllers
