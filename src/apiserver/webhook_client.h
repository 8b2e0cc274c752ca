// Calls of webhooks: HTTPS requests to a URL or to a Service of the cluster, verified by the caBundle that the webhook's
// configuration gives. Conversion and admission use the same.
#pragma once
#include <memory>
#include <mutex>
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

/// Keeps connections to webhooks between calls, on a thread of its own that begins with the first call. Any loop may ask.
class WebhookClient {
 public:
  WebhookClient();
  /// Calls that are under way are given up.
  ~WebhookClient();

  struct Call {
    std::string url, server_name, ca_pem, body;
    Duration timeout;
    size_t answer_bytes;
  };
  /// The answer's body. A call that meets a connection which its server has just closed is made once more.
  Task<Result<std::string>> post(Call call);

 private:
  struct State;
  State& state();
  std::mutex mutex_;
  std::unique_ptr<State> state_;  // guarded by mutex_; made by the first call
};

struct WebhookLimits {
  Duration timeout = std::chrono::seconds(30);  ///< for the whole call
  size_t answer_bytes = 16 << 20;
  bool tell_timeout = false;  ///< adds "?timeout=10s" to the URL, as webhooks of admission expect
};

/// POSTs JSON and returns the answer's JSON. Anything but status 200 is an error, as is an answer that is no JSON object;
/// errors name the webhook's address. Code::timeout when it takes too long, Code::unavailable when it cannot be reached.
Task<Result<std::string>> call_webhook(Cluster& cluster, WebhookTarget target, std::string body, WebhookLimits limits = {});

}  // namespace estiba::apiserver
