#include "controllers/device_rule_status.h"

namespace estiba::controllers {

namespace {

std::string count(int64_t number, std::string_view one, std::string_view many) {
  return std::to_string(number) + " " + std::string(number == 1 ? one : many);
}

std::string in_namespaces(int64_t number) { return " in " + count(number, "namespace", "different namespaces"); }

std::string what_it_would_do(const RuleTally& tally) {
  return count(tally.published, "published device", "published devices") + " selected. " +
         count(tally.allocated, "allocated device", "allocated devices") + " selected. " +
         count(tally.pods, "pod would be evicted", "pods would be evicted") + in_namespaces(tally.namespaces) +
         " if the effect was NoExecute. This information will not be updated again. Recreate the DeviceTaintRule to trigger an update.";
}

}  // namespace

RuleCondition rule_condition(std::string_view effect, const RuleTally& tally) {
  RuleCondition out;
  if (effect == "NoExecute") {
    out.in_progress = tally.pods > 0;
    out.reason = out.in_progress ? "PodsPendingEviction" : tally.evicted > 0 ? "Completed" : "NotStarted";
    if (out.in_progress)
      out.message = count(tally.pods, "pod needs to be evicted", "pods need to be evicted") + in_namespaces(tally.namespaces) + ".";
  } else if (effect == "None") {
    out.reason = "NoEffect";
    out.message = what_it_would_do(tally);
  } else {
    out.reason = "OtherEffect";
    out.message = "Eviction only happens for the NoExecute effect.";
  }
  if (tally.evicted > 0)
    out.message += (out.message.empty() ? "" : " ") + count(tally.evicted, "pod", "pods") + " evicted since starting the controller.";
  return out;
}

}  // namespace estiba::controllers
