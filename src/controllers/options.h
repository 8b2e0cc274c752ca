// What the wiring tells the controllers.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "client/client.h"
#include "controllers/load_balancer_pool.h"

namespace estiba::controllers {

/// A resource that objects are kept under, as the schema tables name it.
struct ResourceKind {
  client::Resource resource;
  std::string_view kind;
  bool namespaced = true;
};

class CertificateAuthority;
class Brokers;
class ExtensionApi;

struct Options {
  std::string root_ca_pem;                          ///< into the ConfigMap kube-root-ca.crt of every namespace; empty: no such ConfigMap
  const CertificateAuthority* authority = nullptr;  ///< signs certificate requests; null: nobody here does. Outlives the controllers
  ExtensionApi* extensions =
      nullptr;                      ///< asked for autoscalers' custom and external metrics; null: there are none. Outlives the controllers
  Brokers* brokers = nullptr;       ///< asks the service catalogue's brokers; null: there is no catalogue. Outlives the controllers
  std::vector<ResourceKind> kinds;  ///< what namespaces and the garbage collector cover; empty: every resource of the tables

  Duration signing_duration = std::chrono::hours(24 * 365);  ///< of certificates that are signed here, at most
  std::string pod_cidr;        ///< the nodes' podCIDRs are parts of it, or of one of each family; empty: nobody here gives nodes any
  int node_cidr_mask = 24;     ///< the prefix length of a node's part, IPv4
  int node_cidr_mask_v6 = 64;  ///< the same, IPv6
  LoadBalancerPool load_balancer_pool;  ///< what Services of type LoadBalancer get; empty: the nodes' addresses

  // Node lifecycle, with the defaults of Kubernetes.
  Duration node_grace = std::chrono::seconds(40);          ///< without a heartbeat for so long a node is Unknown
  Duration node_startup_grace = std::chrono::seconds(60);  ///< the same for a node that never sent one
  Duration event_lifetime = std::chrono::hours(1);         ///< after an Event was last seen
  size_t terminated_pod_threshold = 12'500;                ///< above it the oldest finished pods are deleted
};

}  // namespace estiba::controllers
