// NodeDeclaredFeatureValidator: a pod that has a node changes only in ways that its node declares to know (KEP 5328).
// (Kubernetes: plugin/pkg/admission/nodedeclaredfeatures.)
#include "apiserver/admission/plugins.h"
#include "apiserver/cluster.h"
#include "base/strings.h"
#include "model/node_features.h"

namespace estiba::apiserver::admission {

Result<void> check_declared_features(Attributes& attributes) {
  const std::string_view door = attributes.action.subresource;
  if (!attributes.is_any("", "pods") || !attributes.updating() || (!door.empty() && door != "resize")) return {};
  const json::Node &spec = *attributes.object->find("spec"), &before = *attributes.old->find("spec");
  const std::string name(spec.string_at("nodeName"));
  if (name.empty()) return {};
  const auto needed = model::node_features::needed_by_change(before, spec);
  if (needed.empty()) return {};
  const auto found = attributes.cluster.find("", "nodes", "", name);
  if (!found && found.error().code != Code::not_found) return std::unexpected(found.error());
  if (!found) return attributes.forbidden("node " + quoted(name) + " not found");
  const std::string missing = model::node_features::missing(needed, (*found).as<model::core_v1::Node>().status.declaredFeatures);
  if (missing.empty()) return {};
  return attributes.forbidden("pod update requires features " + missing + " which are not available on node " + quoted(name));
}

}  // namespace estiba::apiserver::admission
