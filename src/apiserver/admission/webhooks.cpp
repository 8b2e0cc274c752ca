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

void count(const Webhook& webhook, std::string_view operation, std::string_view how) {
  static auto& rejections = observe::metrics().counters("apiserver_admission_webhook_rejection_count", "Rejections by webhook.",
                                                        {"name", "type", "operation", "error_type"});
  rejections.with({webhook.name, webhook.mutating ? "admit" : "validating", std::string(operation), std::string(how)}).add();
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
Result<void> failure(const Webhook& webhook, const Subject& subject, Error why) {
  Error error = failed_calling(webhook, std::move(why.message));
  if (webhook.ignore_failures) {
    log::warn("admission", "failed calling webhook, failing open", {{"webhook", webhook.name}, {"error", error.message}});
    return {};
  }
  count(webhook, subject.operation, "calling_webhook_error");
  return std::unexpected(std::move(error));
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
  auto answer = co_await ask(webhook, subject, match, *objects);
  if (!answer) {
    CO_TRY(failure(webhook, subject, std::move(answer.error())));
    co_return false;
  }
  if (!answer->allowed) {
    count(webhook, subject.operation, "no_error");
    co_return denied_by(webhook.name, answer->result);
  }
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
  auto answer = co_await ask(*webhook, *subject, std::move(match), *objects);
  if (!answer) {
    *out = failure(*webhook, *subject, std::move(answer.error()));
  } else if (!answer->allowed) {
    count(*webhook, subject->operation, "no_error");
    *out = denied_by(webhook->name, answer->result);
  }
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
