#include "cel/cost.h"

#include <cmath>

#include "cel/compare.h"
#include "cel/library/objects.h"

namespace estiba::cel {

CostRule dynamic_cost_rule(const Overload& overload) {
  const std::string_view name = overload.function;
  const auto any = [&](std::initializer_list<std::string_view> names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (name == "check") return CostRule::check;
  if (any({"fieldSelector", "labelSelector"})) return CostRule::selector;
  if (any({"isSorted", "sum", "max", "min", "indexOf", "lastIndexOf"})) return CostRule::traversal;
  if (any({"url", "lowerAscii", "upperAscii", "substring", "trim", "jsonpatch.escapeKey", "cidr", "isIP", "isCIDR", "quantity",
           "isQuantity", "semver", "isSemver"}))
    return CostRule::text;
  if (any({"replace", "split", "ip.isCanonical"})) return CostRule::text_twice;
  if (name == "join") return CostRule::join;
  if (any({"find", "findAll"})) return CostRule::find;
  if (name == "ip") return overload.id == "cidr_ip" ? CostRule::one : CostRule::text;
  if (name == "containsIP") return overload.id == "cidr_contains_ip_string" ? CostRule::contains_ip_text : CostRule::contains_ip;
  if (name == "containsCIDR") return overload.id == "cidr_contains_cidr_string" ? CostRule::contains_cidr_text : CostRule::contains_cidr;
  if (name == "validate") return CostRule::validate;
  if (any({op::equals, op::not_equals})) return CostRule::equality;
  return CostRule::one;
}

CostRule cost_rule(const Overload& overload) {
  const CostRule named = dynamic_cost_rule(overload);
  if (named != CostRule::one) return named;
  const std::string_view id = overload.id;
  const auto any = [&](std::initializer_list<std::string_view> ids) { return std::find(ids.begin(), ids.end(), id) != ids.end(); };
  if (any({"starts_with_string", "ends_with_string", "string_to_bytes", "bytes_to_string", "strings_quote", "string_format"}))
    return CostRule::text;
  if (id == "in_list") return CostRule::in_list;
  if (any({"add_string", "add_bytes"})) return CostRule::concat_texts;
  if (id == "matches_string") return CostRule::matches;
  if (id == "contains_string") return CostRule::contains;
  const std::string_view f = overload.function;
  const bool order = f == op::less || f == op::less_equals || f == op::greater || f == op::greater_equals;
  if (order && (id.ends_with("_string") || id.ends_with("_bytes"))) return CostRule::compare_texts;
  if (any({"list_slice", "lists_range", "list_reverse"})) return CostRule::list_result;
  if (any({"list_flatten", "list_flatten_int"})) return CostRule::flatten;
  if (id == "list_distinct" || f == "sort") return CostRule::self_compare;
  if (f == "@sortByAssociatedKeys") return CostRule::self_compare_keys;
  if (any({"list_sets_contains_list", "list_sets_intersects_list"})) return CostRule::sets_once;
  return id == "list_sets_equivalent_list" ? CostRule::sets_twice : CostRule::one;
}

static uint64_t size_of(const Value& value) {
  switch (value.kind()) {
    case Kind::string: return code_points(value.text());
    case Kind::bytes:
    case Kind::list:
    case Kind::map: return value.count();
    case Kind::object:
      if (value.is_object(Object::Is::ip)) return as<IpObject>(value).address.size();
      if (value.is_object(Object::Is::cidr)) return uint64_t(as<CidrObject>(value).bits + 7) / 8;
      return 1;
    default: return 1;
  }
}

static uint64_t up(double cost) { return cost >= 1e18 ? uint64_t(1e18) : uint64_t(std::ceil(cost)); }
static uint64_t text_cost(const Value& value, double times = 1) { return up(double(size_of(value)) * times * text_factor); }

static uint64_t traversal(Memory& memory, const Value& value) {
  if (!memory.spend(1)) return 0;
  switch (value.kind()) {
    case Kind::string:
    case Kind::bytes: return uint64_t(double(value.count()) * text_factor);
    case Kind::list: {
      uint64_t cost = 0;
      for (Items items(memory, value); !items.done();) cost += traversal(memory, items.next());
      return cost;
    }
    case Kind::map: {
      uint64_t cost = 0;
      for (Items items(memory, value); !items.done();) {
        Value inner;
        cost += traversal(memory, items.next(&inner));
        cost += traversal(memory, inner);
      }
      return cost;
    }
    default: return 1;
  }
}

static uint64_t list_of(double factor, uint64_t size) { return uint64_t(std::min(double(size) * factor, 1e18)) + 1 + list_cost; }

static uint64_t self_compare(Memory& memory, const Value& list) {
  const uint64_t size = size_of(list);
  if (size == 0) return list_of(2, 0);
  const Value first = memory.item(list, 0);
  const bool texts = first.is(Kind::string) || first.is(Kind::bytes);
  return list_of(texts ? 2 + text_factor : 2, size * size);
}

uint64_t call_cost(Memory& memory, CostRule rule, Args a, const Value& result) {
  switch (rule) {
    case CostRule::one: return 1;
    case CostRule::check: return 350'000;
    case CostRule::selector: {
      const uint64_t size = size_of(a[1]);
      return list_cost + up(double(size) * text_factor) + up(double(up(double(size) * 0.5)) * double(list_cost + message_cost));
    }
    case CostRule::traversal: return traversal(memory, a[0]);
    case CostRule::text: return text_cost(a[0]);
    case CostRule::text_twice: return text_cost(a[0], 2);
    case CostRule::join: return text_cost(result, 2);
    case CostRule::find:
    case CostRule::matches: return up((1.0 + double(size_of(a[0]))) * text_factor) * up(double(size_of(a[1])) * regex_factor);
    case CostRule::contains_ip: return text_cost(a[0], 2);
    case CostRule::contains_ip_text: return text_cost(a[0], 2) + text_cost(a[1]);
    case CostRule::contains_cidr: return text_cost(a[0], 2) + text_cost(a[0]) + 1;
    case CostRule::contains_cidr_text: return text_cost(a[0], 2) + text_cost(a[0]) + 1 + text_cost(a[1]);
    case CostRule::validate:
      return up((1.0 + double(size_of(a[1]))) * text_factor) * up(double(as<FormatObject>(a[0]).info->regex_size) * regex_factor);
    case CostRule::equality:
      if (a[0].is(Kind::object)) return 1;
      [[fallthrough]];
    case CostRule::compare_texts: return up(double(std::min(size_of(a[0]), size_of(a[1]))) * text_factor);
    case CostRule::in_list: return size_of(a[1]);
    case CostRule::concat_texts: return up(double(size_of(a[0]) + size_of(a[1])) * text_factor);
    case CostRule::contains: return text_cost(a[0]) * text_cost(a[1]);
    case CostRule::list_result: return list_of(1, size_of(result));
    case CostRule::flatten: return list_of(a.size() > 1 ? double(std::max<int64_t>(a[1].as_int(), 0)) : 1, size_of(a[0]));
    case CostRule::self_compare: return self_compare(memory, a[0]);
    case CostRule::self_compare_keys: return self_compare(memory, a[1]);
    case CostRule::sets_once: return 1 + size_of(a[0]) * size_of(a[1]);
    case CostRule::sets_twice: return 1 + 2 * size_of(a[0]) * size_of(a[1]);
  }
  return 1;
}

static uint64_t add(uint64_t a, uint64_t b) { return a > UINT64_MAX - b ? UINT64_MAX : a + b; }
static uint64_t multiply(uint64_t a, uint64_t b) { return b != 0 && a > UINT64_MAX / b ? UINT64_MAX : a * b; }
static uint64_t scale(uint64_t a, double factor) {
  const double product = std::ceil(double(a) * factor);
  return product >= 18446744073709551616.0 ? UINT64_MAX : uint64_t(product);
}

Range Range::operator+(const Range& other) const { return {add(min, other.min), add(max, other.max)}; }
Range Range::operator*(const Range& other) const { return {multiply(min, other.min), multiply(max, other.max)}; }
Range Range::scaled(double factor) const { return {scale(min, factor), scale(max, factor)}; }

}  // namespace estiba::cel
