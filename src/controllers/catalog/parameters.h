// What is sent to a broker as parameters: what the object says, what Secrets hold that it names, and defaults below both.
#pragma once
#include "client/client.h"
#include "controllers/catalog/brokers.h"
#include "model/json.h"

namespace estiba::controllers::catalog {

struct Parameters {
  std::string sent;      ///< a JSON object, or empty when there are none
  std::string told;      ///< the same for the status: what comes from Secrets is "<redacted>"
  std::string checksum;  ///< of `sent`, whatever the order of its members; empty when there are none
};

/// Of spec.parameters and spec.parametersFrom. Errors name the Secret and the key: it is missing, is no JSON object, or a parameter comes
/// from two of them.
Task<Result<Parameters>> gather_parameters(client::Client& client, const Brokers& brokers, std::string ns, const json::Node& spec,
                                           const json::Node* plan_defaults = nullptr, const json::Node* class_defaults = nullptr);

}  // namespace estiba::controllers::catalog
