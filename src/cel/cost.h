// What expressions cost. Kubernetes bounds them before they run (an estimate from the schema's bounds) and while they run (a
// limit); both follow cel-go's and k8s.io/apiserver's formulas, so that a rule that passes there passes here.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "cel/ast.h"
#include "cel/decl_type.h"
#include "cel/function.h"

namespace estiba::cel {

/// Of one expression's evaluation; of all rules of an object; of all match conditions of a webhook or policy.
inline constexpr uint64_t per_call_limit = 1'000'000, runtime_budget = 10'000'000, match_conditions_budget = 2'500'000;
/// Of the estimates: of one rule, of all rules of a custom resource definition.
inline constexpr uint64_t rule_estimate_limit = 10'000'000, total_estimate_limit = 100'000'000;

inline constexpr uint64_t list_cost = 10, map_cost = 30, message_cost = 40;
inline constexpr double text_factor = 0.1, regex_factor = 0.25;

CostRule cost_rule(const Overload& overload);
/// The rule of the function where the overload is only known at run time.
CostRule dynamic_cost_rule(const Overload& overload);
/// What a call has cost.
uint64_t call_cost(Memory& memory, CostRule rule, Args args, const Value& result);

/// From … to, for costs and sizes. Saturates.
struct Range {
  uint64_t min = 0, max = 0;

  Range operator+(const Range& other) const;
  Range operator*(const Range& other) const;
  Range scaled(double factor) const;  ///< rounded up
  Range joined(const Range& other) const { return {std::min(min, other.min), std::max(max, other.max)}; }
  bool operator==(const Range&) const = default;
};

/// The declared type of a variable, or null: gives the bounds of what expressions reach from it.
using VariableType = std::function<const DeclType*(std::string_view)>;

/// The estimated cost of a checked expression.
Range estimate_cost(const Expr& expr, const VariableType& variables);

}  // namespace estiba::cel
