// size(), contains(), startsWith(), endsWith() and what two-variable macros insert into maps.
#include "cel/compare.h"
#include "cel/function.h"

namespace estiba::cel::library {

namespace {

Value size_of_text(Context&, Args a) { return Value::integer(int64_t(code_points(a[0].text()))); }
Value size_of_container(Context&, Args a) { return Value::integer(a[0].count()); }

Value contains(Context& c, Args a) {
  // A search may look at every pair of bytes.
  if (!c.memory.spend(a[0].text().size() / 8)) return Memory::over_limit();
  return Value::boolean(a[0].text().find(a[1].text()) != std::string_view::npos);
}
Value starts_with(Context&, Args a) { return Value::boolean(a[0].text().starts_with(a[1].text())); }
Value ends_with(Context&, Args a) { return Value::boolean(a[0].text().ends_with(a[1].text())); }

Value insert(Context& c, const Value& map, const Value& key, const Value& value) {
  if (!is_key(key)) return c.memory.error("unsupported key type: " + std::string(type_name(key)));
  if (c.memory.find(map, key)) return c.memory.error("insert failed: key " + print(c.memory, key) + " already exists");
  return c.memory.insert(map, key, value);
}
Value insert_entry(Context& c, Args a) { return insert(c, a[0], a[1], a[2]); }
Value insert_map(Context& c, Args a) {
  Value map = a[0];
  for (Items items(c.memory, a[1]); !items.done() && !map.is_error();) {
    Value value;
    const Value key = items.next(&value);
    map = insert(c, map, key, value);
  }
  return map;
}

/// Of the selectors of devices: whether a list has the value, or is the value.
Value includes(Context& c, Args a) {
  if (!a[0].is(Kind::list)) return Value::boolean(equal(c.memory, a[0], a[1]));
  for (Items items(c.memory, a[0]); !items.done();)
    if (equal(c.memory, items.next(), a[1])) return Value::boolean(true);
  return Value::boolean(false);
}

constexpr auto table = std::to_array<Native>({
    {"size", "size_bytes", "(bytes):int", size_of_container},
    {"size", "bytes_size", "bytes.():int", size_of_container},
    {"size", "size_list", "(list(A)):int", size_of_container},
    {"size", "list_size", "list(A).():int", size_of_container},
    {"size", "size_map", "(map(A,B)):int", size_of_container},
    {"size", "map_size", "map(A,B).():int", size_of_container},
    {"size", "size_string", "(string):int", size_of_text},
    {"size", "string_size", "string.():int", size_of_text},
    {"contains", "contains_string", "string.(string):bool", contains},
    {"startsWith", "starts_with_string", "string.(string):bool", starts_with},
    {"endsWith", "ends_with_string", "string.(string):bool", ends_with},
    {"cel.@mapInsert", "@mapInsert_map_key_value", "(map(K,V),K,V):map(K,V)", insert_entry},
    {"cel.@mapInsert", "@mapInsert_map_map", "(map(K,V),map(K,V)):map(K,V)", insert_map},
    {"includes", "dra_includes_dyn_dyn", "dyn.(dyn):bool", includes},
});

}  // namespace

std::span<const Native> standard() { return table; }

}  // namespace estiba::cel::library
