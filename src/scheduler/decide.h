// One decision: where a pod goes, or why it can go nowhere.
#pragma once
#include <string>

#include "scheduler/plugin.h"

namespace estiba::scheduler {

/// What the filters have worked out about one pod. Valid while the cluster does not change.
class Cycle {
 public:
  Cycle(const Profile& profile, const Cluster& cluster, const Demand& pod);

  /// Why no node at all can take the pod; empty when nodes have to be looked at.
  const std::string& refusal() const { return refusal_; }
  /// The nodes to look at, when not all; `only_by` names the filter.
  const std::optional<std::vector<std::string>>& only() const { return only_; }
  std::string_view only_by() const { return only_by_; }

  /// Whether the node can take the pod, also when the pods that were promised room there have come. Without `why` the answer comes
  /// sooner, and a verdict against is that of any of the filters that refuse the node, not of the first.
  Verdict check(const NodeState& node, Reasons* why) const;

  /// For trying out what would be if pods were not there: a copy to change, beside a copy of the node.
  Cycle copy() const;
  void change(const Demand& other, const NodeState& node, int by);

  /// Whether all that has something to say to the pod looks at nothing but a node and the pod's shape.
  bool is_local() const;

  const Profile& profile() const { return profile_; }
  const Cluster& cluster() const { return cluster_; }
  const Demand& pod() const { return pod_; }

 private:
  struct Active {
    const FilterPlugin* filter;
    std::unique_ptr<PluginState> state;
  };
  struct Bare {};
  Cycle(const Cycle& other, Bare) : profile_(other.profile_), cluster_(other.cluster_), pod_(other.pod_) {}
  Verdict pass(const NodeState& node, Reasons* why) const;

  const Profile& profile_;
  const Cluster& cluster_;
  const Demand& pod_;
  std::vector<Active> active_;
  std::string refusal_;
  std::optional<std::vector<std::string>> only_;
  std::string_view only_by_;
};

struct Decision {
  const NodeState* node = nullptr;              ///< null when no node fits
  std::string message;                          ///< then: "0/3 nodes are available: 1 Insufficient cpu, 2 Too many pods."
  std::vector<const NodeState*> may_preempt{};  ///< then: nodes that could take the pod if others went; those of Verdicts are there
  size_t looked_at = 0;                         ///< how many nodes were looked at
};

class Verdicts;

/// Nodes are looked at from number `turn` on. In large clusters those behind the first so many that fit are not. `known`: what nodes have
/// answered to such pods, if it is kept.
Decision decide(const Cycle& cycle, uint64_t turn, Verdicts* known = nullptr);
Decision decide(const Profile& profile, const Cluster& cluster, const Demand& pod, uint64_t turn);

}  // namespace estiba::scheduler
