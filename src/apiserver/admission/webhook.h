// One webhook of a configuration: when it is asked, and how. (Kubernetes: apiserver/pkg/admission/plugin/webhook.)
#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/admission/expressions.h"
#include "apiserver/admission/matching.h"
#include "apiserver/webhook_client.h"

namespace estiba::apiserver::admission {

struct Webhook {
  std::string configuration, name;
  Matching matching;
  std::shared_ptr<const Names> names;  ///< of the conditions
  Conditions conditions;
  WebhookTarget target;
  std::string review_version;  ///< v1 or v1beta1; empty: it speaks neither
  Duration timeout = std::chrono::seconds(10);
  bool mutating = false, ignore_failures = false, dry_runs = false, reinvoke = false;
  std::string broken;  ///< why it cannot be called: what is stored is older than the rules for it

  /// From an element of `webhooks`.
  static std::shared_ptr<const Webhook> parse(std::string_view configuration, const json::Node& webhook, bool mutating);
  std::string key() const { return configuration + "/" + name; }
};

/// What a webhook said.
struct WebhookAnswer {
  bool allowed = false;
  json::Document patch;  ///< a list of operations; null when there is none
  bool has_patch = false;
  json::Document review;  ///< the whole answer
  const json::Node* result = nullptr;
};

/// `failed calling webhook "x": …`
Error failed_calling(const Webhook& webhook, std::string why);
/// `admission webhook "x" denied the request: …`, with the status that the webhook gave.
std::unexpected<Error> denied_by(std::string_view webhook, const json::Node* result);

/// Asks. Errors say why there is no answer ("failed to call webhook: …", "received invalid webhook response: …").
/// Its warnings and audit annotations are taken into the attributes.
Task<Result<WebhookAnswer>> ask(const Webhook& webhook, Subject& subject, Match match, const Versions::Pair& objects);

}  // namespace estiba::apiserver::admission
