// Bootstrap tokens: what a new node shows until it has a certificate ("abcdef.0123456789abcdef"; Secrets of type
// bootstrap.kubernetes.io/token in kube-system; plugin/pkg/auth/authenticator/token/bootstrap).
#pragma once
#include <optional>
#include <string_view>

#include "apiserver/action.h"
#include "apiserver/cluster.h"
#include "apiserver/registry.h"
#include "base/task.h"

namespace estiba::apiserver {

/// Whether a bearer token has the form of a bootstrap token.
bool is_bootstrap_token(std::string_view token);
/// system:bootstrap:ID in its groups; Code::unauthorized for a token that is not there, is expired or may not be used to log in.
Result<User> bootstrap_user(const Cluster& cluster, std::string_view token);

/// Ids and secrets of the tokens that may sign (usage-bootstrap-signing) and have not expired.
std::vector<std::pair<std::string, std::string>> signing_tokens(const Cluster& cluster);

/// Deletes bootstrap tokens as they expire (pkg/controller/bootstrap/tokencleaner.go). Works until it is dropped; any executor.
Task<void> clean_bootstrap_tokens(Registry& registry);

}  // namespace estiba::apiserver
