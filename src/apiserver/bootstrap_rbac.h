// The roles and bindings that a cluster has from the beginning, as Kubernetes has them.
//
// They are written as text, a line each; a line of six blanks or more goes on with the one before:
//
//   role [NAMESPACE/]NAME [>LABEL…] [<LABEL…]       >view: others take its rules in by the label aggregate-to-view; <view: it takes in
//     VERBS : GROUPS : RESOURCES [= NAMES]          groups with commas; `core` is the group without a name
//     VERBS @ PATHS                                 `read` is get list watch; `write` is create delete deletecollection patch update
//   bind [NAMESPACE/]NAME [= ROLE] : SUBJECTS       user:NAME, group:NAME, account:NAMESPACE/NAME; the role has the same name
//   controllers NAMES                               a binding of system:controller:NAME to the account kube-system/NAME
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/registry.h"

namespace estiba::apiserver {

struct BootstrapObject {
  std::string_view resource;  ///< clusterroles, clusterrolebindings, roles or rolebindings
  std::string ns, name, json;
};
/// What bootstrap_rbac_text says. A role that takes others in has their rules already.
std::vector<BootstrapObject> bootstrap_rbac();
extern const std::string_view bootstrap_rbac_text;

/// Makes what is missing. Of what is there already, missing rules and subjects are added, unless its annotation
/// rbac.authorization.kubernetes.io/autoupdate is "false".
Task<Result<void>> reconcile_rbac(Registry& registry);

}  // namespace estiba::apiserver
