#include "scheduler/devices/capacity.h"

#include <algorithm>

namespace estiba::scheduler::devices {

namespace {

Quantity round_up(const Quantity& asked, const CapacityPolicy& policy) {
  if (policy.has_range && policy.least) {
    if (asked < *policy.least) return *policy.least;
    if (!policy.step || policy.step->to_int64() <= 0) return asked;
    const int64_t step = policy.step->to_int64(), least = policy.least->to_int64(), above = asked.to_int64() - least;
    return Quantity::of(least + (above + step - 1) / step * step, Quantity::Format::binary);
  }
  const auto offered = std::ranges::find_if(policy.values, [&](const Quantity& value) { return asked <= value; });
  return offered == policy.values.end() ? asked : *offered;
}

Quantity taken(const Capacity& capacity, const Quantity* asked) {
  if (!asked) return capacity.policy && capacity.policy->usual ? *capacity.policy->usual : capacity.value;
  return capacity.policy ? round_up(*asked, *capacity.policy) : *asked;
}

bool violates(const Quantity& amount, const CapacityPolicy& policy) {
  if (policy.usual && amount == *policy.usual) return false;
  if (policy.has_range) {
    if (policy.most && amount > *policy.most) return true;
    return policy.step && policy.least && policy.step->to_int64() > 0 &&
           (amount.to_int64() - policy.least->to_int64()) % policy.step->to_int64() != 0;
  }
  return !policy.values.empty() && !std::ranges::contains(policy.values, amount);
}

const Quantity* find(const Amounts* amounts, const std::string& name) {
  if (!amounts) return nullptr;
  const auto at = amounts->find(name);
  return at == amounts->end() ? nullptr : &at->second;
}

}  // namespace

Amounts consumption(const Device& device, const Amounts& asked) {
  Amounts out;
  for (const auto& [name, capacity] : device.capacity) out[name] = taken(capacity, find(&asked, name));
  return out;
}

bool has_room(const Device& device, const Amounts& asked, const Amounts* used, const Amounts* taking) {
  if (std::ranges::any_of(asked, [&](const auto& each) { return !device.capacity.contains(each.first); })) return false;
  return std::ranges::all_of(device.capacity, [&](const auto& each) {
    const auto& [name, capacity] = each;
    Quantity sum = taken(capacity, find(&asked, name));
    if (capacity.policy && violates(sum, *capacity.policy)) return false;
    for (const Amounts* others : {used, taking})
      if (const Quantity* amount = find(others, name)) sum += *amount;
    return sum <= capacity.value;
  });
}

}  // namespace estiba::scheduler::devices
