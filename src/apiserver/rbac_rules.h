// The rules of RBAC's roles: what one allows, and whether some rules hold all that others grant.
#pragma once
#include <string>
#include <vector>

#include "model/json.h"

namespace estiba::apiserver {

/// A question to the authorizer: may `user` do `verb` on a resource, or on a path that is no resource.
struct Attributes {
  std::string verb, group, version, resource, subresource, ns, name;
  std::string path;            ///< not a resource, when not empty
  std::string field_selector;  ///< of a list or watch
};

/// One rule. "*" in a list stands for everything.
struct Rule {
  std::vector<std::string> verbs, groups, resources, names, paths;
};

/// The rules of a Role or ClusterRole.
std::vector<Rule> rules_in(const json::Node& role);
bool allows(const Rule& rule, const Attributes& asked);

/// What `wanted` grants and `owned` does not, in the smallest pieces: a verb, a group, a resource and a name, or a verb and a path
/// (k8s.io/component-helpers/auth/rbac/validation, Covers).
std::vector<Rule> not_covered(const std::vector<Rule>& owned, const std::vector<Rule>& wanted);
/// {APIGroups:["apps"], Resources:["deployments"], Verbs:["get"]}
std::string to_string(const Rule& rule);

}  // namespace estiba::apiserver
