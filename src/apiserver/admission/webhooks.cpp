// MutatingAdmissionWebhook and ValidatingAdmissionWebhook: which webhooks a request is told to, and what follows from their
// answers. (Kubernetes: apiserver/pkg/admission/plugin/webhook/mutating and validating, dispatcher.go.)
#include "apiserver/admission/extensions.h"
#include "apiserver/admission/plugins.h"
#include "apiserver/admission/scale.h"
#include "apiserver/admission/webhook.h"
#include "apiserver/api_errors.h"
#include "base/log.h"
#include "base/strings.h"
#include "model/patch.h"
#include "observe/metrics.h"

namespace estiba::apiserver::admission {
namespace {

constexpr std::string_view mutating_plugin = "MutatingAdmissionWebhook";

// How calls ended, under Kubernetes' names (apiserver/pkg/admission/metrics).
enum class Ended : uint8_t { allowed, denied, failed, passed_over };

void count(const Webhook& webhook, std::string_view operation, Instant begun, Ended ended, int code) {
  static auto& metrics = observe::metrics();
  static auto& durations = metrics.histograms("apiserver_admission_webhook_admission_duration_seconds", "Time of webhook calls.",
                                              {"name", "type", "operation", "rejected"}, {0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10, 25});
  static auto& requests =
      metrics.counters("apiserver_admission_webhook_request_total", "Webhook calls.", {"name", "type", "operation", "code", "rejected"});
  static auto& rejections = metrics.counters("apiserver_admission_webhook_rejection_count", "Rejections by webhook.",
                                             {"name", "type", "operation", "error_type", "rejection_code"});
  static auto& open =
      metrics.counters("apiserver_admission_webhook_fail_open_count", "Failed calls that were passed over.", {"name", "type"});
  const std::string type = webhook.mutating ? "admit" : "validating", what(operation);
  const bool rejected = ended == Ended::denied || ended == Ended::failed;
  const std::string is_rejected = rejected ? "true" : "false";
  durations.with({webhook.name, type, what, is_rejected})
      .observe(std::chrono::duration<double>(Executor::current()->now() - begun).count());
  requests.with({webhook.name, type, what, std::to_string(code), is_rejected}).add();
  if (ended == Ended::passed_over) open.with({webhook.name, type}).add();
  if (rejected)
    rejections.with({webhook.name, type, what, ended == Ended::denied ? "no_error" : "calling_webhook_error", std::to_string(code)}).add();
}

// How a webhook is asked about the request, or nothing when it is not.
Task<Result<std::optional<Match>>> relevant(const Webhook& webhook, Subject& subject, Versions& versions) {
  auto match = webhook.matching.find(subject);
  if (!match) {
    if (match.error().code == Code::not_found) co_return std::unexpected(std::move(match.error()));
    co_return internal_error(match.error().message);
  }
  if (!*match || webhook.conditions.expressions.empty()) co_return std::move(*match);
  const Versions::Pair* objects = CO_TRY(co_await versions.in(**match));
  const Situation situation{.subject = subject, .match = **match, .objects = *objects};
  auto holds = webhook.conditions.hold(situation, *webhook.names);
  if (!holds) co_return subject.attributes.forbidden(holds.error().message);
  if (!*holds) co_return std::nullopt;
  co_return std::move(*match);
}

// A failed call: nothing, when failures are ignored, or the error that ends the request.
Result<void> failure(const Webhook& webhook, const Subject& subject, Instant begun, Error why) {
  constexpr int unavailable = 503;
  Error error = failed_calling(webhook, std::move(why.message));
  count(webhook, subject.operation, begun, webhook.ignore_failures ? Ended::passed_over : Ended::failed, unavailable);
  if (webhook.ignore_failures) {
    log::warn("admission", "failed calling webhook, failing open", {{"webhook", webhook.name}, {"error", error.message}});
    return {};
  }
  return std::unexpected(std::move(error));
}

// What a webhook has said: nothing when it allows the request.
Result<void> verdict(const Webhook& webhook, const Subject& subject, Instant begun, const WebhookAnswer& answer) {
  if (answer.allowed) {
    count(webhook, subject.operation, begun, Ended::allowed, 200);
    return {};
  }
  auto denied = denied_by(webhook.name, answer.result);
  count(webhook, subject.operation, begun, Ended::denied, http_status(denied.error()));
  return denied;
}

std::unexpected<Error> no_dry_run(const Webhook& webhook) {
  return bad_request("admission webhook " + quoted(webhook.name) + " does not support dry run");
}

Result<json::Document> patched(const json::Node& object, const json::Node& patch) {
  json::Document doc;
  doc.set_root(doc.copy(object));
  if (auto applied = model::apply_json_patch(doc, patch); !applied) return internal_error(applied.error().message);
  return doc;
}

// True when it has changed the object.
Task<Result<bool>> mutate_by(const Webhook& webhook, Subject& subject, Match match, Versions& versions) {
  if (subject.attributes.dry_run && !webhook.dry_runs) co_return no_dry_run(webhook);
  const Versions::Pair* objects = CO_TRY(co_await versions.in(match));
  const Instant begun = Executor::current()->now();
  auto answer = co_await ask(webhook, subject, match, *objects);
  if (!answer) {
    CO_TRY(failure(webhook, subject, begun, std::move(answer.error())));
    co_return false;
  }
  CO_TRY(verdict(webhook, subject, begun, *answer));
  if (!answer->has_patch) co_return false;
  if (!objects->object)
    co_return internal_error("admission webhook " + quoted(webhook.name) +
                             " attempted to modify the object, which is not supported for this operation");
  auto doc = CO_TRY(patched(*objects->object, answer->patch.root()));
  const bool changed = CO_TRY(co_await take_object(subject, match, std::move(doc)));
  if (changed) versions.forget();
  co_return changed;
}

Task<void> validate_by(const Webhook* webhook, Subject* subject, Match match, const Versions::Pair* objects, Result<void>* out) {
  const Instant begun = Executor::current()->now();
  auto answer = co_await ask(*webhook, *subject, std::move(match), *objects);
  *out = answer ? verdict(*webhook, *subject, begun, *answer) : failure(*webhook, *subject, begun, std::move(answer.error()));
}

Task<Result<void>> mutate_by_all(Attributes& attributes) {
  auto extensions = attributes.cluster.extensions().current();
  if (!extensions) co_return {};
  Subject subject(attributes);
  if (subject.exempt()) co_return {};
  Versions versions(subject);
  Reinvocation& rounds = *attributes.rounds;
  Reinvocation::Asked& asked = rounds.by_plugin[mutating_plugin];
  if (rounds.second && attributes.object && asked.left != json::print(*attributes.object)) asked.require();
  for (const auto& webhook : extensions->mutating) {
    auto match = CO_TRY(co_await relevant(*webhook, subject, versions));
    if (!match || (rounds.second && !asked.again.contains(webhook->key()))) continue;
    if (CO_TRY(co_await mutate_by(*webhook, subject, std::move(*match), versions))) {
      asked.require();
      rounds.wanted = true;
    }
    if (webhook->reinvoke) asked.before.insert(webhook->key());
  }
  if (!rounds.second && rounds.wanted && attributes.object) asked.left = json::print(*attributes.object);
  co_return {};
}

Task<Result<void>> validate_by_all(Attributes& attributes) {
  auto extensions = attributes.cluster.extensions().current();
  if (!extensions) co_return {};
  Subject subject(attributes);
  if (subject.exempt()) co_return {};
  Versions versions(subject);
  struct Call {
    const Webhook* webhook;
    Match match;
    const Versions::Pair* objects;
    Result<void> result;
  };
  std::vector<Call> calls;
  for (const auto& webhook : extensions->validating) {
    auto match = CO_TRY(co_await relevant(*webhook, subject, versions));
    if (!match) continue;
    const Versions::Pair* objects = CO_TRY(co_await versions.in(*match));
    calls.push_back({webhook.get(), std::move(*match), objects, {}});
    if (attributes.dry_run && !webhook->dry_runs) calls.back().result = no_dry_run(*webhook);
  }
  TaskGroup group;
  for (Call& call : calls)
    if (call.result) group.start(validate_by(call.webhook, &subject, call.match, call.objects, &call.result));
  co_await group.join();
  for (Call& call : calls)
    if (!call.result) co_return std::unexpected(std::move(call.result.error()));
  co_return {};
}

}  // namespace

Task<Result<void>> ask_mutating_webhooks(Attributes& attributes) {
  auto extensions = attributes.cluster.extensions().current();
  if (!extensions || extensions->mutating.empty()) co_return {};
  co_return co_await with_scale(attributes, mutate_by_all);
}

Task<Result<void>> ask_validating_webhooks(Attributes& attributes) {
  auto extensions = attributes.cluster.extensions().current();
  if (!extensions || extensions->validating.empty()) co_return {};
  co_return co_await with_scale(attributes, validate_by_all);
}

}  // namespace estiba::apiserver::admission
