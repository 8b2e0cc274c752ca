// The devices of a ResourceSlice.
#include <algorithm>
#include <set>

#include "apiserver/edit.h"
#include "apiserver/kinds/device_checks.h"
#include "apiserver/kinds/field_rules.h"
#include "apiserver/kinds/pod_check.h"
#include "apiserver/kinds/resource_names.h"
#include "apiserver/kinds/rules.h"
#include "base/strings.h"
#include "model/quantity.h"

namespace estiba::apiserver::devices {
namespace {

using json::Node;

constexpr size_t most_entries = 32, most_values = 48, longest_value = 64, longest_identifier = 32;

bool is_alphanumeric(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); });
}
bool is_numeric(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

void require_identifier(std::string_view text, const std::string& field, FieldErrors& errors) {
  if (text.size() > longest_identifier) errors.too_long(field, longest_identifier);
  std::string letters(text);
  std::erase(letters, '_');
  if (text.empty() || !is_alphanumeric(letters) || is_numeric(text.substr(0, 1)))
    errors.invalid_string(
        field, text,
        "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters "
        "or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is '[A-Za-z_][A-Za-z0-9_]*')");
}

// "name" or "domain/name"
void require_qualified(std::string_view name, const std::string& field, FieldErrors& errors) {
  auto [first, second] = split_once(name, '/');
  if (!second) return require_identifier(first, field, errors);
  if (first.empty()) errors.invalid_string(field, "", "the domain must not be empty");
  else require_dns_subdomain(first, field, errors);
  if (second->empty()) errors.invalid_string(field, "", "the name must not be empty");
  else require_identifier(*second, field, errors);
}

// Parts of letters, digits and '-' between dots; `numbers`: without leading zeros where they are numbers.
bool is_dotted(std::string_view text, bool numbers) {
  for (std::string_view part : split(text, '.')) {
    std::string letters(part);
    std::erase(letters, '-');
    if (part.empty() || !is_alphanumeric(letters)) return false;
    if (numbers && is_numeric(part) && part.size() > 1 && part[0] == '0') return false;
  }
  return true;
}

bool is_semantic_version(std::string_view text) {
  auto [release, build] = split_once(text, '+');
  if (build && !is_dotted(*build, false)) return false;
  auto [core, candidate] = split_once(release, '-');
  if (candidate && !is_dotted(*candidate, true)) return false;
  return split(core, '.').size() == 3 && is_dotted(core, true) && std::ranges::all_of(split(core, '.'), is_numeric);
}

void validate_text(std::string_view text, bool version, const std::string& field, FieldErrors& errors) {
  if (version && !is_semantic_version(text)) errors.invalid_string(field, text, "must be a string compatible with semver.org spec 2.0.0");
  if (text.size() > longest_value) errors.too_long(field, longest_value);
}

constexpr std::string_view single_values[] = {"bool", "int", "string", "version"}, value_lists[] = {"bools", "ints", "strings", "versions"};

void validate_attribute(const Node& attribute, const std::string& path, FieldErrors& errors) {
  int values = 0;
  for (std::string_view key : single_values) {
    const Node* value = attribute.find(key);
    if (!present(value)) continue;
    ++values;
    if (value->is_string()) validate_text(value->as_string(), key == "version", path + "." + std::string(key), errors);
  }
  for (std::string_view key : value_lists) {
    const Node* list = attribute.find(key);
    if (!present(list)) continue;
    ++values;
    if (list->empty()) errors.invalid(path + "." + std::string(key), list, "must not be empty if specified");
    each(attribute, key, path, [&](const Node& value, const std::string& here) {
      if (value.is_string()) validate_text(value.as_string(), key == "versions", here, errors);
    });
  }
  if (values == 0) errors.invalid_string(path, "", "exactly one value must be specified");
  if (values > 1) errors.invalid(path, &attribute, "exactly one value must be specified");
}

size_t count_values(const Node& attributes) {
  size_t out = 0;
  for (const Node& attribute : attributes) {
    size_t listed = 0;
    for (std::string_view key : value_lists)
      if (const Node* list = attribute.find(key); present(list)) listed += list->size();
    out += std::max<size_t>(listed, 1);
  }
  return out;
}

std::optional<model::Quantity> quantity_at(const Node& object, std::string_view key) {
  const Node* node = object.find(key);
  if (!present(node)) return std::nullopt;
  auto parsed = model::Quantity::parse(node->as_string(node->number_text()));
  return parsed ? std::optional(*parsed) : std::nullopt;
}

void validate_range(const Node& range, const model::Quantity& standard, const model::Quantity& capacity, const std::string& path,
                    FieldErrors& errors) {
  const auto low = quantity_at(range, "min"), high = quantity_at(range, "max"), step = quantity_at(range, "step");
  if (!low) return errors.required(path + ".min", "required when validRange is defined");
  const std::string whole = capacity.print();
  if (*low > capacity) errors.invalid_string(path + ".min", low->print(), "min is larger than capacity value: " + whole);
  if (*low > standard) errors.invalid_string(path + ".min", standard.print(), "default is less than min: " + low->print());
  if (high) {
    if (*low > *high) errors.invalid_string(path + ".max", low->print(), "min is larger than max: " + high->print());
    if (*high > capacity) errors.invalid_string(path + ".max", high->print(), "max is larger than capacity value: " + whole);
    if (standard > *high) errors.invalid_string(path + ".max", standard.print(), "default is more than max: " + high->print());
  }
  if (!step) return;
  model::Quantity next = *low;
  next += *step;
  if (next > capacity)
    errors.invalid_string(path + ".step", step->print(), "one step " + next.print() + " is larger than capacity value: " + whole);
  const int64_t width = step->to_int64();
  for (const auto& value : {std::optional(standard), high}) {
    if (value && width > 0 && (value->to_int64() - low->to_int64()) % width != 0)
      errors.invalid_string(path + ".step", value->print(),
                            "value is not a multiple of a given step (" + step->print() + ") from (" + low->print() + ")");
  }
}

void validate_values(const Node& policy, const model::Quantity& standard, const model::Quantity& capacity, const std::string& path,
                     FieldErrors& errors) {
  const std::string field = path + ".validValues";
  check_value(policy.find("validValues"), Check::max_items, "10", field, errors);
  std::optional<model::Quantity> last;
  bool found = false;
  each(policy, "validValues", path, [&](const Node& node, const std::string& here) {
    const auto value = model::Quantity::parse(node.as_string(node.number_text()));
    if (!value) return;
    if (last && *last > *value) errors.invalid_string(here, value->print(), "values must be sorted in ascending order");
    if (last && *last == *value) errors.duplicate(here, value->print());
    if (*value > capacity) errors.invalid_string(here, value->print(), "option is larger than capacity value: " + capacity.print());
    found |= *value == standard;
    last = *value;
  });
  if (!found) errors.invalid_string(field, standard.print(), "default value is not valid according to the requestPolicy");
}

void validate_capacity(const Node& capacity, bool shared, const std::string& path, FieldErrors& errors) {
  const Node* policy = capacity.find("requestPolicy");
  if (!present(policy)) return;
  const std::string here = path + ".requestPolicy";
  if (!shared) return errors.forbidden(here, "allowMultipleAllocations must be true");
  const bool values = has_value(*policy, "validValues"), range = has(*policy, "validRange");
  if (values && range)
    return errors.forbidden(here,
                            "exactly one policy can be specified, cannot specify \"validValues\" and \"validRange\" at the same time");
  if (!values && !range) return;
  const auto standard = quantity_at(*policy, "default"), whole = quantity_at(capacity, "value");
  if (!standard)
    return errors.required(here + ".default", values ? "required when validValues is defined" : "required when validRange is defined");
  if (!whole) return;
  if (values) validate_values(*policy, *standard, *whole, here, errors);
  else validate_range(*policy->find("validRange"), *standard, *whole, here + ".validRange", errors);
}

void validate_place(const Node& device, bool per_device, const std::string& path, FieldErrors& errors) {
  const int places = has_value(device, "nodeName") + has(device, "nodeSelector") + has_value(device, "allNodes");
  if (!per_device) {
    if (has(device, "nodeName") || has(device, "nodeSelector") || has(device, "allNodes"))
      errors.invalid(path, "null",
                     "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the "
                     "ResourceSlice spec");
    return;
  }
  check_value(device.find("nodeName"), Check::dns_subdomain, {}, path + ".nodeName", errors);
  if (const Node* selector = device.find("nodeSelector"); present(selector))
    validate_node_selector(*selector, path + ".nodeSelector", errors);
  if (const Node* all = device.find("allNodes"); present(all) && !all->as_bool())
    errors.invalid(path + ".allNodes", all, "must be either unset or set to true");
  constexpr std::string_view one =
      "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the "
      "ResourceSlice spec";
  if (places == 0) errors.required(path, one);
  if (places > 1) errors.invalid_string(path, "", one);
}

void validate_taint(const Node& taint, const std::string& path, FieldErrors& errors) {
  constexpr FieldRule rules[] = {{"key", Check::required},
                                 {"key", Check::qualified_name},
                                 {"value", Check::label_value},
                                 {"effect", Check::required},
                                 {"effect", Check::one_of, "NoExecute NoSchedule None"}};
  check_fields(taint, rules, path, errors);
}

void validate_binding(const Node& device, const std::string& path, FieldErrors& errors) {
  constexpr FieldRule rules[] = {{"bindingConditions", Check::max_items, "4"},
                                 {"bindingConditions[]", Check::qualified_name},
                                 {"bindingFailureConditions", Check::max_items, "4"},
                                 {"bindingFailureConditions[]", Check::qualified_name}};
  check_fields(device, rules, path, errors);
  const bool on = has_value(device, "bindingConditions"), off = has_value(device, "bindingFailureConditions");
  if (on && !off)
    errors.invalid(path + ".bindingFailureConditions", "null", "bindingFailureConditions are required to use bindingConditions");
  if (off && !on) errors.invalid(path + ".bindingConditions", "null", "bindingConditions are required to use bindingFailureConditions");
}

void validate_mappings(const Node& device, const std::string& path, FieldErrors& errors) {
  const Node* capacities = device.find("capacity");
  each(device, "nodeAllocatableResourceMappings", path, [&](const Node& mapping, const std::string& here) {
    if (!is_native_resource(mapping.key())) errors.invalid_string(here, mapping.key(), "must be a node allocatable resource name");
    const Node* key = mapping.find("capacityKey");
    if (!present(key)) return;
    if (key->as_string().empty()) return errors.invalid_string(here + ".capacityKey", "", "capacityKey must not be an empty string");
    if (!present(capacities) || !capacities->find(key->as_string())) errors.not_found(here + ".capacityKey", key->as_string());
  });
}

}  // namespace

