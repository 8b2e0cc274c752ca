// What a NetworkPolicy says, as a pure function of the object: who is isolated, and what is allowed all the same. Names of pods and
// ports are left as selectors; state.h finds out whom they mean.
// Source: kubernetes.io/docs/concepts/services-networking/network-policies, and the comments of networking.k8s.io/v1.
#pragma once
#include <string>
#include <vector>

#include "model/selector.h"
#include "model/types/networking_v1.h"
#include "network/pod_net.h"
#include "network/policy/ranges.h"

namespace estiba::network::policy {

/// Pods that a rule means as peers. Two with the same key mean the same.
struct Peers {
  std::string ns;                   ///< the only namespace, or empty: those of `namespaces`
  model::LabelSelector namespaces;  ///< by their labels
  model::LabelSelector pods;
  std::string key() const;
};

/// Ports by number. Without ranges: every port of the protocol.
struct Ports {
  Protocol protocol = Protocol::tcp;
  Ranges ranges;
  bool operator==(const Ports&) const = default;
};
/// A port by its name in the pod that is sent to.
struct PortName {
  Protocol protocol = Protocol::tcp;
  std::string name;
  auto operator<=>(const PortName&) const = default;
};

/// Traffic is allowed whose peer and whose port are both among these.
struct Rule {
  bool any_peer = false;
  std::vector<Peers> peers;
  Blocks blocks;             ///< addresses of ipBlocks
  bool any_port = false;     ///< and every protocol
  std::vector<Ports> ports;  ///< at most one of each protocol
  std::vector<PortName> named;
};

struct Rules {
  std::string ns;
  bool v6 = false;                       ///< the family
  model::LabelSelector pods;             ///< whom the policy is for
  bool ingress = false, egress = false;  ///< in which directions they are isolated
  std::vector<Rule> from, to;

  /// All that it says, in one text: two with the same are the same.
  std::string text() const;
};

/// For packets of one family: ipBlocks of the other one mean nobody. Nor do a selector or a CIDR that cannot be read, which the API server
/// does not let through.
Rules rules_of(const model::networking_v1::NetworkPolicy& policy, bool v6);

}  // namespace estiba::network::policy
