#include "client/selectors.h"

#include <algorithm>

namespace estiba::client {

const std::string* find_label(const model::Labels& labels, std::string_view key) {
  auto it = std::lower_bound(labels.begin(), labels.end(), key, [](const auto& pair, std::string_view k) { return pair.first < k; });
  return it != labels.end() && it->first == key ? &it->second : nullptr;
}

bool matches(const model::meta_v1::LabelSelectorRequirement& requirement, const model::Labels& labels) {
  const std::string* value = find_label(labels, requirement.key);
  const auto listed = [&] { return std::find(requirement.values.begin(), requirement.values.end(), *value) != requirement.values.end(); };
  if (requirement.operator_ == "In") return value && listed();
  if (requirement.operator_ == "NotIn") return !value || !listed();
  if (requirement.operator_ == "Exists") return value != nullptr;
  if (requirement.operator_ == "DoesNotExist") return value == nullptr;
  return false;
}

bool matches(const std::map<std::string, std::string>& selector, const model::Labels& labels) {
  return std::all_of(selector.begin(), selector.end(), [&](const auto& pair) {
    const std::string* value = find_label(labels, pair.first);
    return value && *value == pair.second;
  });
}

bool matches(const model::meta_v1::LabelSelector& selector, const model::Labels& labels) {
  return matches(selector.matchLabels, labels) &&
         std::all_of(selector.matchExpressions.begin(), selector.matchExpressions.end(), [&](const auto& r) { return matches(r, labels); });
}

}  // namespace estiba::client
