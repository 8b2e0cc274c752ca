// Tokens of a pod's service account, bound to the pod (TokenRequest, authentication.k8s.io/v1).
#pragma once
#include <optional>
#include <string>

#include "base/task.h"
#include "model/types/core_v1.h"
#include "node/context.h"

namespace estiba::node {

struct PodToken {
  std::string token;
  std::string expires;  ///< RFC 3339, as the API says it
};

/// A new token; `audience` empty: the API server's own, `seconds` none: as long as the server gives by default. `context` and `pod` outlive
/// the task. Errors name the service account.
Task<Result<PodToken>> request_pod_token(const Context& context, const model::core_v1::Pod& pod, std::string audience,
                                         std::optional<int64_t> seconds);

}  // namespace estiba::node
