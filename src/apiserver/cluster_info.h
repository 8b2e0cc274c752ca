// What a machine may know before it is a node, and what a node must know of the cluster:
//
//   kube-public/cluster-info     for everybody: the API server's address and CA (a kubeconfig without a user), signed with each bootstrap
//                                token that may sign (jws-kubeconfig-ID), as kubeadm's bootstrap signer does it
//   kube-system/estiba-cluster   for nodes: the cluster's ranges and its DNS domain
#pragma once
#include <map>
#include <string>
#include <string_view>

#include "apiserver/registry.h"
#include "base/task.h"

namespace estiba::apiserver {

/// What machines without credentials read; the role estiba:cluster-info lets them.
inline constexpr std::string_view cluster_info_path = "/api/v1/namespaces/kube-public/configmaps/cluster-info";

struct ClusterInfo {
  std::string server;  ///< URL
  std::string ca_pem;
  std::map<std::string, std::string> settings;  ///< the data of estiba-cluster
  std::string token_secret;                     ///< a bootstrap token's Secret that must be there (JSON), or empty
};

/// Keeps both right, as tokens come and go. Works until it is dropped; only one server of a cluster should.
Task<void> publish_cluster_info(Registry& registry, ClusterInfo info);

}  // namespace estiba::apiserver
