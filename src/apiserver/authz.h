// Who may do what: system:masters everything, all others what RBAC's roles and bindings say; what no rule allows is denied.
#pragma once
#include <memory>
#include <mutex>
#include <optional>
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
  explicit Authorizer(Cluster& cluster);
  ~Authorizer();
  Decision authorize(const User& user, const Attributes& attributes) const;
  /// All rules that hold for the user in a namespace (and cluster-wide).
  std::vector<Rule> rules_of(const User& user, std::string_view ns) const;

 private:
  struct Grants;
  // What the stored roles and bindings grant; read again when one of them has changed since.
  std::shared_ptr<const Grants> grants() const;

  Cluster& cluster_;
  mutable std::mutex mutex_;
  mutable std::unique_ptr<store::Watch> changes_;  // guarded by mutex_
  mutable std::shared_ptr<const Grants> grants_;   // guarded by mutex_
};

Attributes attributes_of(const Action& action);
/// What a write of a role or a binding needs beside the permission to write it: "escalate" or "bind" on the roles. nullopt
/// for everything else. (Kubernetes also lets those pass who have all that they grant; here the verb is asked for always.)
std::optional<Attributes> granting_attributes(const Action& action);
/// `User "jane" cannot get resource "pods" in API group "" in the namespace "default"`
std::string denial(const User& user, const Attributes& attributes);

}  // namespace estiba::apiserver
