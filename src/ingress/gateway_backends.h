// Where the rules of an HTTPRoute or GRPCRoute lead: references looked up, each rule's action made once, however many listeners it is
// attached to.
#pragma once
#include "ingress/gateway_rules.h"

namespace estiba::ingress {

class RouteBackends {
 public:
  /// All of it outlives this.
  RouteBackends(RuleContext& context, const Grants& grants, const HttpRoute& route);
  std::shared_ptr<const Action> action(size_t rule) const { return actions_[rule]; }
  /// The condition ResolvedRefs.
  const Condition& resolved() const { return resolved_; }

 private:
  Backend backend(const Reference& to);
  void fill(Filters& filters, const RouteFilters& from);
  void problem(std::string_view reason, std::string message);

  RuleContext& context_;
  const Grants& grants_;
  const HttpRoute& route_;
  std::vector<std::shared_ptr<const Action>> actions_;
  Condition resolved_{"ResolvedRefs", true, "ResolvedRefs", ""};
};

}  // namespace estiba::ingress
