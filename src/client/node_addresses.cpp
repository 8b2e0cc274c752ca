#include "client/node_addresses.h"

#include <algorithm>

#include "model/types/core_v1.h"

namespace estiba::client {

using model::ObjectRef;
using model::core_v1::Node;

std::vector<std::string> balancer_addresses(const ObjectRef& node) {
  constexpr std::string_view excluded = "node.kubernetes.io/exclude-from-external-load-balancers";
  const auto& status = node.as<Node>().status;
  const bool ready = std::ranges::any_of(status.conditions, [](const auto& c) { return c.type == "Ready" && c.status == "True"; });
  const bool out = std::ranges::any_of(node.meta().labels, [&](const auto& label) { return label.first == excluded; });
  if (!ready || out || !node.meta().deletion_timestamp.empty()) return {};
  for (std::string_view type : {"ExternalIP", "InternalIP"}) {
    std::vector<std::string> found;
    for (const auto& address : status.addresses)
      if (address.type == type) found.push_back(address.address);
    if (!found.empty()) return found;
  }
  return {};
}

std::vector<std::string> balancer_addresses(const std::vector<ObjectRef>& nodes) {
  std::vector<std::string> all;
  for (const ObjectRef& node : nodes) std::ranges::copy(balancer_addresses(node), std::back_inserter(all));
  std::ranges::sort(all);
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

}  // namespace estiba::client
