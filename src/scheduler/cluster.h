// The nodes with what is placed on them, kept up to date change by change: a placement adds to a few sums, nothing is
// computed again. A pod that we have placed counts from then on, before the API server has confirmed it ("assumed").
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "scheduler/demand.h"
#include "scheduler/listers.h"
#include "scheduler/tallies.h"

namespace estiba::scheduler {

namespace devices {
class Devices;
}

struct NodeState {
  std::string name;
  int32_t number = 0;     ///< small, and of no other node at the time
  int32_t position = -1;  ///< in Cluster::nodes(); -1: not there
  model::ObjectRef node;  ///< null while only pods of it are known
  Amounts allocatable, used;
  int64_t allocatable_pods = 0, pods = 0;
  bool unschedulable = false, keeps_away = false, discourages = false;  ///< by its spec: NoSchedule and NoExecute, PreferNoSchedule taints
  int64_t scored_cpu = 0, scored_memory = 0;                            ///< used, with defaults for containers that ask for nothing
  std::vector<HostPort> ports;
  std::unordered_map<std::string, int64_t> images;  ///< bytes, by name
  std::vector<DemandPtr> placed;                    ///< what is there
  std::vector<int32_t> domains;                     ///< which of its values a topology has here, -1: none; by Tallies::topology
  std::vector<DemandPtr> nominated;                 ///< pods that have preempted others here and wait for them to go

  /// The pod is (no longer) there.
  void put_on(const DemandPtr& demand);
  void take_off(const Demand& demand);
  const model::core_v1::Node& typed() const { return node.as<model::core_v1::Node>(); }
};

class Cluster : public NamespaceLabels {
 public:
  Listers listers;
  devices::Devices* devices = nullptr;  ///< what claims of devices can get; null where a test knows of none

  Cluster() = default;
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  void set_node(const model::ObjectRef& node);
  void remove_node(std::string_view name);

  /// The pod is on the node that its spec names; replaces what was known or assumed of it. Whether it asks for less than it did.
  bool set_pod(const model::ObjectRef& pod);
  void remove_pod(std::string_view uid);
  /// Whether `pod`, which has a node, is there already and counts as it would: what was assumed of it has come true. It is held from then
  /// on instead of the older object, which may go: references into that one do not outlive this call.
  bool confirm(const model::ObjectRef& pod);
  /// What the same revision of a placed pod, or of a node, is from now on: it is held instead of the other.
  void hold_pod(const model::ObjectRef& pod);
  void hold_node(const model::ObjectRef& node);
  /// The pod is about to be bound to `node`.
  void assume(const DemandPtr& demand, std::string_view node);
  /// The pod waits for room on `node`: others of no higher priority leave it that room. Ends when the pod is placed or removed.
  void nominate(const DemandPtr& demand, std::string_view node);
  void drop_nomination(std::string_view uid);
  bool knows(std::string_view uid) const { return placed_.contains(std::string(uid)); }

  void set_namespace(const model::ObjectRef& ns);
  void remove_namespace(std::string_view name);
  const model::Labels& labels_of(std::string_view ns) const override;

  /// Nodes that are known. Zones take turns, so that the first so many are of all zones.
  const std::vector<NodeState*>& nodes() const;
  /// Changes whenever nodes() does.
  uint64_t order() const { return order_; }
  /// Calls `changed` with the positions of nodes that have changed since the number that the last call returned; false when that is too
  /// long ago to tell, or the order has changed. `seen` is the new number.
  bool each_changed(uint64_t& seen, uint64_t order, const std::function<void(int32_t position)>& changed) const;
  /// Whether the pod has been promised room.
  bool is_nominated(std::string_view uid) const { return nominated_.contains(std::string(uid)); }
  /// Null when it is not known.
  NodeState* find(std::string_view name) const;
  /// How many placed pods use the claim, "ns/name".
  size_t users_of_claim(const std::string& claim) const;
  /// What is being written for a pod's claims counts until it is known to be so, or given up.
  void reserve_volume(const model::ObjectRef& volume, const model::ObjectRef& claim) {
    reserved_volumes_[volume.meta().name] = claim.meta().uid;
  }
  void release_volume(const std::string& volume) { reserved_volumes_.erase(volume); }
  void reserve_provision(const model::ObjectRef& claim, const std::string& node) { provisions_[claim.meta().uid] = node; }
  void release_provision(const std::string& claim_uid) { provisions_.erase(claim_uid); }
  /// Nobody but the claim has the volume in view.
  bool is_free(const model::ObjectRef& volume, const model::ObjectRef& claim) const;
  /// The node at which the claim's volume is to be made; empty when there is none yet.
  std::string node_of_claim(const model::ObjectRef& claim) const;

  /// How many nodes have an image of that name.
  size_t nodes_with_image(const std::string& name) const;
  /// Counts of placed pods; asking may make new ones.
  Tallies& tallies() const { return tallies_; }

 private:
  struct Placed {
    DemandPtr demand;
    NodeState* node;
  };
  NodeState& state(std::string_view name);
  void place(const DemandPtr& demand, std::string_view node);
  void set_images(NodeState& state, const std::vector<model::core_v1::ContainerImage>& images);
  void drop_if_unused(NodeState& state);

  int32_t free_number();
  void note_change(const NodeState& state);
  void reorder();

  std::unordered_map<std::string, std::unique_ptr<NodeState>> states_;
  mutable std::vector<NodeState*> known_;
  mutable bool in_order_ = true;
  uint64_t order_ = 0;
  std::vector<int32_t> changes_;    // positions of nodes that have changed, the newest last
  uint64_t changes_forgotten_ = 0;  // how many came before those
  std::vector<int32_t> free_numbers_;
  std::unordered_map<std::string, size_t> nodes_with_image_;
  std::unordered_map<std::string, size_t> claim_users_;
  std::unordered_map<std::string, std::string> reserved_volumes_;  // by name: the claim's UID
  std::unordered_map<std::string, std::string> provisions_;        // by the claim's UID: the node
  std::unordered_map<std::string, model::ObjectRef> namespaces_;
  mutable Tallies tallies_{known_, *this};          // mutable: what it keeps is what anybody could count
  std::unordered_map<std::string, Placed> placed_;  // by the pod's UID
  std::unordered_map<std::string, NodeState*> nominated_;
};

}  // namespace estiba::scheduler
