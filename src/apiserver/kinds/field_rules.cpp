#include "apiserver/kinds/field_rules.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "apiserver/edit.h"
#include "apiserver/kinds/rules.h"
#include "apiserver/kinds/value_checks.h"
#include "base/strings.h"
#include "model/names.h"
#include "model/quantity.h"

namespace estiba::apiserver {
namespace {

using json::Node;

void report(const model::Problems& problems, const std::string& field, std::string_view value, FieldErrors& errors) {
  for (const std::string& problem : problems) errors.invalid_string(field, value, problem);
}

bool is_empty(const Node* value) {
  if (!present(value)) return true;
  if (value->is_string()) return value->as_string().empty();
  return value->type() >= json::Type::array && value->empty();
}

void check_one_of(const Node& value, std::string_view arg, std::string field, FieldErrors& errors) {
  const std::vector<std::string_view> allowed = split(arg, ' ');
  if (std::ranges::find(allowed, value.as_string()) != allowed.end()) return;
  errors.not_supported(std::move(field), value.as_string(), std::span(allowed));
}

void check_number(const Node& value, Check check, std::string_view arg, std::string field, FieldErrors& errors) {
  int64_t low = 0, high = INT64_MAX;
  std::string detail = "must be greater than or equal to 0";
  switch (check) {
    case Check::positive: low = 1, detail = "must be greater than 0"; break;
    case Check::file_mode: high = 0777, detail = "must be a number between 0 and 0777 (octal), both inclusive"; break;
    case Check::range:
    case Check::port:
    case Check::user_id: {
      if (check == Check::port) arg = "1 65535";
      if (check == Check::user_id) arg = "0 2147483647";
      auto [from, to] = split_once(arg, ' ');
      low = parse_number<int64_t>(from).value_or(0), high = parse_number<int64_t>(to.value_or("")).value_or(INT64_MAX);
      detail = "must be between " + std::string(from) + " and " + std::string(to.value_or("")) + ", inclusive";
      break;
    }
    default: break;
  }
  const int64_t number = value.as_int().value_or(0);
  if (number < low || number > high) errors.invalid(std::move(field), &value, detail);
}

void check_path(std::string_view path, Check check, const std::string& field, FieldErrors& errors) {
  if (check == Check::absolute_path) {
    if (!path.starts_with('/')) errors.invalid_string(field, path, "must be an absolute path");
    return;
  }
  if (check != Check::no_backsteps && path.starts_with('/')) errors.invalid_string(field, path, "must be a relative path");
  const auto steps = split(path, '/');
  if (std::ranges::find(steps, "..") != steps.end()) errors.invalid_string(field, path, "must not contain '..'");
  if (check == Check::inner_path && path.starts_with("..") && !path.starts_with("../"))
    errors.invalid_string(field, path, "must not start with '..'");
}

void check_int_or_percent(const Node& value, const std::string& field, FieldErrors& errors) {
  if (value.is_number()) return check_number(value, Check::not_negative, {}, field, errors);
  if (!model::is_percentage(value.as_string()))
    errors.invalid_string(field, value.as_string(),
                          "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used "
                          "for validation is '[0-9]+%')");
}

void check_quantity(const Node& value, const std::string& field, FieldErrors& errors) {
  const auto quantity = model::Quantity::parse(value.is_string() ? value.as_string() : value.number_text());
  if (quantity && !quantity->is_negative()) return;
  errors.invalid_string(field, value.as_string(value.number_text()), "must be greater than or equal to 0");
}

model::Problems text_problems(std::string_view text, Check check) {
  switch (check) {
    case Check::dns_label: return model::check_dns1123_label(text);
    case Check::dns_subdomain: return model::check_dns1123_subdomain(text);
    case Check::qualified_name: return model::check_qualified_name(text);
    case Check::label_value: return model::check_label_value(text);
    case Check::path_segment: return model::check_path_segment(text);
    case Check::config_key: return model::check_config_key(text);
    case Check::env_name: return model::check_env_name(text);
    case Check::port_or_name: return model::check_port_name(text);
    case Check::ip: return check_ip(text);
    case Check::cidr: return check_cidr(text);
    case Check::http_header: return check_http_header_name(text);
    case Check::driver_name: return model::check_dns1123_subdomain(to_lower(text));
    default: return {};
  }
}

void check_size(const Node& value, Check check, std::string_view arg, std::string field, FieldErrors& errors) {
  const size_t limit = parse_number<size_t>(arg).value_or(0);
  if (check == Check::max_bytes) {
    if (value.as_string().size() > limit) errors.too_long(std::move(field), limit);
  } else if (value.size() > limit) {
    errors.add({"FieldValueTooMany",
                "Too many: " + std::to_string(value.size()) + ": must have at most " + std::to_string(limit) + " items", std::move(field)});
  }
}

// One rule on its way through an object.
class Walk {
 public:
  Walk(const FieldRule& rule, const std::string& prefix, FieldErrors& errors) : rule_(rule), prefix_(prefix), errors_(errors) {}

