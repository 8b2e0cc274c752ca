// What the status of the objects of Gateway API should say, as merge patches: pure functions. Conditions keep the time of their last
// transition.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/executor.h"
#include "ingress/gateway_rules.h"

namespace estiba::ingress {

/// nullopt where the status says so already.
std::optional<std::string> gateway_class_patch(const model::ObjectRef& gateway_class, WallTime now);
std::optional<std::string> gateway_patch(const GatewayStatus& status, const std::vector<std::string>& addresses, WallTime now);
/// Parents that other controllers have written stay; those of ours that are gone go. `outcome` null: no Gateway of ours is a parent.
std::optional<std::string> route_patch(const model::ObjectRef& route, const RouteStatus* outcome, WallTime now);

}  // namespace estiba::ingress
