// When a node is in need (kubelet's pkg/kubelet/eviction): signals, the thresholds below which they must not fall, and what has become of
// each. Pure functions and values; eviction.h acts on them.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/result.h"

namespace estiba::node {

enum class Signal : uint8_t {
  memory_available,
  nodefs_available,
  nodefs_inodes_free,
  imagefs_available,
  imagefs_inodes_free,
  pid_available
};
/// "memory.available"
std::string_view name_of(Signal signal);
/// The resource that is short: memory, ephemeral-storage, inodes or pids.
std::string_view resource_of(Signal signal);
/// MemoryPressure, DiskPressure or PIDPressure.
std::string_view condition_of(Signal signal);

/// A quantity, or a share of the capacity.
struct Amount {
  std::optional<int64_t> quantity;
  double share = 0;
  std::string text;  ///< as it was written

  int64_t of(int64_t capacity) const { return quantity ? *quantity : int64_t(share * double(capacity)); }
  bool operator==(const Amount&) const = default;
};

struct Threshold {
  Signal signal{};
  Amount value;
  Duration grace{};  ///< zero: a hard one
  std::optional<Amount> reclaim;

  bool hard() const { return grace == Duration{}; }
  bool operator==(const Threshold&) const = default;
};

/// Of --eviction-hard and the others: lists with commas ("memory.available<100Mi,nodefs.available<10%", "memory.available=1m30s"). Errors
/// name the flag and the part that is wrong. 0% and 100% switch a threshold off.
Result<std::vector<Threshold>> parse_thresholds(std::string_view hard, std::string_view soft, std::string_view grace_periods,
                                                std::string_view minimum_reclaim);

struct Observation {
  int64_t available = 0, capacity = 0;
};
using Observations = std::map<Signal, Observation>;

/// The thresholds that are met, whatever their grace; with `reclaim`, also those that have not got away from their line far enough.
std::vector<Threshold> met(const std::vector<Threshold>& thresholds, const Observations& seen, bool reclaim);

/// What a node's need is over time: since when each threshold has been met, and which conditions hold.
class Pressure {
 public:
  Pressure(std::vector<Threshold> thresholds, Duration transition) : thresholds_(std::move(thresholds)), transition_(transition) {}

  /// Takes in what is seen now. Returns the thresholds that ask for something to be done, memory first.
  std::vector<Threshold> look(const Observations& seen, Instant now);
  /// Whether nothing is short any more, each with its minimum to reclaim.
  bool relieved(const Observations& seen) const { return met(thresholds_, seen, true).empty(); }

  /// The conditions that hold ("DiskPressure"): met now, or within the transition period.
  const std::vector<std::string_view>& conditions() const { return conditions_; }
  bool has(std::string_view condition) const;
  /// When a condition ends, or a grace period does, if nothing else happens; the far future when there is none.
  Instant next_change(Instant now) const;
  const std::vector<Threshold>& thresholds() const { return thresholds_; }

 private:
  struct Since {
    Threshold threshold;
    Instant at;
  };
  std::vector<Threshold> thresholds_, acting_;
  Duration transition_;
  std::vector<Since> since_;
  std::map<std::string_view, Instant> last_seen_;  // by condition
  std::vector<std::string_view> conditions_;
};

}  // namespace estiba::node
