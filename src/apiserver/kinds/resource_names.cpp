#include "apiserver/kinds/resource_names.h"

#include <algorithm>

#include "base/strings.h"
#include "model/names.h"
#include "model/quantity.h"

namespace estiba::apiserver {
namespace {

constexpr std::string_view standard[] = {"cpu",
                                         "memory",
                                         "ephemeral-storage",
                                         "requests.cpu",
                                         "requests.memory",
                                         "requests.ephemeral-storage",
                                         "limits.cpu",
                                         "limits.memory",
                                         "limits.ephemeral-storage",
                                         "pods",
                                         "resourcequotas",
                                         "services",
                                         "replicationcontrollers",
                                         "secrets",
                                         "configmaps",
                                         "persistentvolumeclaims",
                                         "storage",
                                         "requests.storage",
                                         "services.nodeports",
                                         "services.loadbalancers"};
constexpr std::string_view counted[] = {"pods",       "resourcequotas",         "services",           "replicationcontrollers", "secrets",
                                        "configmaps", "persistentvolumeclaims", "services.nodeports", "services.loadbalancers"};

bool one_of(std::span<const std::string_view> names, std::string_view name) { return std::ranges::find(names, name) != names.end(); }

bool is_standard(std::string_view name) { return one_of(standard, name) || is_hugepage(name) || name.starts_with("requests.hugepages-"); }

}  // namespace

bool is_hugepage(std::string_view name) { return name.starts_with("hugepages-"); }

bool is_native_resource(std::string_view name) { return !name.contains('/') || name.contains("kubernetes.io/"); }

bool is_extended_resource(std::string_view name) {
  if (is_native_resource(name) || name.starts_with("requests.")) return false;
  return model::check_qualified_name("requests." + std::string(name)).empty();
}

bool allows_overcommit(std::string_view name) { return is_native_resource(name) && !is_hugepage(name); }

bool validate_resource_name(std::string_view name, const std::string& field, FieldErrors& errors) {
  const model::Problems problems = model::check_qualified_name(name);
  for (const std::string& problem : problems) errors.invalid_string(field, name, problem);
  if (!problems.empty()) return false;
  if (name.contains('/') || is_standard(name)) return true;
  errors.invalid_string(field, name, "must be a standard resource type or fully qualified");
  return false;
}

void validate_container_resource_name(std::string_view name, const std::string& field, FieldErrors& errors) {
  validate_resource_name(name, field, errors);
  if (!name.contains('/')) {
    if (name != "cpu" && name != "memory" && name != "ephemeral-storage" && !is_hugepage(name))
      errors.invalid_string(field, name, "must be a standard resource for containers");
  } else if (!is_native_resource(name) && !is_extended_resource(name)) {
    errors.invalid_string(field, name, "doesn't follow extended resource name standard");
  }
}

void validate_resource_quantity(std::string_view name, const json::Node& quantity, const std::string& field, FieldErrors& errors) {
  const std::string_view text = quantity.as_string(quantity.number_text());
  const auto value = model::Quantity::parse(text);
  if (!value) return;  // the reading of the object has told that
  if (value->is_negative()) errors.invalid_string(field, text, "must be greater than or equal to 0");
  if ((one_of(counted, name) || is_extended_resource(name)) && value->to_milli() % 1000 != 0)
    errors.invalid_string(field, text, "must be an integer");
  if (!is_hugepage(name)) return;
  const auto page = model::Quantity::parse(name.substr(std::string_view("hugepages-").size()));
  const int64_t size = page ? page->to_int64() : 0;
  if (size <= 0 || value->to_int64() % size != 0)
    errors.invalid_string(field, text, value->print() + " is not positive integer multiple of " + std::string(name));
}

}  // namespace estiba::apiserver
