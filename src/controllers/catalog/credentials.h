// The Secret of a binding: what the broker answered as credentials, transformed as spec.secretTransforms says.
#pragma once
#include <map>

#include "client/client.h"
#include "model/json.h"

namespace estiba::controllers::catalog {

using SecretData = std::map<std::string, std::string>;  ///< bytes by key

/// Strings as they are, everything else as its JSON.
SecretData data_of(const json::Node& credentials);

/// Applies the transforms in their order; what others add comes from Secrets. Errors name the transform: a JSON path that cannot be read or
/// leads nowhere, a value that is no base64, a Secret that is not there. Renaming or removing what is not there does nothing.
Task<Result<SecretData>> transform(client::Client& client, std::string ns, SecretData data, const json::Node& credentials,
                                   const json::Node* transforms);

/// Writes the binding's Secret. Code::already_exists when one of that name belongs to somebody else.
Task<Result<void>> write_secret(client::Client& client, std::string name, const SecretData& data, model::Meta owner);
/// Removes it, if it is the binding's.
Task<Result<void>> remove_secret(client::Client& client, std::string name, model::Meta owner);
/// Code::already_exists when the Secret is there and somebody else's.
Task<Result<void>> check_secret(client::Client& client, std::string name, model::Meta owner);

}  // namespace estiba::controllers::catalog
