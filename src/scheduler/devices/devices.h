// The devices of the cluster as the scheduler sees them: slices, classes, claims, and what is being written for claims. One for a
// Cluster, in its thread.
#pragma once
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/function.h"
#include "client/informer.h"
#include "scheduler/devices/allocator.h"
#include "scheduler/devices/claims.h"

namespace estiba::scheduler::devices {

class PodDevices;

class Devices {
 public:
  /// What has changed, for those who wait: a claim's name as "ns/name" when it concerns those who use it, else everybody.
  struct Changes {
    UniqueFunction<void()> devices;                        ///< more may be free, or there
    UniqueFunction<void(const std::string& claim)> claim;  ///< another state of one claim
  };

  explicit Devices(client::Informers& informers);
  Devices(const Devices&) = delete;
  Devices& operator=(const Devices&) = delete;

  void on_change(Changes changes) { changes_ = std::move(changes); }
  std::vector<client::Informer*> informers() const { return {claims_, slices_, classes_, taint_rules_}; }
  client::Informer& claims() const { return *claims_; }

  /// Null when there is none.
  ClaimPtr claim(const std::string& key) const;
  /// What the claims of a pod come to; the same for as long as nothing has changed.
  std::shared_ptr<const PodDevices> of(const Demand& pod) const;

  /// What is being written for a claim counts until it is known to be so, or given up.
  void begin(const std::string& claim_uid, std::vector<DeviceUse> uses);
  /// Takes in what the claim says now.
  void end(const std::string& claim_uid, const std::string& key);
  bool is_pending(const std::string& claim_uid) const { return pending_.contains(claim_uid); }

 private:
  void claim_changed(const model::ObjectRef& before, const model::ObjectRef& after);
  void slice_changed(const model::ObjectRef& before, const model::ObjectRef& after);
  void class_changed(const model::ObjectRef& before, const model::ObjectRef& after);
  void taint_rule_changed(const model::ObjectRef& before, const model::ObjectRef& after);
  void changed() { last_.reset(); }

  client::Informer* claims_;
  client::Informer* slices_;
  client::Informer* classes_;
  client::Informer* taint_rules_;
  Changes changes_;
  mutable Stock stock_;                              // what selectors it has compiled is nobody's business
  std::unordered_map<std::string, ClaimPtr> known_;  // by key
  std::unordered_map<std::string, bool> pending_;    // by the claim's UID
  mutable std::shared_ptr<const PodDevices> last_;   // asked for by filter, score and whoever writes
};

/// What a decision means for a pod's claims.
struct DevicePlan {
  struct Entry {
    ClaimPtr claim;
    std::string allocation;  ///< JSON for its status; empty when it is allocated already
    std::vector<DeviceUse> uses;
  };
  std::vector<Entry> entries;
  bool empty() const { return entries.empty(); }
};

/// The claims of one pod, against the cluster as it is.
class PodDevices {
 public:
  PodDevices(const Devices& devices, Stock& stock, const Demand& pod);

  bool none() const { return claims_.empty() && refusal_.empty(); }
  /// Why the pod can go nowhere as its claims are; empty when it may.
  const std::string& refusal() const { return refusal_; }
  /// Empty when the node has what the claims ask for; else why not.
  const std::string& misses(const NodeState& node) const;
  /// How good the alternatives are that the node would give: 8 for each request that gets its first, 7 for its second, … 0 where no
  /// request has any.
  int64_t score(const NodeState& node) const;
  bool has_alternatives() const { return alternatives_; }
  /// What there is to write when the pod goes to the node, which misses nothing. `now` is RFC 3339.
  DevicePlan plan(const NodeState& node, std::string_view now) const;
  /// Allocated claims that kept the pod from some node, and that nobody else uses.
  std::vector<ClaimPtr> in_the_way() const;

  const model::ObjectRef& pod() const { return pod_; }

 private:
  struct AtNode {
    model::ObjectPtr node;  // what was looked at
    std::string misses;
    std::vector<Allocation> allocations;  // of those claims that have none, in their order
  };
  const AtNode& at(const NodeState& node) const;
  AtNode look(const NodeState& node) const;
  void add(const Devices& devices, const client::PodClaim& each, const Demand& pod);
  std::string unknown_class(const Claim& claim, const Stock& stock) const;

  model::ObjectRef pod_;
  std::vector<ClaimPtr> claims_;
  std::string refusal_;
  bool alternatives_ = false;
  std::unique_ptr<Allocator> allocator_;  // null when all have their devices
  mutable std::unordered_map<std::string, AtNode> nodes_;
  mutable std::vector<bool> missed_;  // of each claim, whether a node did not have its devices
};

}  // namespace estiba::scheduler::devices
