// The cluster as the autoscaler sees it: informers, and the scheduler's picture of nodes and placed pods, kept up to date change by change.
#pragma once
#include <string_view>
#include <vector>

#include "autoscale/drain_rules.h"
#include "base/function.h"
#include "client/informer.h"
#include "scheduler/cluster.h"
#include "scheduler/devices/devices.h"

namespace estiba::autoscale {

/// The taint of nodes that are about to go: no pod is placed there any more.
inline constexpr std::string_view going_taint = "ToBeDeletedByClusterAutoscaler";

class World {
 public:
  /// `client` outlives this. `changed` is called when something has changed that decisions depend on; `urgent`: pods wait for it, or nodes
  /// have come or gone. All in the thread of the executor.
  World(client::Client& client, UniqueFunction<void(bool urgent)> changed);
  World(const World&) = delete;

  Task<void> wait_synced();

  /// Those that the scheduler has found no node for and that may be waited for: not being deleted, and of no lower priority than -10
  /// (cluster-autoscaler's --expendable-pods-priority-cutoff).
  std::vector<scheduler::DemandPtr> unschedulable() const;
  std::vector<model::ObjectRef> daemon_sets() const { return owners.daemon_sets->list(); }
  /// A null reference when there is none.
  model::ObjectRef node(std::string_view name) const { return nodes->get(name); }

  client::Informer* nodes = nullptr;
  client::Informer* pods = nullptr;
  client::Informer* budgets = nullptr;
  Owners owners{};
  client::Informer::Index pods_by_node{};
  scheduler::Cluster cluster;

 private:
  void pod_changed(const model::ObjectRef& before, const model::ObjectRef& after);
  void node_changed(const model::ObjectRef& before, const model::ObjectRef& after);

  UniqueFunction<void(bool urgent)> changed_;
  std::vector<client::Informer*> needed_;
  client::Informers informers_;
  scheduler::devices::Devices devices_{informers_};
};

bool is_ready(const model::ObjectRef& node);
/// Whether the node has the taint.
bool is_marked_going(const model::ObjectRef& node);

}  // namespace estiba::autoscale
