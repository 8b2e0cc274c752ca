#include "cel/compare.h"

#include <cmath>

#include "base/strings.h"
#include "cel/escape.h"
#include "cel/library/objects.h"
#include "cel/time.h"

namespace estiba::cel {

using model::schema::ListType;

static constexpr double two63 = 9223372036854775808.0, two64 = 18446744073709551616.0;

std::optional<int64_t> to_int(const Value& number) {
  switch (number.kind()) {
    case Kind::integer: return number.as_int();
    case Kind::uinteger: return number.as_uint() <= uint64_t(INT64_MAX) ? std::optional(int64_t(number.as_uint())) : std::nullopt;
    case Kind::real: {
      const double value = number.as_double();
      return value == std::trunc(value) && value >= -two63 && value < two63 ? std::optional(int64_t(value)) : std::nullopt;
    }
    default: return std::nullopt;
  }
}

std::optional<uint64_t> to_uint(const Value& number) {
  switch (number.kind()) {
    case Kind::integer: return number.as_int() >= 0 ? std::optional(uint64_t(number.as_int())) : std::nullopt;
    case Kind::uinteger: return number.as_uint();
    case Kind::real: {
      const double value = number.as_double();
      return value == std::trunc(value) && value >= 0 && value < two64 ? std::optional(uint64_t(value)) : std::nullopt;
    }
    default: return std::nullopt;
  }
}

template <class T>
static int order(const T& a, const T& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

static std::optional<int> compare_int_double(int64_t a, double b) {
  if (std::isnan(b)) return std::nullopt;
  if (b < -two63) return 1;
  if (b >= two63) return -1;
  return order(double(a), b);
}

static std::optional<int> compare_uint_double(uint64_t a, double b) {
  if (std::isnan(b)) return std::nullopt;
  if (b < 0) return 1;
  if (b >= two64) return -1;
  return order(double(a), b);
}

static std::optional<int> flip(std::optional<int> order) { return order ? std::optional(-*order) : order; }

static std::optional<int> compare_numbers(const Value& a, const Value& b) {
  if (a.is(Kind::real)) {
    if (b.is(Kind::integer)) return flip(compare_int_double(b.as_int(), a.as_double()));
    if (b.is(Kind::uinteger)) return flip(compare_uint_double(b.as_uint(), a.as_double()));
    if (std::isnan(a.as_double()) || std::isnan(b.as_double())) return std::nullopt;
    return order(a.as_double(), b.as_double());
  }
  if (b.is(Kind::real))
    return a.is(Kind::integer) ? compare_int_double(a.as_int(), b.as_double()) : compare_uint_double(a.as_uint(), b.as_double());
  if (a.is(Kind::integer) && b.is(Kind::integer)) return order(a.as_int(), b.as_int());
  if (a.is(Kind::uinteger) && b.is(Kind::uinteger)) return order(a.as_uint(), b.as_uint());
  if (a.is(Kind::integer)) return a.as_int() < 0 ? -1 : order(uint64_t(a.as_int()), b.as_uint());
  return b.as_int() < 0 ? 1 : order(a.as_uint(), uint64_t(b.as_int()));
}

std::optional<int> compare(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return compare_numbers(a, b);
  if (a.kind() != b.kind()) return std::nullopt;
  switch (a.kind()) {
    case Kind::boolean: return order(a.as_bool(), b.as_bool());
    case Kind::string:
    case Kind::bytes: return order(a.text(), b.text());
    case Kind::duration: return order(a.nanos(), b.nanos());
    case Kind::timestamp: return order(a.time(), b.time());
    default: return std::nullopt;
  }
}

static bool contains(Memory& memory, const Value& list, const Value& item) {
  for (Items items(memory, list); !items.done();)
    if (equal(memory, items.next(), item)) return true;
  return false;
}

static bool equal_keyed(Memory& memory, const Value& a, const Value& b) {
  const auto keys = a.decl()->keys;
  const auto same_keys = [&](const Value& x, const Value& y) {
    for (const std::string_view key : keys) {
      if (!x.is(Kind::map) || !y.is(Kind::map)) return false;
      const auto left = memory.find(x, key), right = memory.find(y, key);
      if (left.has_value() != right.has_value() || (left && !equal(memory, *left, *right))) return false;
    }
    return true;
  };
  for (Items others(memory, b); !others.done();) {
    const Value other = others.next();
    bool found = false;
    for (Items items(memory, a); !items.done() && !found;) {
      const Value item = items.next();
      if (!memory.spend(1)) return false;
      if (!same_keys(item, other)) continue;
      if (!equal(memory, item, other)) return false;
      found = true;
    }
    if (!found) return false;
  }
  return true;
}

static bool equal_lists(Memory& memory, const Value& a, const Value& b) {
  if (a.count() != b.count()) return false;
  const DeclType* decl = a.decl();
  if (decl && decl->list_type == ListType::map && !decl->keys.empty()) return equal_keyed(memory, a, b);
  if (decl && decl->list_type == ListType::set) {
    for (Items others(memory, b); !others.done();)
      if (!contains(memory, a, others.next())) return false;
    return true;
  }
  Items left(memory, a), right(memory, b);
  while (!left.done())
    if (!equal(memory, left.next(), right.next())) return false;
  return true;
}

/// Objects of one schema: what it declares by its types, the rest as JSON. A field that is null is absent.
static bool equal_typed(Memory& memory, const Value& a, const Value& b) {
  const Value plain = Value::json(b.node());
  for (const json::Node& node : a.node()) {
    const auto name = escape(node.key());
    const DeclField* field = name ? a.decl()->find(*name) : nullptr;
    if (!memory.spend(1)) return false;
    if (!field) {
      const auto other = memory.find(plain, node.key());
      if (!other || !equal(memory, Value::json(node), *other)) return false;
      continue;
    }
    const auto other = memory.find(b, field->name);
    if (node.is_null() || !other) {
      if (node.is_null() && !other) continue;
      return false;
    }
    if (!equal(memory, memory.read_json(node, field->type), *other)) return false;
  }
  return true;
}

static bool equal_maps(Memory& memory, const Value& a, const Value& b) {
  if (a.count() != b.count()) return false;
  const bool typed = a.decl() && a.decl()->form == DeclForm::object;
  if (typed && b.is_json()) return equal_typed(memory, a, b);
  if (b.decl() && b.decl()->form == DeclForm::object && a.is_json()) return equal_typed(memory, b, a);
  for (Items items(memory, a); !items.done();) {
    Value value;
    const Value key = items.next(&value);
    const auto other = memory.find(b, key);
    if (!other || !equal(memory, value, *other)) return false;
  }
  return true;
}

bool equal(Memory& memory, const Value& a, const Value& b) {
  if (!memory.spend(1)) return false;
  if (a.is_number() && b.is_number()) return compare_numbers(a, b) == 0;
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::null: return true;
    case Kind::list: return equal_lists(memory, a, b);
    case Kind::map: return equal_maps(memory, a, b);
    case Kind::type: return runtime_name(*a.as_type()) == runtime_name(*b.as_type());
    case Kind::optional: return a.inner() && b.inner() ? equal(memory, *a.inner(), *b.inner()) : a.inner() == b.inner();
    case Kind::object: return equal_objects(memory, a, b);
    case Kind::string:
    case Kind::bytes:
      if (a.count() != b.count() || !memory.spend(a.count() / 64)) return false;
      return a.text() == b.text();
    default: return compare(a, b) == 0;
  }
}

bool is_key(const Value& value) { return value.is(Kind::boolean) || value.is_number() || value.is(Kind::string); }

uint64_t hash_key(const Value& key) {
  const auto mix = [](uint64_t x) { return (x ^ (x >> 29)) * 0x9e3779b97f4a7c15ull; };
  if (const auto number = to_int(key)) return mix(uint64_t(*number));
  if (const auto number = to_uint(key)) return mix(*number);
  switch (key.kind()) {
    case Kind::string: return std::hash<std::string_view>{}(key.text());
    case Kind::boolean: return key.as_bool() ? 11 : 7;
    case Kind::real: return std::hash<double>{}(key.as_double());
    default: return 3;
  }
}

std::string print_double(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Inf" : "+Inf";
  char text[64];
  auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::scientific).ptr;
  const std::string_view scientific(text, size_t(end - text));
  const auto exponent =
      parse_number<int>(scientific.substr(scientific.find('e') + (scientific.find("e+") != std::string_view::npos ? 2 : 1)));
  if (exponent && (*exponent < -4 || *exponent >= 6)) return std::string(scientific);
  char plain[400];
  end = std::to_chars(plain, plain + sizeof plain, value, std::chars_format::fixed).ptr;
  return {plain, end};
}

