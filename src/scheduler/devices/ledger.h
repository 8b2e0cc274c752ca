// Which devices are somebody's: by the claims' statuses, and by what is being written for claims.
#pragma once
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "scheduler/devices/slices.h"

namespace estiba::scheduler::devices {

/// A device that a claim has.
struct DeviceUse {
  std::string device;  ///< Device::id
  bool shared = false;
  Amounts consumed{};  ///< of a shared one's capacity
};

class Ledger {
 public:
  /// What the claim has now, in place of what it had.
  void set(const std::string& claim_uid, std::vector<DeviceUse> uses);

  /// Somebody has the device for himself.
  bool is_taken(const std::string& device) const;
  /// Somebody has it, or a part of it.
  bool is_used(const std::string& device) const { return devices_.contains(device); }
  /// What of its capacity is used by those who share it; null when nobody does.
  const Amounts* consumed(const std::string& device) const;

 private:
  struct Total {
    int owners = 0, sharers = 0;
    Amounts consumed;
  };
  void add(const DeviceUse& use);
  void take_back(const DeviceUse& use);

  std::unordered_map<std::string, Total> devices_;
  std::unordered_map<std::string, std::vector<DeviceUse>> claims_;
};

}  // namespace estiba::scheduler::devices
