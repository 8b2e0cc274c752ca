#include "apiserver/special/special.h"

namespace estiba::apiserver {

Act special_action(const Action& action) {
  bool review = action.resource->group.starts_with("auth");  // authentication.k8s.io, authorization.k8s.io
  bool binding = action.resource->plural == "bindings" || action.resource->plural == "componentstatuses";
  bool metrics = action.resource->group == "metrics.k8s.io";
  if (action.subresource.empty() && !review && !binding && !metrics) return nullptr;
  if (model::custom_of(*action.resource)) return action.subresource == "scale" ? scale_of_custom() : nullptr;
  for (auto family : {scale_actions(), pod_actions(), namespace_actions(), token_actions(), review_actions(), metrics_actions()}) {
    for (const Special& row : family) {
      if (row.subresource == action.subresource && row.resource == action.resource->plural && row.group == action.resource->group)
        return row.act;
    }
  }
  return nullptr;
}

}  // namespace estiba::apiserver
