#include "apiserver/admission/matching.h"

#include <algorithm>

#include "apiserver/edit.h"
#include "base/strings.h"
#include "model/codec.h"
#include "model/types/meta_v1.h"

namespace estiba::apiserver::admission {
namespace {

bool lists(const std::vector<std::string>& list, std::string_view value) {
  return std::any_of(list.begin(), list.end(), [value](const std::string& item) { return item == "*" || item == value; });
}

bool in_scope(std::string_view scope, const Subject& subject) {
  const bool cluster = subject.is_namespace() || subject.ns.empty();
  if (scope == "Cluster") return cluster;
  return scope != "Namespaced" || !cluster;
}

bool labels_match(const model::LabelSelector& selector, const json::Node* object) {
  const json::Node* metadata = object ? object->find("metadata") : nullptr;
  if (!present(metadata)) return false;
  std::vector<std::pair<std::string_view, std::string_view>> labels;
  if (const json::Node* given = metadata->find("labels"); present(given))
    for (const json::Node& label : *given) labels.emplace_back(label.key(), label.as_string());
  return selector.matches(labels);
}

}  // namespace

std::vector<std::string> strings_of(const json::Node& object, std::string_view key) {
  std::vector<std::string> out;
  if (const json::Node* list = object.find(key); present(list))
    for (const json::Node& item : *list) out.emplace_back(item.as_string());
  return out;
}

Result<model::LabelSelector> selector_of(const json::Node& object, std::string_view key) {
  const json::Node* given = object.find(key);
  if (!present(given)) return model::LabelSelector();
  return within(key, [&]() -> Result<model::LabelSelector> {
    const auto selector = TRY(model::decode<model::meta_v1::LabelSelector>(*given));
    return model::LabelSelector::from(selector);
  }());
}

Rule Rule::parse(const json::Node& rule) {
  return {strings_of(rule, "operations"), strings_of(rule, "apiGroups"),     strings_of(rule, "apiVersions"),
          strings_of(rule, "resources"),  strings_of(rule, "resourceNames"), std::string(rule.string_at("scope"))};
}

bool Rule::matches(const Subject& subject, const Named& resource) const {
  if (!in_scope(scope, subject) || !lists(operations, subject.operation)) return false;
  if (!lists(groups, resource.group) || !lists(versions, resource.version)) return false;
  const bool named = std::any_of(resources.begin(), resources.end(), [&](std::string_view wanted) {
    const auto [plural, rest] = split_once(wanted, '/');
    const std::string_view sub = rest.value_or("");
    return (plural == "*" || plural == resource.name) && (sub == "*" || sub == subject.subresource);
  });
  return named && (names.empty() || std::find(names.begin(), names.end(), subject.name) != names.end());
}

Result<void> Matching::read_selectors(const json::Node& from) {
  namespaces = TRY(selector_of(from, "namespaceSelector"));
  objects = TRY(selector_of(from, "objectSelector"));
  equivalent = from.string_at("matchPolicy") != "Exact";
  return {};
}

Result<Matching> Matching::of_webhook(const json::Node& webhook) {
  Matching out;
  if (const json::Node* rules = webhook.find("rules"); present(rules))
    for (const json::Node& rule : *rules) out.rules.push_back(Rule::parse(rule));
  TRY(out.read_selectors(webhook));
  return out;
}

Result<Matching> Matching::of_policy(const json::Node& resources) {
  Matching out;
  out.all_when_empty = true;
  if (const json::Node* rules = resources.find("resourceRules"); present(rules))
    for (const json::Node& rule : *rules) out.rules.push_back(Rule::parse(rule));
  if (const json::Node* rules = resources.find("excludeResourceRules"); present(rules))
    for (const json::Node& rule : *rules) out.excluded.push_back(Rule::parse(rule));
  TRY(out.read_selectors(resources));
  return out;
}

std::optional<Match> Matching::find_rule(const std::vector<Rule>& list, Subject& subject) const {
  for (const Rule& rule : list)
    if (rule.matches(subject, subject.resource)) return subject.own();
  if (!equivalent) return std::nullopt;
  for (const Rule& rule : list)
    for (const Match& other : subject.equivalents())
      if (rule.matches(subject, other.resource)) return other;
  return std::nullopt;
}

Result<std::optional<Match>> Matching::find(Subject& subject) const {
  std::optional<Match> found;
  if (rules.empty() && all_when_empty) found = subject.own();
  else found = find_rule(rules, subject);
  if (!found) return found;
  if (!excluded.empty() && find_rule(excluded, subject)) return std::nullopt;
  const Attributes& attributes = subject.attributes;
  if (!objects.empty() && !labels_match(objects, attributes.object) && !labels_match(objects, attributes.old)) return std::nullopt;
  // What is in no namespace is never exempted.
  if (namespaces.empty() || (subject.ns.empty() && !subject.is_namespace())) return found;
  const model::Labels labels = TRY(subject.namespace_labels());
  if (!namespaces.matches(labels)) return std::nullopt;
  return found;
}

}  // namespace estiba::apiserver::admission
