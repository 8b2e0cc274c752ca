// What taints of devices come to: which devices of the newest generations of pools have taints that evict (NoExecute), and when a pod that
// uses some has to go (pkg/controller/devicetainteviction).
#pragma once
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/executor.h"
#include "client/device_taints.h"
#include "client/resource_claims.h"

namespace estiba::controllers {

/// A device as results of claims name it.
struct DeviceName {
  std::string driver, pool, device;
  auto operator<=>(const DeviceName&) const = default;
};

/// What a slice says of itself; nothing when it cannot be read.
struct SliceTaints {
  std::string driver, pool;
  int64_t generation = 0;
  std::vector<std::string> devices;
  std::map<std::string, std::vector<client::DeviceTaint>> taints;  ///< NoExecute alone, by device

  static std::optional<SliceTaints> read(const model::ObjectRef& slice);
};

class TaintedDevices {
 public:
  /// Takes the slice in, in place of what it said before; null: it is gone. Returns the devices whose taints have changed by that.
  std::set<DeviceName> set(const std::string& slice, const model::ObjectRef& object);
  /// Null for none.
  const std::vector<client::DeviceTaint>* find(const DeviceName& device) const;
  bool empty() const { return tainted_.empty(); }

 private:
  using PoolName = std::pair<std::string, std::string>;  // driver and pool
  struct Pool {
    std::map<std::string, SliceTaints> slices;  // by name, without the list of devices
  };
  void renew(const PoolName& name, std::set<DeviceName>& changed);

  std::map<PoolName, Pool> pools_;
  std::map<std::string, PoolName> pool_of_;  // by slice
  std::map<DeviceName, std::vector<client::DeviceTaint>> tainted_;
};

/// A claim that has its devices.
struct AllocatedClaim {
  struct Result {
    DeviceName device;
    std::vector<client::DeviceToleration> tolerations;
  };
  std::vector<Result> results;
  std::vector<std::string> pods;      ///< names of those that it is reserved for
  std::vector<std::string> pod_uids;  ///< of the same

  static std::optional<AllocatedClaim> read(const model::ObjectRef& claim);
};

struct DeviceEviction {
  WallTime at;
  std::set<std::string> rules;  ///< UIDs of the DeviceTaintRules that are among the reasons

  /// Both reasons hold: the earlier time does.
  void join(const DeviceEviction& other);
};
/// Rules that evict, by name.
using EvictingRules = std::map<std::string, client::DeviceTaintRule>;
bool selects(const client::DeviceTaintRule& rule, const DeviceName& device);
/// When who uses the claim has to go; never, where nothing evicts or all is tolerated for ever.
std::optional<DeviceEviction> eviction_of(const AllocatedClaim& claim, const TaintedDevices& tainted, const EvictingRules& rules);

}  // namespace estiba::controllers
