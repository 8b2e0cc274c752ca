#include "scheduler/devices/ledger.h"

namespace estiba::scheduler::devices {

void Ledger::add(const DeviceUse& use) {
  Total& total = devices_[use.device];
  ++(use.shared ? total.sharers : total.owners);
  for (const auto& [name, amount] : use.consumed) total.consumed[name] += amount;
}

void Ledger::take_back(const DeviceUse& use) {
  const auto at = devices_.find(use.device);
  Total& total = at->second;
  --(use.shared ? total.sharers : total.owners);
  for (const auto& [name, amount] : use.consumed) total.consumed[name] -= amount;
  if (total.owners == 0 && total.sharers == 0) devices_.erase(at);
}

void Ledger::set(const std::string& claim_uid, std::vector<DeviceUse> uses) {
  for (const DeviceUse& use : uses) add(use);
  auto& known = claims_[claim_uid];
  for (const DeviceUse& use : known) take_back(use);
  if (uses.empty()) claims_.erase(claim_uid);
  else known = std::move(uses);
}

bool Ledger::is_taken(const std::string& device) const {
  const auto at = devices_.find(device);
  return at != devices_.end() && at->second.owners > 0;
}

const Amounts* Ledger::consumed(const std::string& device) const {
  const auto at = devices_.find(device);
  return at != devices_.end() && at->second.sharers > 0 ? &at->second.consumed : nullptr;
}

}  // namespace estiba::scheduler::devices