  void go(const Node& node, size_t from) {
    const size_t dot = rule_.path.find('.', from);
    const bool last = dot == std::string_view::npos;
    std::string_view name = rule_.path.substr(from, last ? dot : dot - from);
    const bool many = name.ends_with("[]") || name.ends_with("{}");
    if (many) name.remove_suffix(2);
    const Node* child = node.find(name);
    if (!many && last) return check(child);
    if (!many && present(child)) return go(*child, dot + 1);
    if (!many) return;
    if (!child || child->type() < json::Type::array) return;
    size_t i = 0;
    for (const Node& element : *child) {
      steps_.push_back(child->is_object() ? std::string(element.key()) : std::to_string(i++));
      if (last) check(&element);
      else go(element, dot + 1);
      steps_.pop_back();
    }
  }

 private:
  void check(const Node* value) {
    const bool silent = rule_.check == Check::required    ? !is_empty(value)
                        : rule_.check == Check::forbidden ? !present(value)
                                                          : is_empty(value);
    if (!silent) check_value(value, rule_.check, rule_.arg, field(), errors_);
  }

  std::string field() const {
    std::string out = prefix_;
    if (!out.empty()) out += '.';
    size_t step = 0;
    for (size_t i = 0; i < rule_.path.size(); i++) {
      if (rule_.path[i] != '[' && rule_.path[i] != '{') {
        out += rule_.path[i];
        continue;
      }
      out.append("[").append(steps_[step++]).append("]");
      i++;
    }
    return out;
  }

  const FieldRule& rule_;
  const std::string& prefix_;
  FieldErrors& errors_;
  std::vector<std::string> steps_;
};

}  // namespace

void check_value(const Node* value, Check check, std::string_view arg, std::string field, FieldErrors& errors) {
  if (check == Check::required) {
    if (is_empty(value)) errors.required(std::move(field), arg);
    return;
  }
  if (check == Check::forbidden) {
    if (present(value)) errors.forbidden(std::move(field), arg);
    return;
  }
  if (is_empty(value)) return;
  switch (check) {
    case Check::not_negative:
    case Check::positive:
    case Check::range:
    case Check::port:
    case Check::file_mode:
    case Check::user_id: return check_number(*value, check, arg, std::move(field), errors);
    case Check::one_of: return check_one_of(*value, arg, std::move(field), errors);
    case Check::no_backsteps:
    case Check::relative_path:
    case Check::inner_path:
    case Check::absolute_path: return check_path(value->as_string(), check, field, errors);
    case Check::quantity: return check_quantity(*value, field, errors);
    case Check::labels: return validate_labels(value, field, errors);
    case Check::label_selector: return validate_label_selector(*value, field, errors);
    case Check::max_items:
    case Check::max_bytes: return check_size(*value, check, arg, std::move(field), errors);
    case Check::int_or_percent: return check_int_or_percent(*value, field, errors);
    case Check::port_or_name:
      if (value->is_number()) return check_number(*value, Check::port, {}, std::move(field), errors);
      return report(model::check_port_name(value->as_string()), field, value->as_string(), errors);
    case Check::driver_name:
      if (value->as_string().size() > 63) errors.too_long(field, 63);
      return report(text_problems(value->as_string(), check), field, value->as_string(), errors);
    default: return report(text_problems(value->as_string(), check), field, value->as_string(), errors);
  }
}

void check_fields(const Node& object, std::span<const FieldRule> rules, const std::string& prefix, FieldErrors& errors) {
  for (const FieldRule& rule : rules) Walk(rule, prefix, errors).go(object, 0);
}

std::string join_path(std::string_view path, std::string_view key) {
  std::string out(path);
  if (!out.empty() && !key.empty()) out += '.';
  return out.append(key);
}

std::optional<int64_t> int_at(const Node& object, std::string_view key) {
  const Node* value = object.find(key);
  return present(value) ? value->as_int() : std::nullopt;
}

bool bool_at(const Node& object, std::string_view key) {
  const Node* value = object.find(key);
  return value && value->as_bool();
}

int check_union(const Node& object, std::span<const std::string_view> names, const std::string& path, std::string_view too_many,
                std::string_view none, FieldErrors& errors) {
  int count = 0;
  for (std::string_view name : names) {
    if (has(object, name) && ++count > 1) errors.forbidden(join_path(path, name), too_many);
  }
  if (count == 0 && !none.empty()) errors.required(path, none);
  return count;
}

}  // namespace estiba::apiserver
