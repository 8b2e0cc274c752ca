#include "apiserver/kinds/rules.h"

#include "apiserver/edit.h"
#include "base/strings.h"
#include "model/names.h"

namespace estiba::apiserver {
namespace {

void report(const model::Problems& problems, const std::string& field, std::string_view value, FieldErrors& errors) {
  for (const std::string& problem : problems) errors.invalid_string(field, value, problem);
}

}  // namespace

void require_not_negative(const json::Node& object, std::string_view key, std::string field, FieldErrors& errors) {
  const json::Node* value = object.find(key);
  if (!present(value) || value->as_int().value_or(0) >= 0) return;
  errors.invalid(std::move(field), value, "must be greater than or equal to 0");
}

void require_one_of(const json::Node* value, std::string field, std::initializer_list<std::string_view> allowed, FieldErrors& errors) {
  if (!present(value) || value->as_string().empty()) return;
  if (std::find(allowed.begin(), allowed.end(), value->as_string()) == allowed.end())
    errors.not_supported(std::move(field), value->as_string(), allowed);
}

void require_unchanged(Draft& draft, std::string_view path) {
  const json::Node* now = follow(draft.object, path);
  if (!same(follow(*draft.old, path), now)) draft.errors.invalid(std::string(path), now, "field is immutable");
}

void require_port_number(const json::Node* value, std::string field, FieldErrors& errors) {
  int64_t number = value ? value->as_int().value_or(0) : 0;
  if (number >= 1 && number <= 65535) return;
  errors.invalid(std::move(field), std::string_view(std::to_string(number)), "must be between 1 and 65535, inclusive");
}

void require_dns_label(std::string_view value, std::string field, FieldErrors& errors) {
  if (value.empty()) return errors.required(std::move(field));
  report(model::check_dns1123_label(value), field, value, errors);
}

void require_dns_subdomain(std::string_view value, std::string field, FieldErrors& errors) {
  if (value.empty()) return errors.required(std::move(field));
  report(model::check_dns1123_subdomain(value), field, value, errors);
}

void require_path_segment(std::string_view value, std::string field, FieldErrors& errors) {
  report(model::check_path_segment(value), field, value, errors);
}

void require_port_name(std::string_view value, std::string field, FieldErrors& errors) {
  report(model::check_port_name(value), field, value, errors);
}

void require_qualified_name(std::string_view value, std::string field, FieldErrors& errors) {
  report(model::check_qualified_name(value), field, value, errors);
}

void validate_labels(const json::Node* labels, const std::string& path, FieldErrors& errors) {
  if (!present(labels)) return;
  for (const json::Node& label : *labels) {
    require_qualified_name(label.key(), path, errors);
    report(model::check_label_value(label.as_string()), path, label.as_string(), errors);
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
    if (!any) continue;
    size_t j = 0;
    for (const json::Node& value : *values)
      report(model::check_label_value(value.as_string()), at(here + ".values", j++), value.as_string(), errors);
  }
}

}  // namespace estiba::apiserver
