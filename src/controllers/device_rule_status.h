// The condition EvictionInProgress of a DeviceTaintRule, in Kubernetes' words.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace estiba::controllers {

/// What a rule comes to.
struct RuleTally {
  int64_t published = 0;   ///< devices in slices that it selects
  int64_t allocated = 0;   ///< devices of claims that it selects
  int64_t pods = 0;        ///< that it drives out, or would
  int64_t namespaces = 0;  ///< with such pods
  int64_t evicted = 0;     ///< since the controller runs
};

struct RuleCondition {
  bool in_progress = false;
  std::string reason, message;
};

RuleCondition rule_condition(std::string_view effect, const RuleTally& tally);

}  // namespace estiba::controllers
