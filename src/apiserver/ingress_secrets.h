// Which Secrets hold the certificates of Ingresses and Gateways: what nodes that serve these may read beside what their pods name. Narrower
// than what ingress controllers are usually given, which is every Secret of the cluster.
#pragma once
#include <string_view>

#include "apiserver/cluster.h"

namespace estiba::apiserver {

/// The key of the ConfigMap kube-system/estiba-cluster that says "true" where nodes may serve them.
inline constexpr std::string_view ingress_on_agents = "ingressOnAgents";

/// Whether nodes may serve Ingresses and the Secret is named by one whose class is ours, or by a Gateway whose class is ours; one in
/// another namespace only if a ReferenceGrant there permits it.
bool ingress_names_secret(const Cluster& cluster, std::string_view ns, std::string_view name);

}  // namespace estiba::apiserver
