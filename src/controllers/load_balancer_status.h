// What the two controllers of load balancers share: which Services are theirs, and how they write down what these got.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "model/object.h"

namespace estiba::controllers {

/// The class of Services that are ours, beside those without any.
inline constexpr std::string_view load_balancer_class = "estiba.dev/load-balancer";

/// By these conditions of the status it is known who has written the addresses: those of the nodes, or one of the pool.
inline constexpr std::string_view node_addresses_condition = "estiba.dev/NodeAddresses";
inline constexpr std::string_view pool_address_condition = "estiba.dev/LoadBalancerAddress";

/// A Service that is to have addresses of ours. False for null and for one that is being deleted.
bool wants_load_balancer(const model::ObjectRef& service);
/// Whether the addresses in its status were written here, by either controller.
bool has_our_addresses(const model::ObjectRef& service);
/// The addresses in the status.
std::vector<std::string> balancer_addresses_of(const model::ObjectRef& service);
/// The message of a condition, or "".
std::string condition_message(const model::ObjectRef& service, std::string_view type);

/// What is to be said in the status: addresses and a condition of ours, of which a Service has one at most.
struct BalancerStatus {
  std::vector<std::string> addresses;
  std::string_view condition;  ///< its type; empty: none
  std::string_view reason;
  std::string message;
};
/// A merge patch of the status. Others' conditions stay.
std::string patch_of(const model::ObjectRef& service, const BalancerStatus& status, WallTime now);

}  // namespace estiba::controllers
