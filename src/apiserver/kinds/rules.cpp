#include "apiserver/kinds/rules.h"

#include "apiserver/edit.h"
#include "base/strings.h"

namespace estiba::apiserver {
namespace {

constexpr std::string_view label_rule =
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character "
    "(e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
constexpr std::string_view subdomain_rule =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
constexpr std::string_view qualified_rule =
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or "
    "'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
constexpr std::string_view value_rule =
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

bool lower_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}
bool alnum(char c) {
  return lower_alnum(c) || (c >= 'A' && c <= 'Z');
}
bool is_label(std::string_view text) {
  return !text.empty() && lower_alnum(text.front()) && lower_alnum(text.back()) &&
         std::all_of(text.begin(), text.end(), [](char c) { return lower_alnum(c) || c == '-'; });
}
bool is_subdomain(std::string_view text) {
  std::vector<std::string_view> parts = split(text, '.');
  return std::all_of(parts.begin(), parts.end(), is_label);
}
bool is_name_part(std::string_view text) {
  return !text.empty() && alnum(text.front()) && alnum(text.back()) &&
         std::all_of(text.begin(), text.end(), [](char c) { return alnum(c) || c == '-' || c == '_' || c == '.'; });
}

std::string length_rule(size_t limit) {
  return "must be no more than " + std::to_string(limit) + " bytes";
}

bool is_percentage(std::string_view text) {
  return text.size() > 1 && text.back() == '%' && parse_number<uint32_t>(text.substr(0, text.size() - 1));
}

}  // namespace

void require_not_negative(const json::Node& object, std::string_view key, std::string field, FieldErrors& errors) {
  const json::Node* value = object.find(key);
  if (!present(value) || value->as_int().value_or(0) >= 0) return;
  errors.invalid(std::move(field), value, "must be greater than or equal to 0");
}

void require_one_of(const json::Node* value, std::string field, std::initializer_list<std::string_view> allowed, FieldErrors& errors) {
  if (!present(value) || value->as_string().empty()) return;
  if (std::find(allowed.begin(), allowed.end(), value->as_string()) == allowed.end()) errors.not_supported(std::move(field), value->as_string(), allowed);
}

void require_unchanged(Draft& draft, std::string_view path) {
  const json::Node* now = follow(draft.object, path);
  if (!same(follow(*draft.old, path), now)) draft.errors.invalid(std::string(path), now, "field is immutable");
}

void validate_rolling_update(const json::Node& rolling, const std::string& path, FieldErrors& errors) {
  int zeros = 0;
  for (std::string_view key : {"maxUnavailable", "maxSurge"}) {
    const json::Node* value = rolling.find(key);
    if (!present(value)) continue;
    std::string field = path + "." + std::string(key);
    if (value->is_number()) {
      require_not_negative(rolling, key, field, errors);
      zeros += value->as_int() == 0;
    } else if (!is_percentage(value->as_string())) {
      errors.invalid(field, value, "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')");
    } else {
      zeros += value->as_string() == "0%";
    }
  }
  if (zeros == 2) errors.invalid(path + ".maxUnavailable", rolling.find("maxUnavailable"), "may not be 0 when `maxSurge` is 0");
}

void require_port_number(const json::Node* value, std::string field, FieldErrors& errors) {
  int64_t number = value ? value->as_int().value_or(0) : 0;
  if (number >= 1 && number <= 65535) return;
  errors.invalid(std::move(field), std::string_view(std::to_string(number)), "must be between 1 and 65535, inclusive");
}

void require_dns_label(std::string_view value, std::string field, FieldErrors& errors) {
  if (value.empty()) return errors.required(std::move(field));
  if (value.size() > 63) return errors.invalid_string(std::move(field), value, length_rule(63));
  if (!is_label(value)) errors.invalid_string(std::move(field), value, label_rule);
}

void require_dns_subdomain(std::string_view value, std::string field, FieldErrors& errors) {
  if (value.empty()) return errors.required(std::move(field));
  if (value.size() > 253) return errors.invalid_string(std::move(field), value, length_rule(253));
  if (!is_subdomain(value)) errors.invalid_string(std::move(field), value, subdomain_rule);
}

void require_qualified_name(std::string_view value, std::string field, FieldErrors& errors) {
  auto [prefix, rest] = split_once(value, '/');
  std::string_view name = rest.value_or(prefix);
  if (rest && prefix.empty()) return errors.invalid_string(std::move(field), value, "prefix part must be non-empty");
  if (rest && (prefix.size() > 253 || !is_subdomain(prefix))) {
    return errors.invalid_string(std::move(field), value, "prefix part " + std::string(subdomain_rule));
  }
  if (name.empty()) return errors.invalid_string(std::move(field), value, "name part must be non-empty");
  if (name.size() > 63) return errors.invalid_string(std::move(field), value, "name part " + length_rule(63));
  if (!is_name_part(name)) errors.invalid_string(std::move(field), value, qualified_rule);
}

void validate_labels(const json::Node* labels, const std::string& path, FieldErrors& errors) {
  if (!present(labels)) return;
  for (const json::Node& label : *labels) {
    require_qualified_name(label.key(), path, errors);
    std::string_view value = label.as_string();
    if (value.size() > 63) errors.invalid_string(path, value, length_rule(63));
    else if (!value.empty() && !is_name_part(value)) errors.invalid_string(path, value, value_rule);
  }
}

void validate_label_selector(const json::Node& selector, const std::string& path, FieldErrors& errors) {
  validate_labels(selector.find("matchLabels"), path + ".matchLabels", errors);
  const json::Node* expressions = selector.find("matchExpressions");
  if (!present(expressions)) return;
  size_t i = 0;
  for (const json::Node& expression : *expressions) {
    std::string here = at(path + ".matchExpressions", i++);
    std::string_view op = expression.string_at("operator");
    const json::Node* values = expression.find("values");
    bool any = present(values) && !values->empty();
    if (op == "In" || op == "NotIn") {
      if (!any) errors.required(here + ".values", "must be specified when `operator` is 'In' or 'NotIn'");
    } else if (op == "Exists" || op == "DoesNotExist") {
      if (any) errors.forbidden(here + ".values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    } else {
      errors.invalid_string(here + ".operator", op, "not a valid selector operator");
    }
    require_qualified_name(expression.string_at("key"), here + ".key", errors);
  }
}

}  // namespace estiba::apiserver
