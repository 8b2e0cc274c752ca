// Which requests a webhook or policy is asked about: rules of operations and resources, selectors of namespaces and objects,
// matchPolicy. (Kubernetes: apiserver/pkg/admission/plugin, webhook/predicates and policy/matching.)
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "apiserver/admission/subject.h"
#include "model/selector.h"

namespace estiba::apiserver::admission {

struct Rule {
  std::vector<std::string> operations, groups, versions, resources;
  std::vector<std::string> names;  ///< resourceNames; empty: any
  std::string scope;               ///< "*", "Cluster", "Namespaced", ""

  static Rule parse(const json::Node& rule);
  bool matches(const Subject& subject, const Named& resource) const;
};

struct Matching {
  std::vector<Rule> rules, excluded;
  bool all_when_empty = false;  ///< no rules match everything (a binding's matchResources)
  bool equivalent = false;
  model::LabelSelector namespaces, objects;

  /// A webhook's rules, or a policy's matchConstraints. Malformed selectors match nothing and say so.
  static Result<Matching> of_webhook(const json::Node& webhook);
  static Result<Matching> of_policy(const json::Node& resources);

  /// How the request matches, if it does. An error when its namespace cannot be read.
  Result<std::optional<Match>> find(Subject& subject) const;

 private:
  std::optional<Match> find_rule(const std::vector<Rule>& rules, Subject& subject) const;
  Result<void> read_selectors(const json::Node& from);
};

/// The strings of a list member.
std::vector<std::string> strings_of(const json::Node& object, std::string_view key);
/// The selector that an object member holds; one that is absent matches everything.
Result<model::LabelSelector> selector_of(const json::Node& object, std::string_view key);

}  // namespace estiba::apiserver::admission