void validate_device(const Node& device, bool per_device, const std::string& path, FieldErrors& errors) {
  const Node *attributes = device.find("attributes"), *capacity = device.find("capacity");
  const size_t entries = (present(attributes) ? attributes->size() : 0) + (present(capacity) ? capacity->size() : 0);
  if (entries > most_entries)
    errors.invalid(path, std::string_view(std::to_string(entries)), "the total number of attributes and capacities must not exceed 32");
  if (const size_t values = present(attributes) ? count_values(*attributes) : 0; values > most_values)
    errors.invalid(path, std::string_view(std::to_string(values)), "the total number of attribute values must not exceed 48");
  each(device, "attributes", path, [&](const Node& attribute, const std::string& here) {
    require_qualified(attribute.key(), here, errors);
    validate_attribute(attribute, here, errors);
  });
  each(device, "capacity", path, [&](const Node& one, const std::string& here) {
    require_qualified(one.key(), here, errors);
    validate_capacity(one, bool_at(device, "allowMultipleAllocations"), here, errors);
  });
  check_value(device.find("taints"), Check::max_items, "16", path + ".taints", errors);
  each(device, "taints", path, [&](const Node& taint, const std::string& here) { validate_taint(taint, here, errors); });
  constexpr FieldRule rules[] = {{"consumesCounters", Check::max_items, "2"},
                                 {"consumesCounters[].counterSet", Check::required},
                                 {"consumesCounters[].counterSet", Check::dns_label},
                                 {"consumesCounters[].counters", Check::required}};
  check_fields(device, rules, path, errors);
  validate_place(device, per_device, path, errors);
  validate_binding(device, path, errors);
  validate_mappings(device, path, errors);
}

void validate_counter_set(const Node& set, const std::string& path, FieldErrors& errors) {
  constexpr FieldRule rules[] = {{"counters", Check::required}};
  check_fields(set, rules, path, errors);
  if (const Node* counters = set.find("counters"); present(counters) && counters->size() > 32)
    errors.add({"FieldValueTooMany", "Too many: " + std::to_string(counters->size()) + ": must have at most 32 items", path + ".counters"});
  each(set, "counters", path, [&](const Node& counter, const std::string& here) { require_dns_label(counter.key(), here, errors); });
}

}  // namespace estiba::apiserver::devices
