// The Node authorizer (kubernetes.io/docs/reference/access-authn-authz/node): a node reads its own object and what the pods that are bound
// to it name, and nothing else of the sort; but for the certificates that every node serves Ingresses with (ingress_secrets.h).
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "apiserver/action.h"
#include "apiserver/cluster.h"
#include "apiserver/rbac_rules.h"

namespace estiba::apiserver {

/// A user system:node:NAME in the group system:nodes.
bool is_node(const User& user);
/// That NAME; empty for all others.
std::string_view node_of(const User& user);

/// Whether `node` may; nullopt where the rules of the role system:node decide.
std::optional<bool> node_may(const Cluster& cluster, std::string_view node, const Attributes& asked);

}  // namespace estiba::apiserver
