// What a node must know of its cluster, kept at <data-dir>/agent/cluster.json, so that a machine that starts while its server is away runs
// what it can.
#pragma once
#include <string>

#include "base/result.h"

namespace estiba::server {

struct ClusterFacts {
  std::string cluster_cidr, service_cidr, cluster_domain;
  std::string pod_cidr;            ///< this node's part
  bool ingress_on_agents = false;  ///< nodes may serve Ingresses

  bool operator==(const ClusterFacts&) const = default;
};

/// not_found when no server has told them yet.
Result<ClusterFacts> load_cluster_facts(const std::string& dir);
Result<void> store_cluster_facts(const std::string& dir, const ClusterFacts& facts);

}  // namespace estiba::server
