#include "scheduler/plugins/plugins.h"

namespace estiba::scheduler {

static constexpr FilterPlugin filters[] = {
    {"NodeUnschedulable", check_unschedulable, nullptr, true},
    {"NodeName", check_node_name, prepare_node_name, true},
    {"TaintToleration", check_taints, nullptr, true},
    {"NodeAffinity", check_node_affinity, prepare_node_affinity, true},
    {"NodePorts", check_ports, prepare_ports, true},
    {"NodeResourcesFit", check_resources, prepare_resources, true},
    {"VolumeRestrictions", check_volume_restrictions, prepare_volume_restrictions},
    {"NodeVolumeLimits", check_volume_limits, prepare_volume_limits},
    {"VolumeBinding", check_volume_binding, prepare_volume_binding},
    {"VolumeZone", check_volume_zone, prepare_volume_zone},
    {"PodTopologySpread", check_spread, prepare_spread},
    {"InterPodAffinity", check_pod_affinity, prepare_pod_affinity},
    {"DynamicResources", check_dynamic_resources, prepare_dynamic_resources},
    {"NodeDeclaredFeatures", check_declared_features, prepare_declared_features, true},
};

static constexpr ScorePlugin scores[] = {
    {"TaintToleration", 3, score_taints},
    {"NodeAffinity", 2, score_node_affinity},
    {"NodeResourcesFit", 1, score_resources, true},
    {"PodTopologySpread", 2, score_spread},
    {"InterPodAffinity", 2, score_pod_affinity},
    {"DynamicResources", 2, score_dynamic_resources},
    {"NodeResourcesBalancedAllocation", 1, score_balanced, true},
    {"ImageLocality", 1, score_images},
};

const Profile& default_profile() {
  static const Profile profile{.name = "default-scheduler",
                               .filters = {std::begin(filters), std::end(filters)},
                               .scores = {std::begin(scores), std::end(scores)},
                               .bind = {"DefaultBinder", bind_by_api}};
  return profile;
}

}  // namespace estiba::scheduler
