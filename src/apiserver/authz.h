// Who may do what: system:masters everything, nodes what their pods need (node_authorizer.h), all others what RBAC's roles and bindings
// say; what nothing allows is denied.
#pragma once
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/action.h"
#include "apiserver/cluster.h"
#include "apiserver/rbac_rules.h"

namespace estiba::apiserver {

struct Decision {
  bool allowed = false;
  std::string reason;  ///< which binding and role allow it, or which rules could not be read
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
/// `User "jane" cannot get resource "pods" in API group "" in the namespace "default"`
std::string denial(const User& user, const Attributes& attributes);

}  // namespace estiba::apiserver
