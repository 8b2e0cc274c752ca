// What ResourceQuotas count: the resources that an object uses up, by the names that quotas give them ("pods",
// "limits.cpu", "count/deployments.apps", "gold.storageclass.storage.k8s.io/requests.storage"), and which quotas are about
// it. Admission charges by these rules and the quota controller counts by them, so that both always agree.
//
// Kinds are named as quotas do: "pods", "deployments.apps".
#pragma once
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "model/json.h"
#include "model/quantity.h"

namespace estiba::model {

using ResourceList = std::map<std::string, Quantity, std::less<>>;

/// From an object of quantities (or null); what is no quantity is left out.
ResourceList read_resources(const json::Node* node);
/// As an object of canonical quantities, made in `doc`.
json::Node& write_resources(json::Document& doc, const ResourceList& list);
void add_resources(ResourceList& to, const ResourceList& more);
/// The entries of `list` whose names are in `names` (any map with those keys).
ResourceList masked(const ResourceList& list, const ResourceList& names);
/// "cpu=1,pods=2"
std::string print_resources(const ResourceList& list);

/// What a pod needs as a whole: containers and sidecars together, or the largest init container with the sidecars before it,
/// or the pod's own figures for cpu and memory where it has them. `which` is "requests" or "limits".
ResourceList pod_resources(const json::Node& spec, std::string_view which, bool with_overhead);

namespace quota {

/// Whether objects of this kind use up the resource that a quota calls `name`.
bool covers(std::string_view kind, std::string_view name);
/// The kinds that must be counted for a quota with these hard limits.
std::vector<std::string> kinds_counted(const ResourceList& hard);

/// What one object uses. Pods that have ended use nothing but their place in count/pods.
ResourceList usage(std::string_view kind, const json::Node& object, WallTime now);
/// The VolumeAttributesClasses that a claim has, asks for or is being changed to: it counts for each.
std::set<std::string_view> attributes_classes(const json::Node& claim);
/// Whether the quota's scopes and scopeSelector let it see the object; a quota without scopes sees all.
bool in_scope(const json::Node& quota_spec, std::string_view kind, const json::Node& object);
/// Why an object must not be made under a quota that limits `names`: containers without the requests and limits that
/// would be counted ("must specify limits.cpu for: c"); empty when nothing is missing.
std::string missing(std::string_view kind, const json::Node& object, const ResourceList& names);

}  // namespace quota
}  // namespace estiba::model
