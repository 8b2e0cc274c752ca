#include "scheduler/plugins/plugins.h"

namespace estiba::scheduler {

static constexpr FilterPlugin filters[] = {
    {"NodeUnschedulable", filter_unschedulable}, {"NodeName", filter_node_name}, {"TaintToleration", filter_taints},
    {"NodeAffinity", filter_node_affinity},      {"NodePorts", filter_ports},    {"NodeResourcesFit", filter_resources},
};

using Scale = ScorePlugin::Scale;
static constexpr ScorePlugin scores[] = {
    {"LeastAllocated", 1, Scale::as_is, score_least_allocated},
    {"BalancedAllocation", 1, Scale::as_is, score_balanced},
    {"NodeAffinity", 2, Scale::to_best, score_node_affinity},
    {"TaintToleration", 3, Scale::from_worst, score_taints},
};

const Profile& default_profile() {
  static constexpr Profile profile{filters, scores, {"DefaultBinder", bind_by_api}};
  return profile;
}

}  // namespace estiba::scheduler
