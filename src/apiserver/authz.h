// Who may do what: system:masters everything, all others what RBAC's roles and bindings say; what no rule allows is denied.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/action.h"
#include "apiserver/cluster.h"

namespace estiba::apiserver {

/// A question to the authorizer: may `user` do `verb` on a resource, or on a path that is no resource.
struct Attributes {
  std::string verb, group, version, resource, subresource, ns, name;
  std::string path;  ///< not a resource, when not empty
};

struct Decision {
  bool allowed = false;
  std::string reason;  ///< which binding and role allow it, or which rules could not be read
};

/// A rule that applies to a user, for SelfSubjectRulesReview.
struct Rule {
  std::vector<std::string> verbs, groups, resources, names, paths;
};

class Authorizer {
 public:
  explicit Authorizer(Cluster& cluster) : cluster_(cluster) {}
  Decision authorize(const User& user, const Attributes& attributes) const;
  /// All rules that hold for the user in a namespace (and cluster-wide).
  std::vector<Rule> rules_of(const User& user, std::string_view ns) const;

 private:
  Cluster& cluster_;
};

Attributes attributes_of(const Action& action);
/// `User "jane" cannot get resource "pods" in API group "" in the namespace "default"`
std::string denial(const User& user, const Attributes& attributes);

}  // namespace estiba::apiserver
