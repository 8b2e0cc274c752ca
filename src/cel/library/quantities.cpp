// quantity(), isQuantity() and their arithmetic.
#include "cel/function.h"
#include "cel/library/objects.h"

namespace estiba::cel::library {

namespace {

using model::Quantity;

const Quantity& quantity(const Value& value) { return as<QuantityObject>(value).quantity; }
Value value_of(Context& c, const Quantity& quantity) {
  return Value::object(c.memory.arena().make<QuantityObject>(QuantityObject{{Object::Is::quantity}, quantity}), &types::quantity);
}

/// Whether the text has a quantity's form, so that only its suffix is unknown.
bool formed(std::string_view text) {
  const auto skip = [&](std::string_view set) {
    const size_t end = std::min(text.find_first_not_of(set), text.size());
    text.remove_prefix(end);
    return end > 0;
  };
  if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
  if (!skip("0123456789.")) return false;
  skip("eEinumkKMGTP");
  if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
  skip("0123456789");
  return text.empty();
}

Value to_quantity(Context& c, Args a) {
  const auto parsed = Quantity::parse(a[0].text());
  if (parsed) return value_of(c, *parsed);
  return Value::error(formed(a[0].text()) ? "unable to parse quantity's suffix"
                                          : "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
}
Value is_quantity(Context&, Args a) { return Value::boolean(Quantity::parse(a[0].text()).has_value()); }

int order(const Quantity& a, const Quantity& b) { return a < b ? -1 : b < a ? 1 : 0; }

/// Whole, and small enough; nullopt otherwise.
std::optional<int64_t> integer(const Quantity& quantity) {
  const int64_t whole = quantity.to_int64();
  // What is larger than fits is cut to the largest number.
  return whole != INT64_MAX && Quantity::of(whole) == quantity ? std::optional(whole) : std::nullopt;
}

Value sign(Context&, Args a) { return Value::integer(order(quantity(a[0]), Quantity())); }
Value greater(Context&, Args a) { return Value::boolean(order(quantity(a[0]), quantity(a[1])) > 0); }
Value less(Context&, Args a) { return Value::boolean(order(quantity(a[0]), quantity(a[1])) < 0); }
Value compare_to(Context&, Args a) { return Value::integer(order(quantity(a[0]), quantity(a[1]))); }
Value as_float(Context&, Args a) { return Value::real(quantity(a[0]).to_double()); }
Value as_integer(Context&, Args a) {
  const auto whole = integer(quantity(a[0]));
  return whole ? Value::integer(*whole) : Value::error("cannot convert value to integer");
}
Value is_integer(Context&, Args a) { return Value::boolean(integer(quantity(a[0])).has_value()); }
Value add(Context& c, Args a) { return value_of(c, quantity(a[0]) + quantity(a[1])); }
Value add_int(Context& c, Args a) { return value_of(c, quantity(a[0]) + Quantity::of(a[1].as_int())); }
Value subtract(Context& c, Args a) { return value_of(c, quantity(a[0]) - quantity(a[1])); }
Value subtract_int(Context& c, Args a) { return value_of(c, quantity(a[0]) - Quantity::of(a[1].as_int())); }

constexpr auto table = std::to_array<Native>({
    {"quantity", "string_to_quantity", "(string):kubernetes.Quantity", to_quantity},
    {"isQuantity", "is_quantity_string", "(string):bool", is_quantity},
    {"sign", "quantity_sign", "(kubernetes.Quantity):int", sign},
    {"isGreaterThan", "quantity_is_greater_than", "kubernetes.Quantity.(kubernetes.Quantity):bool", greater},
    {"isLessThan", "quantity_is_less_than", "kubernetes.Quantity.(kubernetes.Quantity):bool", less},
    {"compareTo", "quantity_compare_to", "kubernetes.Quantity.(kubernetes.Quantity):int", compare_to},
    {"asApproximateFloat", "quantity_get_float", "kubernetes.Quantity.():double", as_float},
    {"asInteger", "quantity_get_int", "kubernetes.Quantity.():int", as_integer},
    {"isInteger", "quantity_is_integer", "kubernetes.Quantity.():bool", is_integer},
    {"add", "quantity_add", "kubernetes.Quantity.(kubernetes.Quantity):kubernetes.Quantity", add},
    {"add", "quantity_add_int", "kubernetes.Quantity.(int):kubernetes.Quantity", add_int},
    {"sub", "quantity_sub", "kubernetes.Quantity.(kubernetes.Quantity):kubernetes.Quantity", subtract},
    {"sub", "quantity_sub_int", "kubernetes.Quantity.(int):kubernetes.Quantity", subtract_int},
});

}  // namespace

std::span<const Native> quantities() { return table; }

}  // namespace estiba::cel::library
