// Optional values.
#include "cel/compare.h"
#include "cel/function.h"
#include "cel/time.h"

namespace estiba::cel::library {

namespace {

Value of(Context& c, Args a) { return c.memory.optional(a[0]); }

bool is_zero(const Value& value) {
  switch (value.kind()) {
    case Kind::null: return true;
    case Kind::boolean: return !value.as_bool();
    case Kind::integer: return value.as_int() == 0;
    case Kind::uinteger: return value.as_uint() == 0;
    case Kind::real: return value.as_double() == 0;
    case Kind::string:
    case Kind::bytes:
    case Kind::list:
    case Kind::map: return value.count() == 0;
    case Kind::duration: return value.nanos() == 0;
    case Kind::timestamp: return value.time() == Timestamp{min_seconds, 0};
    case Kind::optional: return !value.inner();
    case Kind::object: return value.is_object(Object::Is::message) && static_cast<const Message*>(value.as_object())->names.empty();
    default: return false;
  }
}

Value of_non_zero(Context& c, Args a) { return is_zero(a[0]) ? Value::none() : c.memory.optional(a[0]); }
Value none(Context&, Args) { return Value::none(); }
Value value(Context&, Args a) { return a[0].inner() ? *a[0].inner() : Value::error("optional.none() dereference"); }
Value has_value(Context&, Args a) { return Value::boolean(a[0].inner() != nullptr); }

Value first(Context& c, Args a) { return a[0].count() == 0 ? Value::none() : c.memory.optional(c.memory.item(a[0], 0)); }
Value last(Context& c, Args a) { return a[0].count() == 0 ? Value::none() : c.memory.optional(c.memory.item(a[0], a[0].count() - 1)); }

Value unwrap(Context& c, Args a) {
  std::vector<Value> out;
  for (Items items(c.memory, a[0]); !items.done();) {
    const Value item = items.next();
    if (!item.is(Kind::optional)) return item.is_error() ? item : c.memory.error("value " + print(c.memory, item) + " is not optional");
    if (item.inner()) out.push_back(*item.inner());
  }
  return c.memory.list(out);
}

constexpr auto table = std::to_array<Native>({
    {"optional.of", "optional_of", "(V):optional_type(V)", of},
    {"optional.ofNonZeroValue", "optional_ofNonZeroValue", "(V):optional_type(V)", of_non_zero},
    {"optional.none", "optional_none", "():optional_type(V)", none},
    {"value", "optional_value", "optional_type(V).():V", value},
    {"hasValue", "optional_hasValue", "optional_type(V).():bool", has_value},
    {"or", "optional_or_optional", "optional_type(V).(optional_type(V)):optional_type(V)", nullptr},
    {"orValue", "optional_orValue_value", "optional_type(V).(V):V", nullptr},
    {"first", "list_first", "list(V).():optional_type(V)", first},
    {"last", "list_last", "list(V).():optional_type(V)", last},
    {"optional.unwrap", "optional_unwrap", "(list(optional_type(V))):list(V)", unwrap},
    {"unwrapOpt", "optional_unwrapOpt", "list(optional_type(V)).():list(V)", unwrap},
});

}  // namespace

std::span<const Native> optionals() { return table; }

}  // namespace estiba::cel::library
