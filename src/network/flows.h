// Who talks to whom, for people: the kernel's tracked connections of this node, and what network policies have dropped here, with the names
// of pods, services and nodes. Pure but for read_kernel().
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "model/object.h"
#include "network/address.h"
#include "network/policy/rules.h"
#include "network/policy/table.h"
#include "os/conntrack.h"

namespace estiba::network {

/// One end of a flow.
struct FlowEnd {
  Address address;
  uint16_t port = 0;  ///< 0: none, or of a client whose flows are summed up
  std::string kind;   ///< "pod", "service", "node", or empty: nobody of the cluster
  std::string ns, name;
  std::string node;  ///< of a pod
  /// "shop/web", "service/shop/web", "node/a", or the address.
  std::string text() const;
};

struct Flow {
  FlowEnd source, destination;
  FlowEnd service;       ///< that was asked for, where the destination was chosen by it; else its address is zero and its kind empty
  std::string protocol;  ///< "tcp", "udp", "icmp", or a number
  bool denied = false;
  bool answered = false;              ///< of what was let through
  std::vector<std::string> policies;  ///< of denied ones: "ns/name" of the policies that isolate the pod and do not allow it
  uint64_t connections = 0;           ///< of denied ones: 0
  uint64_t packets = 0, bytes = 0;    ///< both ways
  WallTime since{};                   ///< when the first of the connections began; the epoch when unknown
  WallTime last{};                    ///< of denied ones: when the last packet came
};

/// Names of addresses, from the API's objects.
class Directory {
 public:
  void add_pod(const model::ObjectRef& pod);
  void add_service(const model::ObjectRef& service);
  void add_node(const model::ObjectRef& node);
  void add_policy(const model::ObjectRef& policy);

  FlowEnd end(const Address& address, uint16_t port) const;
  /// Policies that isolate the pod at an address in a direction.
  std::vector<std::string> isolating(const Address& pod, policy::Direction direction) const;

 private:
  struct Pod {
    std::string ns, name, node;
    model::Labels labels;
  };
  std::map<Address, Pod> pods_;
  std::map<Address, FlowEnd> services_, nodes_;
  std::vector<std::pair<std::string, policy::Rules>> policies_;  // by "ns/name"
};

struct FlowFilter {
  std::string ns;   ///< one end is in it; empty: any
  std::string pod;  ///< one end is this pod; empty: any
  bool wants(const Flow& flow) const;
};

/// Connections of one client to the same port of one server count as one flow.
std::vector<Flow> flows_of(const std::vector<os::conntrack::Connection>& connections, const std::vector<policy::Denied>& denied,
                           const Directory& directory, WallTime now);

struct KernelFlows {
  std::vector<os::conntrack::Connection> connections;
  std::vector<policy::Denied> denied;
};
/// Of the caller's network namespace; it needs CAP_NET_ADMIN.
Result<KernelFlows> read_kernel();

/// A line for each, under a heading.
std::string flows_table(const std::vector<Flow>& flows, bool heading);
/// {"flows": [{"source": {…}, …}]}
std::string flows_json(const std::vector<Flow>& flows);

}  // namespace estiba::network
