// The nodes with what is placed on them, kept up to date change by change: a placement adds to a few sums, nothing is
// computed again. A pod that we have placed counts from then on, before the API server has confirmed it ("assumed").
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "scheduler/demand.h"

namespace estiba::scheduler {

struct NodeState {
  std::string name;
  model::ObjectRef node;  ///< null while only pods of it are known
  Amounts allocatable, used;
  int64_t allocatable_pods = 0, pods = 0;
  int64_t scored_cpu = 0, scored_memory = 0;  ///< used, with defaults for containers that ask for nothing
  std::vector<HostPort> ports;
  std::vector<DemandPtr> placed;     ///< what is there
  std::vector<DemandPtr> nominated;  ///< pods that have preempted others here and wait for them to go

  /// The pod is (no longer) there.
  void put_on(const DemandPtr& demand);
  void take_off(const Demand& demand);
  const model::core_v1::Node& typed() const { return node.as<model::core_v1::Node>(); }
};

class Cluster {
 public:
  void set_node(const model::ObjectRef& node);
  void remove_node(std::string_view name);

  /// The pod is on the node that its spec names; replaces what was known or assumed of it.
  void set_pod(const model::ObjectRef& pod);
  void remove_pod(std::string_view uid);
  /// The pod is about to be bound to `node`.
  void assume(const DemandPtr& demand, std::string_view node);
  /// The pod waits for room on `node`: others of no higher priority leave it that room. Ends when the pod is placed or removed.
  void nominate(const DemandPtr& demand, std::string_view node);
  void drop_nomination(std::string_view uid);
  bool knows(std::string_view uid) const { return placed_.contains(std::string(uid)); }

  /// Nodes that are known, in no particular order.
  const std::vector<NodeState*>& nodes() const { return known_; }

 private:
  struct Placed {
    DemandPtr demand;
    NodeState* node;
  };
  NodeState& state(std::string_view name);
  void place(const DemandPtr& demand, std::string_view node);
  void drop_if_unused(NodeState& state);

  std::unordered_map<std::string, std::unique_ptr<NodeState>> states_;
  std::vector<NodeState*> known_;
  std::unordered_map<std::string, Placed> placed_;  // by the pod's UID
  std::unordered_map<std::string, NodeState*> nominated_;
};

}  // namespace estiba::scheduler