std::optional<std::string> convert_to_string(const Value& value) {
  switch (value.kind()) {
    case Kind::boolean: return value.as_bool() ? "true" : "false";
    case Kind::integer: return std::to_string(value.as_int());
    case Kind::uinteger: return std::to_string(value.as_uint());
    case Kind::real: return print_double(value.as_double());
    case Kind::string: return std::string(value.text());
    case Kind::bytes: return is_utf8(value.text()) ? std::optional(std::string(value.text())) : std::nullopt;
    case Kind::duration: return print_duration(value.nanos());
    case Kind::timestamp: return print_timestamp(value.time());
    case Kind::type: return std::string(runtime_name(*value.as_type()));
    default: return std::nullopt;
  }
}

std::string print(Memory& memory, const Value& value) {
  if (!memory.spend(1)) return {};
  std::string out;
  switch (value.kind()) {
    case Kind::null: return "null";
    case Kind::list:
      for (Items items(memory, value); !items.done() && out.size() < 4096;) out += (out.empty() ? "[" : ", ") + print(memory, items.next());
      return (out.empty() ? "[" : out) + "]";
    case Kind::map:
      for (Items items(memory, value); !items.done() && out.size() < 4096;) {
        Value inner;
        const Value key = items.next(&inner);
        out += (out.empty() ? "{" : ", ") + print(memory, key) + ": " + print(memory, inner);
      }
      return (out.empty() ? "{" : out) + "}";
    case Kind::optional: return value.inner() ? "optional(" + print(memory, *value.inner()) + ")" : "optional.none()";
    case Kind::error:
    case Kind::bytes: return std::string(value.text());
    case Kind::object: return std::string(value.object_type()->name);
    default: return convert_to_string(value).value_or("");
  }
}

}  // namespace estiba::cel
