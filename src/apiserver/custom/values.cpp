#include "apiserver/custom/values.h"

#include <algorithm>
#include <cmath>

#include "apiserver/custom/formats.h"
#include "base/strings.h"

namespace estiba::apiserver {

using json::Node;
using model::Structural;

namespace {

size_t code_points(std::string_view text) {
  return size_t(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

bool is_integer(const Node& node) {
  return node.is_number() && node.number_text().find_first_of(".eE") == std::string_view::npos && node.as_int();
}

std::string_view type_name(const Node& node) {
  switch (node.type()) {
    case json::Type::null: return "null";
    case json::Type::boolean: return "boolean";
    case json::Type::string: return "string";
    case json::Type::array: return "array";
    case json::Type::object: return "object";
    case json::Type::number: return is_integer(node) ? "integer" : "number";
  }
  return "";
}

// As Go's %v prints a float64: 10, 0.5, 1e+06.
std::string float_text(double value) {
  char text[32];
  const double size = std::fabs(value);
  if (size != 0 && (size < 1e-4 || size >= 1e21)) {
    snprintf(text, sizeof text, "%.17g", value);
    for (int digits = 1; digits < 17; ++digits) {
      char shorter[32];
      snprintf(shorter, sizeof shorter, "%.*e", digits - 1, value);
      if (strtod(shorter, nullptr) == value) return shorter;
    }
    return text;
  }
  auto [end, error] = std::to_chars(text, text + sizeof text, value, std::chars_format::fixed);
  return std::string(text, end);
}

// What a check of one value has found. `matches` counts what fitted, to tell which of several alternatives was meant.
struct Found {
  std::vector<FieldCause> causes;
  int matches = 0;

  bool valid() const { return causes.empty(); }
  void merge(Found other) {
    causes.insert(causes.end(), std::make_move_iterator(other.causes.begin()), std::make_move_iterator(other.causes.end()));
    matches += other.matches;
  }
};

// A path below the prefix ("spec.replicas"), printed only for messages.
struct Step {
  const Step* up;
  std::string_view key;
  uint32_t index = 0;
};

std::string print(const Step* step) {
  if (!step) return {};
  std::string out = print(step->up);
  if (!step->key.data()) return out + "[" + std::to_string(step->index) + "]";
  if (!out.empty()) out += '.';
  return out += step->key;
}

class Check {
 public:
  Check(const Checks& checks, const std::string& prefix) : checks_(checks), prefix_(prefix) {}

  // With ratcheting: what is wrong is no matter if it equals what was there.
  Found value(const Node& node, const Structural& schema, const Node* old, const Step* path) {
    Found out = against(node, schema, old, path);
    if (!out.valid() && old && json::equal(node, *old)) out.causes.clear();
    return out;
  }

 private:
  std::string field(const Step* path) const {
    std::string name = print(path);
    if (prefix_.empty()) return name.empty() ? "<nil>" : name;
    if (name.empty()) return prefix_;
    return prefix_ + (name.starts_with('[') ? "" : ".") + name;
  }

  void add(Found& out, const Step* path, std::string_view reason, std::string message) {
    out.causes.push_back({std::string(reason), std::move(message), field(path)});
  }
  // "Invalid value: 11: spec.replicas in body should be …"
  void invalid(Found& out, const Step* path, const std::string& value, std::string_view what) {
    add(out, path, "FieldValueInvalid", "Invalid value: " + value + ": " + print(path) + " in body " + std::string(what));
  }
  // What is wrong with several fields together stands at the object's root.
  void whole(Found& out, std::string message) {
    out.causes.push_back({"FieldValueInvalid", "Invalid value: \"\": " + std::move(message), prefix_.empty() ? "<nil>" : prefix_});
  }
  void wrong_type(Found& out, const Step* path, std::string_view expected, std::string_view got) {
    add(out, path, "FieldValueTypeInvalid",
        "Invalid value: " + quoted(got) + ": " + print(path) + " in body must be of type " + std::string(expected) + ": " + quoted(got));
  }

  Found against(const Node& node, const Structural& schema, const Node* old, const Step* path) {
    Found out;
    const bool typed = type(out, node, schema, path);
    if (node.is_null()) {
      if (!schema.nullable) allowed(out, node, schema, path);
      return out;
    }
    alternatives(out, node, schema, old, path);
    if (!typed) return out;
    switch (node.type()) {
      case json::Type::string: string(out, node, schema, path); break;
      case json::Type::number: number(out, node, schema, path); break;
      case json::Type::array: array(out, node, schema, old, path); break;
      default: break;
    }
    allowed(out, node, schema, path);
    if (node.is_object()) object(out, node, schema, old, path);
    ++out.matches;
    return out;
  }

  // False when nothing else can be said of a value of such a type.
  bool type(Found& out, const Node& node, const Structural& schema, const Step* path) {
    if (schema.type == Structural::Type::none && !schema.int_or_string) return true;
    const std::string_view expected = schema.int_or_string ? "integer,string" : to_string(schema.type), got = type_name(node);
    if (node.is_null() ? schema.nullable : fits(node, schema, got)) {
      ++out.matches;
      return true;
    }
    const bool by_format = !node.is_null() && !node.is_string() && !node.is_array() && !schema.format.empty();
    if (by_format) wrong_type(out, path, schema.format, got == "integer" ? "int64" : got == "number" ? "float64" : "");
    else wrong_type(out, path, expected, got);
    return false;
  }

  static bool fits(const Node& node, const Structural& schema, std::string_view got) {
    if (schema.int_or_string) return node.is_string() || node.as_int();
    if (schema.type == Structural::Type::integer)
      return node.as_int() || (node.as_double() && *node.as_double() == std::floor(*node.as_double()));
    if (schema.type == Structural::Type::number) return node.is_number();
    return to_string(schema.type) == got;
  }

  void alternatives(Found& out, const Node& node, const Structural& schema, const Node* old, const Step* path) {
    if (!schema.any_of.empty()) any(out, node, schema, old, path);
    if (!schema.one_of.empty()) one(out, node, schema, old, path);
    if (!schema.all_of.empty()) {
      size_t valid = 0;
      for (const Structural& each : schema.all_of) {
        Found found = against(node, each, old, path);
        valid += found.valid();
        out.merge(std::move(found));
      }
      if (valid != schema.all_of.size())
        whole(out, quoted(print(path)) + " must validate all the schemas (allOf)" + (valid == 0 ? ". None validated" : ""));
    }
    if (schema.negated && against(node, *schema.negated, old, path).valid())
      whole(out, quoted(print(path)) + " must not validate the schema (not)");
  }

  void any(Found& out, const Node& node, const Structural& schema, const Node* old, const Step* path) {
    std::optional<Found> best;
    for (const Structural& each : schema.any_of) {
      Found found = against(node, each, old, path);
      if (found.valid()) return out.merge(std::move(found));
      if (!best || found.matches > best->matches) best = std::move(found);
    }
    whole(out, quoted(print(path)) + " must validate at least one schema (anyOf)");
    out.merge(std::move(*best));
  }

  void one(Found& out, const Node& node, const Structural& schema, const Node* old, const Step* path) {
    std::optional<Found> best, first;
    int valid = 0;
    for (const Structural& each : schema.one_of) {
      Found found = against(node, each, old, path);
      if (found.valid()) {
        ++valid;
        best.reset();
        if (!first) first = std::move(found);
      } else if (valid == 0 && (!best || found.matches > best->matches)) {
        best = std::move(found);
      }
    }
    if (valid == 1) return out.merge(std::move(*first));
    whole(out, quoted(print(path)) + " must validate one and only one schema (oneOf). " +
                   (valid == 0 ? std::string("Found none valid") : "Found " + std::to_string(valid) + " valid alternatives"));
    if (best) out.merge(std::move(*best));
  }

  void string(Found& out, const Node& node, const Structural& schema, const Step* path) {
    const std::string_view text = node.as_string();
    if (schema.max_length || schema.min_length) {
      const auto length = int64_t(code_points(text));
      if (schema.max_length && length > *schema.max_length)
        return add(out, path, "FieldValueTooLong",
                   "Too long: may not be more than " + std::to_string(*schema.max_length) + (*schema.max_length == 1 ? " byte" : " bytes"));
      if (schema.min_length && length < *schema.min_length)
        return invalid(out, path, json::print(node), "should be at least " + std::to_string(*schema.min_length) + " chars long");
    }
    if (!schema.pattern.empty()) {
      const Pattern* pattern = checks_.pattern(schema.pattern);
      if (pattern && !pattern->matches(text))
        return invalid(out, path, json::print(node), "should match '" + std::string(schema.pattern) + "'");
    }
    if (!schema.format.empty() && schema.type != Structural::Type::integer && schema.type != Structural::Type::number &&
        !has_format(schema.format, text))
      wrong_type(out, path, schema.format, text);
  }

  void number(Found& out, const Node& node, const Structural& schema, const Step* path) {
    const double value = node.as_double().value_or(0);
    const auto integer = is_integer(node) ? node.as_int() : std::nullopt;
    const auto shown = [&](double bound) {
      return integer && bound == std::floor(bound) ? std::to_string(int64_t(bound)) : float_text(bound);
    };
    if (schema.type == Structural::Type::integer) {
      const bool narrow = schema.format == "int32";
      const bool in_range = narrow ? value >= INT32_MIN && value <= INT32_MAX : node.as_int().has_value();
      if (!in_range) {
        const bool declared = narrow || schema.format == "int64";
        whole(out,
              "Checked value must be of type integer " + (declared ? "with format " + std::string(schema.format) : "(default format)"));
      }
    }
    const std::string text = integer ? std::string(node.number_text()) : float_text(value);
    if (schema.multiple_of) {
      const double quotient = value / *schema.multiple_of;
      if (quotient != std::floor(quotient)) invalid(out, path, text, "should be a multiple of " + shown(*schema.multiple_of));
    }
    if (schema.minimum && (schema.exclusive_minimum ? value <= *schema.minimum : value < *schema.minimum))
      invalid(out, path, text,
              "should be greater than " + std::string(schema.exclusive_minimum ? "" : "or equal to ") + shown(*schema.minimum));
    if (schema.maximum && (schema.exclusive_maximum ? value >= *schema.maximum : value > *schema.maximum))
      invalid(out, path, text,
              "should be less than " + std::string(schema.exclusive_maximum ? "" : "or equal to ") + shown(*schema.maximum));
  }

  static std::string too_many(int64_t count, int64_t limit) {
    return "Too many: " + std::to_string(count) + ": must have at most " + std::to_string(limit) + (limit == 1 ? " item" : " items");
  }

  void array(Found& out, const Node& node, const Structural& schema, const Node* old, const Step* path) {
    if (schema.items) {
      uint32_t i = 0;
      for (const Node& element : node) {
        const Step step{path, {}, i++};
        out.merge(value(element, *schema.items, correlated_element(old, element, schema), &step));
      }
    }
    const int64_t count = node.size();
    if (schema.min_items && count < *schema.min_items)
      invalid(out, path, std::to_string(count), "should have at least " + std::to_string(*schema.min_items) + " items");
    if (schema.max_items && count > *schema.max_items) add(out, path, "FieldValueTooMany", too_many(count, *schema.max_items));
  }

  void allowed(Found& out, const Node& node, const Structural& schema, const Step* path) {
    if (!schema.allowed) return;
    std::vector<std::string> values;
    for (const Node& each : *schema.allowed) {
      if (json::equal(each, node)) return;
      values.push_back(quoted(each.is_string() ? each.as_string() : std::string_view(json::print(each))));
    }
    add(out, path, "FieldValueNotSupported", "Unsupported value: " + json::print(node) + ": supported values: " + join(values, ", "));
  }

  void object(Found& out, const Node& node, const Structural& schema, const Node* old, const Step* path) {
    const int64_t count = node.size();
    if (schema.min_properties && count < *schema.min_properties)
      invalid(out, path, std::to_string(count), "should have at least " + std::to_string(*schema.min_properties) + " properties");
    if (schema.max_properties && count > *schema.max_properties)
      add(out, path, "FieldValueTooMany", too_many(count, *schema.max_properties));
    const Node* before = old && old->is_object() && schema.map_type != model::schema::MapType::atomic ? old : nullptr;
    for (const Node& member : node) {
      const Structural* below = schema.member(member.key());
      if (!below) continue;
      const bool meta = !path && prefix_.empty() && (member.key() == "kind" || member.key() == "apiVersion");
      const Step step{path, member.key()};
      out.merge(value(member, *below, before && !meta ? before->find(member.key()) : nullptr, &step));
    }
    for (std::string_view key : schema.required) {
      if (node.find(key)) continue;
      const Step step{path, key};
      add(out, &step, "FieldValueRequired", "Required value");
    }
  }

  const Checks& checks_;
  const std::string& prefix_;
};

// What tells an element of a list of type map from the others: its keys, as JSON.
std::string keys_text(const Node& element, const Structural& list) {
  std::string out;
  for (std::string_view key : list.list_keys) {
    const Node* value = element.find(key);
    if (!value) continue;
    if (!out.empty()) out += ',';
    json::append_string(out, key);
    out += ':' + json::print(*value);
  }
  return "{" + out + "}";
}

void check_list(const Node& list, const Structural& schema, const std::string& path, FieldErrors& errors) {
  if (schema.list_type != model::schema::ListType::set && schema.list_type != model::schema::ListType::map) return;
  const bool map = schema.list_type == model::schema::ListType::map;
  std::map<std::string, int> seen;
  size_t i = 0;
  for (const Node& element : list) {
    const std::string where = at(path, i++);
    if (map && !element.is_object() && !element.is_null())
      return errors.invalid(where, &element, "must be an object for an array of list-type map");
    std::string text = map ? keys_text(element, schema) : json::print(element);
    // Only the first repetition is told.
    if (++seen[text] == 2) errors.add({"FieldValueDuplicate", "Duplicate value: " + text, where});
  }
}

std::string below(const std::string& path, std::string_view key) { return path.empty() ? std::string(key) : path + "." + std::string(key); }

}  // namespace

const Node* correlated_element(const Node* old, const Node& element, const Structural& list) {
  if (!old || !old->is_array() || list.list_type != model::schema::ListType::map || !element.is_object()) return nullptr;
  const std::string keys = keys_text(element, list);
  for (const Node& other : *old)
    if (other.is_object() && keys_text(other, list) == keys) return &other;
  return nullptr;
}

void check_value(const Node& value, const Structural& schema, const Checks& checks, const Node* old, const std::string& prefix,
                 FieldErrors& errors) {
  Found found = Check(checks, prefix).value(value, schema, old, nullptr);
  for (FieldCause& cause : found.causes) errors.add(std::move(cause));
}

void check_lists(const Node& value, const Structural& schema, const std::string& path, FieldErrors& errors) {
  if (value.is_object()) {
    for (const Node& member : value)
      if (const Structural* known = schema.member(member.key()))
        check_lists(member, *known, schema.properties.contains(member.key()) ? below(path, member.key()) : at(path, member.key()), errors);
  } else if (value.is_array()) {
    check_list(value, schema, path, errors);
    if (!schema.items) return;
    size_t i = 0;
    for (const Node& element : value) check_lists(element, *schema.items, at(path, i++), errors);
  }
}

}  // namespace estiba::apiserver
