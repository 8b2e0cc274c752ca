// Who a pod of a StatefulSet is: its ordinal, its name, its claims, and the pod itself as it is to be made.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/object.h"
#include "model/types/apps_v1.h"

namespace estiba::controllers {

/// "web-3" is the third of the set "web". Without an ordinal: an empty set and -1.
struct StatefulName {
  std::string_view set;
  int64_t ordinal = -1;
};
StatefulName parse_stateful_name(std::string_view pod);

/// Whether the pod's name says that it is of this set: what a StatefulSet may own.
bool is_stateful_member(const model::Meta& set, const model::Meta& pod);
/// Name and label statefulset.kubernetes.io/pod-name are what they should be.
bool has_stateful_identity(const model::Meta& set, const model::Meta& pod);
/// A merge patch that makes them so.
std::string stateful_identity_patch(const model::Meta& pod);

/// The pod of an ordinal, of the template that `revision` remembers, with name, hostname, labels and the volumes of its claims.
Result<std::string> stateful_pod_body(const model::ObjectRef& set, const model::ObjectRef& revision, int64_t ordinal);

/// The claims of an ordinal: "<template>-<set>-<ordinal>".
std::vector<std::string> claim_names(const model::ObjectRef& set, int64_t ordinal);
/// The claim of the i-th template.
Result<std::string> claim_body(const model::ObjectRef& set, size_t i, int64_t ordinal);

/// The owners that a claim should have by spec.persistentVolumeClaimRetentionPolicy, as a merge patch; empty when they are right
/// already, or when another controller or an owner of an earlier life holds it. `pod` may have no UID yet. `scaled_down`: its
/// ordinal is out of the set's range.
/// Source: Kubernetes' documentation of the policy: a claim dies with the set by an owner reference to the set, and with a pod
/// scaled away by one to the pod.
std::string claim_owners_patch(const model::ObjectRef& claim, const model::ObjectRef& set, const model::Meta& pod, bool scaled_down);
/// The set has a policy, but another controller owns the claim.
bool claim_has_other_controller(const model::ObjectRef& claim, const model::ObjectRef& set, const model::Meta& pod);
/// The claim is still owned by an earlier pod of this name (with whenScaled: Delete) and will go: no pod may use it.
bool claim_is_stale(const model::ObjectRef& claim, const model::ObjectRef& set, const std::string& pod);

}  // namespace estiba::controllers
