// The claims of a pod: which volumes they have, and which they could get on a node (Kubernetes' volume binder).
//
// Claims of a class that waits for a consumer are the scheduler's: it chooses an available volume that the node reaches, or names the
// node to the provisioner. All others have to be bound before.
#pragma once
#include <string>
#include <vector>

#include "client/claims.h"
#include "scheduler/plugin.h"

namespace estiba::scheduler {

/// spec.volumeName is set and the binder has finished.
bool is_bound(const model::ObjectRef& claim);

/// What is to be written for the claims of a pod that goes to a node.
struct VolumePlan {
  struct Binding {
    model::ObjectRef volume, claim;
  };
  std::vector<Binding> bindings;
  std::vector<model::ObjectRef> provisions;  ///< claims for which a volume is made
  bool empty() const { return bindings.empty() && provisions.empty(); }
};

class PodVolumes {
 public:
  PodVolumes(const Cluster& cluster, const Demand& pod);

  bool none() const { return bound_.empty() && delayed_.empty(); }
  /// Why the pod can go nowhere as its claims are; empty when it may.
  const std::string& refusal() const { return refusal_; }
  /// False with the reasons when the claims and the node do not go together; else what there is to do, into `plan` unless it is null.
  bool fits(const NodeState& node, Reasons* why, VolumePlan* plan) const;

 private:
  void add(const model::core_v1::Volume& volume);
  model::ObjectRef match(const model::ObjectRef& claim, const NodeState& node, const VolumePlan& taken) const;
  enum class Provision : uint8_t { possible, impossible, no_room };
  Provision can_provision(const model::ObjectRef& claim, const NodeState& node) const;
  bool has_capacity(const model::ObjectRef& claim, const model::ObjectRef& storage_class, const NodeState& node) const;

  const Cluster& cluster_;
  const Demand& pod_;
  std::vector<model::ObjectRef> bound_, delayed_;  // delayed_: the smallest first
  bool waits_ = false;                             // for claims that others bind
  std::string refusal_;
};

/// Whether the node is one of those that reach the volume.
bool reaches(const NodeState& node, const model::ObjectRef& volume);

}  // namespace estiba::scheduler
