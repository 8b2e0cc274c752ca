#include "apiserver/admission/webhook.h"

#include "apiserver/api_errors.h"
#include "apiserver/edit.h"
#include "base/log.h"
#include "base/strings.h"

namespace estiba::apiserver::admission {
namespace {

using json::Document;
using json::Node;

constexpr size_t answer_limit = 8 << 20;
constexpr size_t warning_limit = 4096;  // of all warnings of one answer

std::string review_text(const Webhook& webhook, const Subject& subject, const Match& match, const Versions::Pair& objects,
                        std::string_view uid) {
  Document request = request_of(subject, match, uid);
  Node& root = request.root();
  const auto add = [&](std::string_view key, const Node* object) {
    request.set(root, key, object ? request.copy(*object) : request.make_null());
  };
  add("object", objects.object);
  add("oldObject", objects.old);
  return R"({"kind":"AdmissionReview","apiVersion":"admission.k8s.io/)" + webhook.review_version + R"(","request":)" + json::print(root) +
         "}";
}

std::unexpected<Error> wrong_answer(std::string why) {
  return fail(Code::internal, "received invalid webhook response: " + std::move(why));
}

// What only v1 asks of an answer.
Result<void> check_v1(const Node& review, const Node& response, std::string_view uid, bool mutating) {
  if (response.string_at("uid") != uid)
    return wrong_answer("expected response.uid=" + quoted(uid) + ", got " + quoted(response.string_at("uid")));
  const auto [group, version] = model::schema::split_api_version(review.string_at("apiVersion"));
  if (group != "admission.k8s.io" || version != "v1" || review.string_at("kind") != "AdmissionReview")
    return wrong_answer("expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got " + std::string(group) + "/" +
                        std::string(version) + ", Kind=" + std::string(review.string_at("kind")));
  const bool patch = !response.string_at("patch").empty(), type = present(response.find("patchType"));
  if (!mutating && patch) return wrong_answer("validating webhook may not return response.patch");
  if (!mutating && type) return wrong_answer("validating webhook may not return response.patchType");
  if (patch && !type) return wrong_answer("webhook returned response.patch but not response.patchType");
  if (!patch && type) return wrong_answer("webhook returned response.patchType but not response.patch");
  return {};
}

// Fields of the wrong type, which Go would not decode.
Result<void> check_types(const Node& response) {
  const Node *allowed = response.find("allowed"), *warnings = response.find("warnings"), *status = response.find("status");
  if (present(allowed) && !allowed->is_bool()) return wrong_answer("response.allowed is no boolean");
  if (present(status) && !status->is_object()) return wrong_answer("response.status is no object");
  for (std::string_view key : {"uid", "patch", "patchType"})
    if (const Node* text = response.find(key); present(text) && !text->is_string())
      return wrong_answer("response." + std::string(key) + " is no string");
  if (present(warnings) && !warnings->is_array()) return wrong_answer("response.warnings is no list");
  return {};
}

Result<void> take_patch(WebhookAnswer& out, const Node& response, bool v1) {
  const std::string_view encoded = response.string_at("patch");
  if (encoded.empty()) return {};
  if (v1 && response.string_at("patchType") != "JSONPatch")
    return fail(Code::internal, "unsupported patch type " + quoted(response.string_at("patchType")));
  auto text = base64_decode(encoded);
  if (!text) return wrong_answer("response.patch is no base64: " + text.error().message);
  auto patch = Document::parse(*text);
  if (!patch) return fail(Code::internal, "received undecodable patch in webhook response: " + patch.error().message);
  if (!patch->root().is_array()) return fail(Code::internal, "received undecodable patch in webhook response: it is no list");
  out.patch = std::move(*patch);
  out.has_patch = !out.patch.root().empty();
  return {};
}

void take_notes(const Webhook& webhook, Attributes& attributes, const Node& response) {
  size_t left = warning_limit;
  if (const Node* warnings = response.find("warnings"); present(warnings)) {
    for (const Node& warning : *warnings) {
      const std::string_view text = warning.as_string().substr(0, std::min(left, size_t(256)));
      if (!text.empty()) attributes.warn(std::string(text));
      left -= text.size();
    }
  }
  if (const Node* annotations = response.find("auditAnnotations"); present(annotations) && annotations->is_object())
    for (const Node& annotation : *annotations)
      log::info("admission", "audit annotation",
                {{"key", webhook.name + "/" + std::string(annotation.key())}, {"value", annotation.as_string()}});
}

Result<WebhookAnswer> read_answer(const Webhook& webhook, Attributes& attributes, std::string_view text, std::string_view uid) {
  auto review = Document::parse(text, {.allow_duplicate_keys = true});
  if (!review) return fail(Code::internal, "failed to call webhook: the answer is no JSON: " + review.error().message);
  WebhookAnswer out{.review = std::move(*review)};
  const Node& root = out.review.root();
  if (!root.is_object()) return fail(Code::internal, "failed to call webhook: the answer is no AdmissionReview");
  const Node* response = root.find("response");
  if (!present(response) || !response->is_object()) return wrong_answer("webhook response was absent");
  TRY(check_types(*response));
  const bool v1 = webhook.review_version == "v1";
  if (v1) TRY(check_v1(root, *response, uid, webhook.mutating));
  take_notes(webhook, attributes, *response);
  const Node* allowed = response->find("allowed");
  out.allowed = allowed && allowed->as_bool();
  out.result = response->find("status");
  if (out.allowed && webhook.mutating) TRY(take_patch(out, *response, v1));
  return out;
}

std::string known_version(const Node& webhook) {
  for (const std::string& version : strings_of(webhook, "admissionReviewVersions"))
    if (version == "v1" || version == "v1beta1") return version;
  return {};
}

}  // namespace

std::shared_ptr<const Webhook> Webhook::parse(std::string_view configuration, const Node& webhook, bool mutating) {
  auto out = std::make_shared<Webhook>();
  out->configuration = configuration;
  out->name = webhook.string_at("name");
  out->mutating = mutating;
  out->ignore_failures = webhook.string_at("failurePolicy") == "Ignore";
  const std::string_view effects = webhook.string_at("sideEffects");
  out->dry_runs = effects == "None" || effects == "NoneOnDryRun";
  out->reinvoke = webhook.string_at("reinvocationPolicy") == "IfNeeded";
  out->review_version = known_version(webhook);
  if (const Node* seconds = webhook.find("timeoutSeconds"); present(seconds))
    out->timeout = std::chrono::seconds(std::clamp<int64_t>(seconds->as_int().value_or(10), 1, 30));
  auto matching = Matching::of_webhook(webhook);
  if (matching) out->matching = std::move(*matching);
  else out->broken = matching.error().message;
  const Node* config = webhook.find("clientConfig");
  auto target = present(config) ? WebhookTarget::parse(*config) : fail(Code::invalid, "clientConfig is missing");
  if (target) out->target = std::move(*target);
  else out->broken = "clientConfig: " + target.error().message;
  if (const Node* conditions = webhook.find("matchConditions"); present(conditions) && !conditions->empty()) {
    auto names = std::make_shared<Names>(Names::Types{});
    out->conditions = Conditions::compile(conditions, *names, !out->ignore_failures);
    out->names = std::move(names);
  }
  return out;
}

Error failed_calling(const Webhook& webhook, std::string why) {
  return internal_error("failed calling webhook " + quoted(webhook.name) + ": " + std::move(why)).error();
}

std::unexpected<Error> denied_by(std::string_view webhook, const Node* result) {
  Document status;
  status.set_root(present(result) ? status.copy(*result) : status.make_object());
  Node& root = status.root();
  const std::string denied = "admission webhook " + quoted(webhook) + " denied the request";
  const std::string message(root.string_at("message")), reason(root.string_at("reason"));
  status.set(root, "message",
             !message.empty()  ? denied + ": " + message
             : !reason.empty() ? denied + ": " + reason
                               : denied + " without explanation");
  const Node* code = root.find("code");
  const int64_t number = code ? code->as_int().value_or(0) : 0;
  set_int(status, root, "code", number < 400 || number > 599 ? 400 : number);
  if (const std::string_view text = root.string_at("status"); text.empty() || text == "Success") status.set(root, "status", "Failure");
  return verbatim_status(root);
}

Task<Result<WebhookAnswer>> ask(const Webhook& webhook, Subject& subject, Match match, const Versions::Pair& objects) {
  if (!webhook.broken.empty()) co_return fail(Code::internal, "could not get REST client: " + webhook.broken);
  if (webhook.review_version.empty())
    co_return fail(Code::internal,
                   "could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)");
  const std::string uid = random_uuid();
  Attributes& attributes = subject.attributes;
  auto answer = co_await call_webhook(attributes.cluster, webhook.target, review_text(webhook, subject, match, objects, uid),
                                      {.timeout = webhook.timeout, .answer_bytes = answer_limit, .tell_timeout = true});
  if (!answer) co_return std::unexpected(std::move(answer.error()).context("failed to call webhook"));
  co_return read_answer(webhook, attributes, *answer, uid);
}

}  // namespace estiba::apiserver::admission
