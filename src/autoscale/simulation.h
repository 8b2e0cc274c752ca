// What would be, if: nodes come, nodes go, pods are placed. The scheduler's own filters decide on the scheduler's own picture of the
// cluster, which is changed for the purpose and put back as it was, so that resources, taints, affinities, spread and volumes all count.
//
// Invariants: a Simulation lives within one turn of the executor: nothing else changes the cluster meanwhile; steps are undone in reverse.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "autoscale/node_groups.h"
#include "scheduler/configuration.h"
#include "scheduler/decide.h"

namespace estiba::autoscale {

/// The Node that a group's template stands for.
model::ObjectRef template_node(const NodeGroup& group, const std::string& name);

class Simulation {
 public:
  /// Both outlive this.
  Simulation(scheduler::Cluster& cluster, const scheduler::Configuration& configuration);
  /// The cluster is as it was.
  ~Simulation() { undo_to(0); }
  Simulation(const Simulation&) = delete;

  /// A node that is not there, with the pods of those DaemonSets that would run on it.
  void add_node(const model::ObjectRef& node, const std::vector<model::ObjectRef>& daemon_sets = {});
  /// The node and its pods are gone. It is there.
  void take_node(std::string_view name);
  void take_pod(const scheduler::DemandPtr& pod, std::string_view node);
  void put_pod(const scheduler::DemandPtr& pod, std::string_view node);

  /// Where the scheduler would place the pod now, wherever it is meant to be: it is there then. Null when it fits nowhere, or is for
  /// another scheduler.
  const scheduler::NodeState* place(const scheduler::DemandPtr& pod);
  /// The first of the nodes that take the pod: it is there then. Else null, with the reasons of the last.
  const scheduler::NodeState* place_on(const scheduler::DemandPtr& pod, const std::vector<std::string>& nodes, std::string* why);

  /// To come back to.
  size_t mark() const { return steps_.size(); }
  void undo_to(size_t mark);

  scheduler::Cluster& cluster() { return cluster_; }

 private:
  struct Step {
    enum class Kind : uint8_t { node_came, node_went, pod_came, pod_went };
    Kind kind;
    std::string node_name;
    model::ObjectRef node{};
    scheduler::DemandPtr pod{};
  };
  const scheduler::Profile* profile_of(const scheduler::Demand& pod) const;

  scheduler::Cluster& cluster_;
  std::vector<scheduler::Profile> profiles_;  // without the filter by spec.nodeName: pods that are somewhere are asked about elsewhere
  std::vector<Step> steps_;
  uint64_t turn_ = 0;
};

}  // namespace estiba::autoscale
