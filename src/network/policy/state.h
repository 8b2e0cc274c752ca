// What the packet filter should hold so that all NetworkPolicies are in force for the pods of this node, and the difference since it was
// last written. Sees policies, namespaces and pods come, change and go; knows nothing of the kernel.
//
//  - A *group* is the addresses of the pods that some rule means as peers. Rules that mean the same share one.
//  - A *chain* is what a policy allows in one direction. It never changes: a policy that changes gets a new one.
//  - A *profile* is the chains of all policies that are for a pod, in one direction; pods for whom the same ones are share it.
//
// Policies add up: what one of them allows is allowed. A pod without a profile in a direction is not isolated in it.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "network/policy/rules.h"
#include "network/proxy/state.h"

namespace estiba::network::policy {

enum class Direction : uint8_t { ingress, egress };

/// One condition under which a chain allows: the peer, and the port.
struct Allow {
  enum class Peer : uint8_t { any, group, blocks };
  enum class Port : uint8_t { any, number, named };
  Peer peer = Peer::any;
  uint32_t group = 0;
  Blocks blocks;
  Port port = Port::any;
  Ports number;
  uint32_t named = 0;  ///< a group of ports
  bool operator==(const Allow&) const = default;
};

struct Chain {
  Direction direction = Direction::ingress;
  std::string note;                ///< the policy's "ns/name", to be shown
  std::vector<Allow> allows;       ///< of a policy
  std::vector<std::string> parts;  ///< of a profile: the policies' chains; what none of them allows is dropped
  bool operator==(const Chain&) const = default;
};

/// A port of a pod, as a member of the group of those with its name.
struct PodPort {
  uint32_t group = 0;
  Address address;
  Protocol protocol = Protocol::tcp;
  uint16_t port = 0;
  auto operator<=>(const PodPort&) const = default;
};
using Member = std::pair<uint32_t, Address>;  // group, address

struct PolicyChange {
  Tracked<uint32_t, Nothing>::Changes groups, port_groups;
  Tracked<Member, Nothing>::Changes members;
  Tracked<PodPort, Nothing>::Changes ports;
  Tracked<std::string, Chain>::Changes chains;
  Tracked<Address, std::string>::Changes ingress, egress;  ///< pod's address → profile
  Tracked<Address, Nothing>::Changes isolated;             ///< in any direction
  bool empty() const;
};

/// What policies look at of a pod.
struct PodFacts {
  std::string ns;
  model::Labels labels;
  std::vector<NamedPort> ports;
  std::optional<Address> address;  ///< of the family; nothing: none
  bool local = false;              ///< of this node, so that policies for it are enforced here
  bool operator==(const PodFacts&) const = default;
};

/// Of one family: addresses, and the rules for them.
class PolicyState {
 public:
  /// `name` is "ns/name"; nothing removes it.
  void set_policy(const std::string& name, std::optional<Rules> rules);
  /// Nothing: there is no such namespace.
  void set_namespace(const std::string& name, std::optional<model::Labels> labels);
  void set_pod(const std::string& uid, std::optional<PodFacts> facts);

  /// What has changed since the last call.
  PolicyChange take_change();
  /// Everything, to write an empty table; forgets what has changed.
  PolicyChange take_whole();

 private:
  struct Group {
    Peers peers;
    uint32_t id = 0;
    int uses = 0;                    // rules that mean it
    std::map<Address, int> members;  // addresses, and how many pods have each: an address may pass from one to the next
  };
  struct PortGroup {
    uint32_t id = 0;
    int uses = 0;
  };
  struct Policy {
    Rules rules;
    std::string text;
    std::string chains[2];  // by direction; empty: not isolated in it
    std::vector<std::string> groups;
    std::vector<PortName> named;
  };
  struct Pod {
    PodFacts facts;
    std::set<std::string> groups;  // keys of those it is in
    std::string profiles[2];
  };
  struct Profile {
    std::string chain;
    int uses = 0;
  };

  void drop_policy(const std::string& name);
  std::string add_chain(const std::string& name, Policy& policy, Direction direction, const std::vector<Rule>& rules);
  std::vector<Allow> allows_of(Policy& policy, const Rule& rule);
  uint32_t use_group(Policy& policy, const Peers& peers);
  uint32_t use_ports(Policy& policy, const PortName& name);
  bool matches(const Peers& peers, const PodFacts& pod) const;
  void join_groups(Pod& pod);
  void leave_groups(Pod& pod);
  void join(Group& group, const std::optional<Address>& address);
  void leave(Group& group, const std::optional<Address>& address);
  void set_ports(const PodFacts& pod, bool there);
  void choose_profiles(Pod& pod);
  void set_profile(Pod& pod, Direction direction, const std::vector<std::string>& chains);

  std::map<std::string, Policy> policies_;
  std::map<std::string, model::Labels> namespaces_;
  std::map<std::string, Pod> pods_;                                 // by uid
  std::map<std::string, std::set<std::string>> pods_of_namespace_;  // uids
  std::map<std::string, Group> groups_;                             // by the key of their peers
  std::map<PortName, PortGroup> port_groups_;
  std::map<PodPort, int> port_uses_;
  std::map<std::pair<Direction, std::vector<std::string>>, Profile> profiles_;
  uint32_t next_id_ = 0;

  Tracked<uint32_t, Nothing> group_ids_, port_group_ids_;
  Tracked<Address, Nothing> isolated_;
  Tracked<Member, Nothing> members_;
  Tracked<PodPort, Nothing> ports_;
  Tracked<std::string, Chain> chains_;
  Tracked<Address, std::string> verdicts_[2];
};

}  // namespace estiba::network::policy
