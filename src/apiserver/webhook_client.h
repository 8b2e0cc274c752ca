// Calls of webhooks: HTTPS requests to a URL or to a Service of the cluster, verified by the caBundle that the webhook's
// configuration gives. Conversion and admission use the same.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/task.h"
#include "model/json.h"

namespace estiba::apiserver {

class Cluster;

struct WebhookTarget {
  std::string url;  ///< https://…; or, when empty, the service
  std::string service_namespace, service_name, path;
  uint16_t port = 443;
  std::string ca_pem;  ///< empty: the system's roots

  /// From a clientConfig (url or service, caBundle). Malformed when the bundle is no base64.
  static Result<WebhookTarget> parse(const json::Node& client_config);
};

struct WebhookLimits {
  Duration timeout = std::chrono::seconds(30);  ///< for the whole call
  size_t answer_bytes = 16 << 20;
};

/// POSTs JSON and returns the answer's JSON. Anything but status 200 is an error, as is an answer that is no JSON object;
/// errors name the webhook's address. Code::timeout when it takes too long, Code::unavailable when it cannot be reached.
Task<Result<std::string>> call_webhook(Cluster& cluster, WebhookTarget target, std::string body, WebhookLimits limits = {});

}  // namespace estiba::apiserver
