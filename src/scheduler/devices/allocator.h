// Chooses devices for the claims of a pod on one node (KEP 4381, "structured parameters").
//
// The first solution is taken, in a fixed order: claims, requests and alternatives as they are given, pools by driver and name, slices by
// name, devices as published. So drivers can say by names what is to be used first. Where a choice leads nowhere it is taken back and the
// next is tried; devices of one request are only tried in rising order, since their order makes no difference. How much may be tried
// is bounded.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "scheduler/devices/claims.h"
#include "scheduler/devices/ledger.h"
#include "scheduler/devices/selectors.h"
#include "scheduler/devices/slices.h"

namespace estiba::scheduler::devices {

/// The most devices a claim may have (AllocationResultsMaxSize).
inline constexpr size_t most_results = 32;

/// What there is to choose from.
struct Stock {
  Inventory inventory;
  Ledger ledger;
  std::map<std::string, DeviceClassPtr, std::less<>> classes;
  std::map<std::string, client::DeviceTaintRule, std::less<>> taint_rules;  ///< by name
  Selectors selectors;
};

/// A device for a wish.
struct Assigned {
  const Wish* wish;
  SlicePtr slice;
  const Device* device;
  Amounts consumed{};  ///< of one that is shared
};

/// What a claim gets.
struct Allocation {
  std::vector<Assigned> devices;
  std::vector<size_t> chosen;           ///< of each request, which wish
  std::vector<DeviceClassPtr> classes;  ///< of each request's chosen wish

  std::vector<DeviceUse> uses() const;
};

/// The claim's status.allocation, as JSON, with fresh share ids.
std::string allocation_text(const Claim& claim, const Allocation& allocation, const std::string& node, std::string_view now);

class Allocator {
 public:
  /// Steps at one node, and at all nodes for one pod.
  static constexpr size_t most_steps = 100'000, most_steps_in_all = 1'000'000;

  /// `stock` must outlive this and not change meanwhile.
  Allocator(Stock& stock, std::vector<ClaimPtr> claims) : stock_(stock), claims_(std::move(claims)) {}

  /// Of each claim what it gets there; nullopt when the node does not have it. Fails where what is asked for, or what is published, makes
  /// no sense, and where too much would have to be tried.
  Result<std::optional<std::vector<Allocation>>> allocate(const NodeState& node);
  const std::vector<ClaimPtr>& claims() const { return claims_; }

 private:
  friend class Search;
  struct Pair {
    const Device* device;
    const Wish* wish;
    bool operator==(const Pair&) const = default;
  };
  struct PairHash {
    size_t operator()(const Pair& pair) const { return std::hash<const void*>{}(pair.device) * 31 + std::hash<const void*>{}(pair.wish); }
  };
  /// Whether class and request select the device; the same at every node.
  Result<bool> selects(const Claim& claim, const Wish& wish, const DeviceClass& of, const Slice& slice, const Device& device);

  Stock& stock_;
  const std::vector<ClaimPtr> claims_;
  std::unordered_map<Pair, bool, PairHash> selected_;
  size_t steps_ = 0;
};

}  // namespace estiba::scheduler::devices
