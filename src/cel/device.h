// The variable `device` in the selectors of DeviceClasses and ResourceClaims (KEP 4381, k8s.io/dynamic-resource-allocation/cel):
//
//   device.driver == "gpu.example.com" && device.attributes["gpu.example.com"].model == "a100" &&
//   device.capacity["gpu.example.com"].memory.isGreaterThan(quantity("10Gi"))
#pragma once
#include <string_view>

#include "base/result.h"
#include "cel/cel.h"

namespace estiba::cel {

/// The most that one evaluation may cost (resource.k8s.io, CELSelectorExpressionMaxCost).
inline constexpr uint64_t most_selector_cost = 1'000'000;

/// `device` with its driver, its attributes and capacity by domain and name, and allowMultipleAllocations; and cel.bind.
const Environment& device_environment();

/// What a ResourceSlice says of a device, as it is there.
struct DeviceFacts {
  std::string_view driver;  ///< the domain of names without one
  const json::Node* attributes = nullptr;
  const json::Node* capacity = nullptr;
  bool allows_multiple = false;
};

/// Whether the device is one that `selector`, compiled in device_environment(), selects. Fails where the expression does: an attribute
/// that a known domain does not have is an error, a domain that is not known is empty.
Result<bool> device_matches(const Program& selector, const DeviceFacts& device);

}  // namespace estiba::cel
