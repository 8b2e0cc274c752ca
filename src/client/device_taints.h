// Taints of devices (KEP 5055): set by drivers in their ResourceSlices, and by administrators with DeviceTaintRules; who uses a device
// tolerates them by the requests of his claim.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/client.h"

namespace estiba::client {

inline constexpr Resource device_taint_rules{"resource.k8s.io", "v1beta2", "devicetaintrules"};

struct DeviceTaint {
  std::string key, value, effect;
  std::string added;  ///< RFC 3339
  bool operator==(const DeviceTaint&) const = default;
};
/// The taints of a device of a slice.
std::vector<DeviceTaint> read_device_taints(const json::Node& device);

struct DeviceToleration {
  std::string key, op, value, effect;
  std::optional<int64_t> seconds{};  ///< how long; none for ever
  bool tolerates(const DeviceTaint& taint) const;
};
/// The tolerations of a request, or of a result of one.
std::vector<DeviceToleration> read_device_tolerations(const json::Node& holder);

struct DeviceTaintRule {
  std::string name, uid;
  bool has_selector = false;
  std::optional<std::string> driver, pool, device;  ///< none: any
  DeviceTaint taint;

  /// A rule without a selector selects every device, as the scheduler understands it.
  bool selects(std::string_view of_driver, std::string_view of_pool, std::string_view name) const;
};
/// Nothing when it cannot be read.
std::optional<DeviceTaintRule> read_device_taint_rule(const model::ObjectRef& object);

}  // namespace estiba::client
