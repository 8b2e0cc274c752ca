// Kubernetes' lists (isSorted, sum, min, max, indexOf, lastIndexOf) and version 3 of the lists extension (slice, flatten,
// sort, sortBy, distinct, reverse, lists.range).
#include <algorithm>
#include <numeric>

#include "cel/compare.h"
#include "cel/function.h"

namespace estiba::cel::library {

namespace {

std::vector<Value> all(Context& c, const Value& list) {
  std::vector<Value> out;
  if (!c.memory.admit(list.count() * sizeof(Value)) || !c.memory.spend(list.count())) return out;
  out.reserve(list.count());
  for (Items items(c.memory, list); !items.done();) out.push_back(items.next());
  return out;
}

Value finish(Context& c, const std::vector<Value>& items) { return c.memory.exhausted() ? Memory::over_limit() : c.memory.list(items); }

/// An item that is an error or has no order; null when all have one.
Value unordered(const Value& a, const Value& b) {
  if (a.is_error()) return a;
  if (b.is_error()) return b;
  return compare(a, b) ? Value::null() : Memory::no_overload();
}

Value is_sorted(Context& c, Args a) {
  Value last;
  for (Items items(c.memory, a[0]); !items.done();) {
    const bool first = items.position() == 0;
    const Value item = items.next();
    if (!first) {
      if (const Value error = unordered(last, item); error.is_error()) return error;
      if (*compare(last, item) > 0) return Value::boolean(false);
    }
    last = item;
  }
  return Value::boolean(true);
}

template <int wanted>
Value extreme(Context& c, Args a) {
  if (a[0].count() == 0) return Value::error(wanted > 0 ? "max called on empty list" : "min called on empty list");
  Value best;
  for (Items items(c.memory, a[0]); !items.done();) {
    const bool first = items.position() == 0;
    const Value item = items.next();
    if (first) {
      if (item.is_error()) return item;
      best = item;
      continue;
    }
    if (const Value error = unordered(best, item); error.is_error()) return error;
    if (*compare(item, best) == wanted) best = item;
  }
  return best;
}

Value sum(Context& c, Args a) {
  __int128 ints = 0;
  double reals = 0;
  const auto bounded = [](__int128 n, __int128 low, __int128 high) { return n >= low && n <= high; };
  Kind kind = Kind::null;
  for (Items items(c.memory, a[0]); !items.done();) {
    const Value item = items.next();
    if (item.is_error()) return item;
    if (kind == Kind::null) kind = item.kind();
    if (item.kind() != kind) return Memory::no_overload();
    switch (kind) {
      case Kind::integer: ints += item.as_int(); break;
      case Kind::uinteger: ints += item.as_uint(); break;
      case Kind::duration: ints += item.nanos(); break;
      case Kind::real: reals += item.as_double(); break;
      default: return Memory::no_overload();
    }
    if (kind == Kind::integer && !bounded(ints, INT64_MIN, INT64_MAX)) return Value::error("integer overflow");
    if (kind == Kind::uinteger && !bounded(ints, 0, UINT64_MAX)) return Value::error("unsigned integer overflow");
    if (kind == Kind::duration && !bounded(ints, INT64_MIN, INT64_MAX)) return Value::error("duration overflow");
  }
  switch (kind) {
    case Kind::uinteger: return Value::uinteger(uint64_t(ints));
    case Kind::duration: return Value::duration(int64_t(ints));
    case Kind::real: return Value::real(reals);
    default: return Value::integer(int64_t(ints));
  }
}
Value sum_uints(Context& c, Args a) { return a[0].count() ? sum(c, a) : Value::uinteger(0); }
Value sum_reals(Context& c, Args a) { return a[0].count() ? sum(c, a) : Value::real(0); }
Value sum_durations(Context& c, Args a) { return a[0].count() ? sum(c, a) : Value::duration(0); }

Value index_of(Context& c, Args a) {
  for (Items items(c.memory, a[0]); !items.done();) {
    const int64_t at = items.position();
    if (equal(c.memory, items.next(), a[1])) return Value::integer(at);
  }
  return Value::integer(-1);
}

Value last_index_of(Context& c, Args a) {
  int64_t found = -1;
  for (Items items(c.memory, a[0]); !items.done();) {
    const int64_t at = items.position();
    if (equal(c.memory, items.next(), a[1])) found = at;
  }
  return c.memory.exhausted() ? Memory::over_limit() : Value::integer(found);
}

Value slice(Context& c, Args a) {
  const int64_t from = a[1].as_int(), to = a[2].as_int(), size = a[0].count();
  const std::string what = "cannot slice(" + std::to_string(from) + ", " + std::to_string(to) + "), ";
  if (from < 0 || to < 0) return c.memory.error(what + "negative indexes not supported");
  if (from > to) return c.memory.error(what + "start index must be less than or equal to end index");
  if (size < to) return c.memory.error(what + "list is length " + std::to_string(size));
  std::vector<Value> items = all(c, a[0]);
  if (c.memory.exhausted()) return Memory::over_limit();
  items.erase(items.begin() + to, items.end());
  items.erase(items.begin(), items.begin() + from);
  return finish(c, items);
}

void flatten_into(Context& c, const Value& list, int64_t depth, std::vector<Value>& out) {
  if (!c.memory.spend(list.count() + 1)) return;
  for (Items items(c.memory, list); !items.done();) {
    const Value item = items.next();
    if (item.is(Kind::list) && depth > 0) flatten_into(c, item, depth - 1, out);
    else out.push_back(item);
    if (out.size() * sizeof(Value) > Memory::max_bytes) c.memory.admit(Memory::max_bytes);
    if (c.memory.exhausted()) return;
  }
}

Value flatten(Context& c, Args a) {
  const int64_t depth = a.size() > 1 ? a[1].as_int() : 1;
  if (depth < 0) return Value::error("level must be non-negative");
  std::vector<Value> out;
  flatten_into(c, a[0], depth, out);
  return finish(c, out);
}

Value sort_by_keys(Context& c, Args a) {
  const Value& keys_list = a[a.size() - 1];
  const std::vector<Value> items = all(c, a[0]), keys = all(c, keys_list);
  if (c.memory.exhausted()) return Memory::over_limit();
  if (items.size() != keys.size())
    return c.memory.error("@sortByAssociatedKeys() expected a list of the same size as the associated keys list, but got " +
                          std::to_string(items.size()) + " and " + std::to_string(keys.size()) + " elements respectively");
  if (items.empty()) return a[0];
  if (!compare(keys[0], keys[0])) return Value::error("list elements must be comparable");
  for (const Value& key : keys)
    if (key.kind() != keys[0].kind() || !compare(key, key)) return Value::error("list elements must have the same type");
  std::vector<uint32_t> order(items.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(), [&](uint32_t x, uint32_t y) { return compare(keys[x], keys[y]).value_or(0) < 0; });
  std::vector<Value> sorted;
  sorted.reserve(items.size());
  for (const uint32_t i : order) sorted.push_back(items[i]);
  return finish(c, sorted);
}

Value reverse(Context& c, Args a) {
  std::vector<Value> items = all(c, a[0]);
  std::reverse(items.begin(), items.end());
  return finish(c, items);
}

Value distinct(Context& c, Args a) {
  std::vector<Value> out;
  for (Items items(c.memory, a[0]); !items.done();) {
    const Value item = items.next();
    const bool seen = std::any_of(out.begin(), out.end(), [&](const Value& other) { return equal(c.memory, item, other); });
    if (c.memory.exhausted()) return Memory::over_limit();
    if (!seen) out.push_back(item);
  }
  return finish(c, out);
}

Value range(Context& c, Args a) {
  const int64_t size = std::max<int64_t>(a[0].as_int(), 0);
  if (size > int64_t(Memory::max_bytes / sizeof(Value)) || !c.memory.admit(size_t(size) * sizeof(Value))) return Memory::over_limit();
  std::vector<Value> out;
  out.reserve(size_t(size));
  for (int64_t i = 0; i < size; i++) out.push_back(Value::integer(i));
  return finish(c, out);
}

#define ESTIBA_CEL_COMPARABLE(name, id, code, result_is)                                                                         \
  {name, "list_int_" id, "list(int).():" result_is(int), code}, {name, "list_uint_" id, "list(uint).():" result_is(uint), code}, \
      {name, "list_double_" id, "list(double).():" result_is(double), code},                                                     \
      {name, "list_bool_" id, "list(bool).():" result_is(bool), code},                                                           \
      {name, "list_duration_" id, "list(duration).():" result_is(duration), code},                                               \
      {name, "list_timestamp_" id, "list(timestamp).():" result_is(timestamp), code},                                            \
      {name, "list_string_" id, "list(string).():" result_is(string), code}, {                                                   \
    name, "list_bytes_" id, "list(bytes).():" result_is(bytes), code                                                             \
  }
#define ESTIBA_CEL_BOOL(type) "bool"
#define ESTIBA_CEL_ITEM(type) #type
#define ESTIBA_CEL_LIST(type) "list(" #type ")"
#define ESTIBA_CEL_KEYS(type) \
  {"@sortByAssociatedKeys", "list_" #type "_sortByAssociatedKeys", "list(T).(list(" #type ")):list(T)", sort_by_keys}

constexpr auto table = std::to_array<Native>({
    ESTIBA_CEL_COMPARABLE("isSorted", "is_sorted_bool", is_sorted, ESTIBA_CEL_BOOL),
    ESTIBA_CEL_COMPARABLE("max", "max", extreme<1>, ESTIBA_CEL_ITEM),
    ESTIBA_CEL_COMPARABLE("min", "min", extreme<-1>, ESTIBA_CEL_ITEM),
    ESTIBA_CEL_COMPARABLE("sort", "sort", sort_by_keys, ESTIBA_CEL_LIST),
    {"sum", "list_int_sum_int", "list(int).():int", sum},
    {"sum", "list_uint_sum_uint", "list(uint).():uint", sum_uints},
    {"sum", "list_double_sum_double", "list(double).():double", sum_reals},
    {"sum", "list_duration_sum_duration", "list(duration).():duration", sum_durations},
    {"indexOf", "list_a_index_of_int", "list(A).(A):int", index_of},
    {"lastIndexOf", "list_a_last_index_of_int", "list(A).(A):int", last_index_of},
    {"slice", "list_slice", "list(T).(int,int):list(T)", slice},
    {"flatten", "list_flatten", "list(list(T)).():list(T)", flatten},
    {"flatten", "list_flatten_int", "list(dyn).(int):list(dyn)", flatten},
    ESTIBA_CEL_KEYS(int),
    ESTIBA_CEL_KEYS(uint),
    ESTIBA_CEL_KEYS(double),
    ESTIBA_CEL_KEYS(bool),
    ESTIBA_CEL_KEYS(duration),
    ESTIBA_CEL_KEYS(timestamp),
    ESTIBA_CEL_KEYS(string),
    ESTIBA_CEL_KEYS(bytes),
    {"lists.range", "lists_range", "(int):list(int)", range},
    {"reverse", "list_reverse", "list(T).():list(T)", reverse},
    {"distinct", "list_distinct", "list(T).():list(T)", distinct},
});
#undef ESTIBA_CEL_COMPARABLE
#undef ESTIBA_CEL_BOOL
#undef ESTIBA_CEL_ITEM
#undef ESTIBA_CEL_LIST
#undef ESTIBA_CEL_KEYS

}  // namespace

std::span<const Native> lists() { return table; }

}  // namespace estiba::cel::library
