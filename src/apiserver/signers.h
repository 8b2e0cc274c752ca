// Who may act for a signer of certificates (kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests).
#pragma once
#include <string_view>

#include "apiserver/action.h"
#include "apiserver/cluster.h"

namespace estiba::apiserver {

/// Whether `user` has the verb ("approve", "sign") on the signer "example.com/name", or on all signers of its domain ("example.com/*").
bool may_act_for_signer(const Cluster& cluster, const User& user, std::string_view verb, std::string_view signer);

}  // namespace estiba::apiserver
