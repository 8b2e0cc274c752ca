// sets.contains, sets.equivalent and sets.intersects: lists taken as sets.
#include "cel/compare.h"
#include "cel/function.h"

namespace estiba::cel::library {

namespace {

bool has(Context& c, const Value& list, const Value& item) {
  for (Items items(c.memory, list); !items.done();)
    if (equal(c.memory, items.next(), item)) return true;
  return false;
}

bool has_all(Context& c, const Value& list, const Value& sub) {
  for (Items items(c.memory, sub); !items.done();)
    if (!has(c, list, items.next())) return false;
  return true;
}

Value finish(Context& c, bool value) { return c.memory.exhausted() ? Memory::over_limit() : Value::boolean(value); }

Value contains(Context& c, Args a) { return finish(c, has_all(c, a[0], a[1])); }
Value equivalent(Context& c, Args a) { return finish(c, has_all(c, a[0], a[1]) && has_all(c, a[1], a[0])); }
Value intersects(Context& c, Args a) {
  for (Items items(c.memory, a[0]); !items.done();)
    if (has(c, a[1], items.next())) return finish(c, true);
  return finish(c, false);
}

constexpr auto table = std::to_array<Native>({
    {"sets.contains", "list_sets_contains_list", "(list(T),list(T)):bool", contains},
    {"sets.equivalent", "list_sets_equivalent_list", "(list(T),list(T)):bool", equivalent},
    {"sets.intersects", "list_sets_intersects_list", "(list(T),list(T)):bool", intersects},
});

}  // namespace

std::span<const Native> sets() { return table; }

}  // namespace estiba::cel::library
