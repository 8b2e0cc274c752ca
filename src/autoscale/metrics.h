// What the autoscaler counts, under cluster-autoscaler's names (docs/autoscaling-nodes.md).
#pragma once
#include "observe/metrics.h"

namespace estiba::autoscale {

inline observe::Counter& scaled_up() {
  static auto& counter = observe::metrics().counter("cluster_autoscaler_scaled_up_nodes_total", "Nodes that were added.");
  return counter;
}
inline observe::Family<observe::Counter>& scaled_down() {
  static auto& counters =
      observe::metrics().counters("cluster_autoscaler_scaled_down_nodes_total", "Nodes that were removed, by reason.", {"reason"});
  return counters;
}
inline observe::Family<observe::Counter>& failed_scale_ups() {
  static auto& counters =
      observe::metrics().counters("cluster_autoscaler_failed_scale_ups_total", "Nodes that did not come, by reason.", {"reason"});
  return counters;
}
inline observe::Family<observe::Counter>& errors() {
  static auto& counters = observe::metrics().counters("cluster_autoscaler_errors_total", "Failures, by type.", {"type"});
  return counters;
}
inline observe::Counter& evicted_pods() {
  static auto& counter = observe::metrics().counter("cluster_autoscaler_evicted_pods_total", "Pods that had to leave nodes that went.");
  return counter;
}
inline observe::Gauge& unschedulable_pods() {
  static auto& gauge = observe::metrics().gauge("cluster_autoscaler_unschedulable_pods_count", "Pods that no node takes.");
  return gauge;
}
inline observe::Gauge& unneeded_nodes() {
  static auto& gauge = observe::metrics().gauge("cluster_autoscaler_unneeded_nodes_count", "Nodes that will go when nothing changes.");
  return gauge;
}
inline observe::Family<observe::Gauge>& unremovable_nodes() {
  static auto& gauges =
      observe::metrics().gauges("cluster_autoscaler_unremovable_nodes_count", "Nodes that must stay, by reason.", {"reason"});
  return gauges;
}
inline observe::Family<observe::Gauge>& group_sizes() {
  static auto& gauges =
      observe::metrics().gauges("cluster_autoscaler_node_group_target_count", "Nodes that a group is to have.", {"node_group"});
  return gauges;
}
inline observe::Histogram& round_seconds() {
  static auto& histogram = observe::metrics().histogram("cluster_autoscaler_function_duration_seconds",
                                                        "How long one look at the cluster took.", observe::Histogram::seconds());
  return histogram;
}

}  // namespace estiba::autoscale
