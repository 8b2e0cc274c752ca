// serviceaccounts/token (TokenRequest), TokenReview, SelfSubjectReview.
#include "apiserver/admission/admission.h"
#include "apiserver/api_errors.h"
#include "apiserver/body.h"
#include "apiserver/edit.h"
#include "apiserver/server.h"
#include "apiserver/special/special.h"
#include "base/strings.h"
#include "base/time.h"

namespace estiba::apiserver {
namespace {

constexpr int64_t least_seconds = 600, most_seconds = int64_t{1} << 32, default_seconds = 3600;
// Clients that may not know that tokens end ask for exactly this long (the kubelet for projected tokens); theirs hold for a year, and who
// uses one after the time he asked for is told of (pkg/registry/core/serviceaccount/storage/token.go).
constexpr int64_t warn_only_seconds = 3607, extended_seconds = 365 * 24 * 3600;

Result<void> check_request(const Action& action, const json::Node& spec) {
  FieldErrors errors;
  if (const json::Node* reference = spec.find("boundObjectRef"); present(reference)) {
    const std::string_view kind = reference->string_at("kind"), version = reference->string_at("apiVersion");
    const bool known = kind == "Pod" || kind == "Secret" || kind == "Node";
    if (known && !version.empty() && version != "v1") errors.not_supported("spec.boundObjectRef.apiVersion", version, {"v1"});
    if (reference->string_at("name").empty()) errors.required("spec.boundObjectRef.name");
  }
  const json::Node* seconds = spec.find("expirationSeconds");
  int64_t asked = seconds ? seconds->as_int().value_or(0) : default_seconds;
  if (asked < least_seconds) errors.invalid("spec.expirationSeconds", seconds, "may not specify a duration less than 10 minutes");
  if (asked > most_seconds) errors.invalid("spec.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds");
  if (errors.empty()) return {};
  return invalid(*action.resource, "TokenRequest", action.name, errors.take());
}

// The object that the token shall be bound to must be there, and be the one that is meant.
Result<void> bind_subject(const Cluster& cluster, const Action& action, const json::Node& reference, Authenticator::TokenSubject& subject) {
  std::string_view kind = reference.string_at("kind");
  std::string name(reference.string_at("name")), uid(reference.string_at("uid"));
  if (kind != "Pod" && kind != "Secret" && kind != "Node")
    return bad_request("cannot bind token for serviceaccount " + quoted(action.name) + " to object of kind " + quoted(kind));
  std::string_view resource = kind == "Pod" ? "pods" : kind == "Secret" ? "secrets" : "nodes";
  auto object = cluster.find("", resource, kind == "Node" ? "" : action.ns, name);
  if (!object) return std::unexpected(std::move(object.error()));
  const std::string& own = object->meta().uid;
  if (!uid.empty() && uid != own) {
    return conflict(*action.resource, action.name,
                    "the UID in the bound object reference (" + uid +
                        ") does not match the UID in record. The object might have been deleted and then recreated");
  }
  if (kind == "Secret") {
    subject.secret = name, subject.secret_uid = own;
  } else if (kind == "Node") {
    subject.node = name, subject.node_uid = own;
  } else {
    subject.pod = name, subject.pod_uid = own;
    json::Document doc = TRY(json::Document::parse(object->object->json()));
    if (std::string_view account = doc.root().string_at("spec", "serviceAccountName"); account != action.name) {
      return bad_request("cannot bind token for serviceaccount " + quoted(action.name) +
                         " to pod running with different serviceaccount name.");
    }
    subject.node = doc.root().string_at("spec", "nodeName");
    if (auto node = cluster.find("", "nodes", "", subject.node)) subject.node_uid = node->meta().uid;
  }
  return {};
}

Task<Result<Outcome>> request_token(Api& api, Action action) {
  Decoded decoded = CO_TRY(decode_as(action, *model::schema::find_type("authentication.k8s.io", "v1", "TokenRequest")));
  json::Document& doc = decoded.doc;
  doc.set(doc.root(), "kind", "TokenRequest");
  doc.set(doc.root(), "apiVersion", "authentication.k8s.io/v1");
  std::vector<std::string> warnings;
  CO_TRY(co_await admission::admit_act(api.cluster(), action, admission::Operation::create, doc, warnings));
  json::Node& spec = doc.ensure_object(doc.root(), "spec");
  default_int(doc, spec, "expirationSeconds", default_seconds);
  CO_TRY(check_request(action, spec));
  auto account = api.registry().get(action);
  if (!account) co_return std::unexpected(std::move(account.error()));

  Authenticator::TokenSubject subject{.ns = action.ns, .service_account = action.name, .service_account_uid = account->meta().uid};
  if (const json::Node* reference = spec.find("boundObjectRef"); present(reference))
    CO_TRY(bind_subject(api.cluster(), action, *reference, subject));
  std::vector<std::string> audiences;
  if (const json::Node* list = spec.find("audiences"); present(list)) {
    for (const json::Node& audience : *list) audiences.emplace_back(audience.as_string());
  }
  if (audiences.empty()) audiences.push_back(api.cluster().options().issuer());
  WallTime now = api.cluster().now();
  const int64_t seconds = spec.find("expirationSeconds")->as_int().value_or(default_seconds);
  const WallTime until = now + std::chrono::seconds(seconds);
  Authenticator::TokenTimes times{now, until, std::nullopt};
  const std::vector<std::string> own = api.authenticator().own_audiences();
  const bool for_api = std::all_of(audiences.begin(), audiences.end(),
                                   [&](const std::string& one) { return std::find(own.begin(), own.end(), one) != own.end(); });
  if (seconds == warn_only_seconds && !subject.pod.empty() && for_api) {
    times.warn_after = until;
    times.until = now + std::chrono::seconds(extended_seconds);
  }
  std::string token = CO_TRY(api.authenticator().issue_token(subject, audiences, times));

  json::Node& list = doc.make_array();
  for (const std::string& audience : audiences) doc.append(list, doc.make_string(audience));
  doc.set(spec, "audiences", list);
  doc.set(doc.root(), "kind", "TokenRequest");
  doc.set(doc.root(), "apiVersion", "authentication.k8s.io/v1");
  json::Node& metadata = doc.ensure_object(doc.root(), "metadata");
  doc.set(metadata, "name", action.name);
  doc.set(metadata, "namespace", action.ns);
  doc.set(metadata, "creationTimestamp", format_rfc3339(now));
  json::Node& status = doc.set(doc.root(), "status", doc.make_object());
  doc.set(status, "token", token);
  doc.set(status, "expirationTimestamp", format_rfc3339(until));
  co_return Outcome{201, {}, json::print(doc.root()), std::move(warnings)};
}

void write_user(json::Document& doc, json::Node& holder, std::string_view member, const User& user) {
  json::Node& info = doc.set(holder, member, doc.make_object());
  doc.set(info, "username", user.name);
  if (!user.uid.empty()) doc.set(info, "uid", user.uid);
  json::Node& groups = doc.make_array();
  for (const std::string& group : user.groups) doc.append(groups, doc.make_string(group));
  doc.set(info, "groups", groups);
  if (user.extra.empty()) return;
  json::Node& extra = doc.set(info, "extra", doc.make_object());
  for (const auto& [key, values] : user.extra) {
    json::Node& list = doc.set(extra, key, doc.make_array());
    for (const std::string& value : values) doc.append(list, doc.make_string(value));
  }
}

// A token of whatever kind. Those of an OpenID Connect provider are for the API alone.
Task<Result<TokenInfo>> verify(Authenticator& authenticator, std::string token, std::vector<std::string> audiences) {
  if (!authenticator.is_foreign(token)) co_return authenticator.verify_token(token, audiences);
  TokenInfo out;
  const auto own = authenticator.own_audiences();
  for (const std::string& one : audiences.empty() ? own : audiences)
    if (std::find(own.begin(), own.end(), one) != own.end()) out.audiences.push_back(one);
  if (out.audiences.empty()) co_return unauthorized();
  out.user = CO_TRY(co_await authenticator.authenticate_foreign(std::move(token)));
  co_return out;
}

Task<Result<Outcome>> review_token(Api& api, Action action) {
  Decoded decoded = CO_TRY(decode_object(action));
  json::Document& doc = decoded.doc;
  std::vector<std::string> audiences;
  if (const json::Node* list = doc.root().at("spec", "audiences"); present(list)) {
    for (const json::Node& audience : *list) audiences.emplace_back(audience.as_string());
  }
  std::string token(doc.root().string_at("spec", "token"));
  if (token.empty()) co_return bad_request("token is required for TokenReview in authentication");
  json::Node& status = doc.set(doc.root(), "status", doc.make_object());
  auto info = co_await verify(api.authenticator(), token, audiences);
  if (info) {
    set_bool(doc, status, "authenticated", true);
    write_user(doc, status, "user", info->user);
    json::Node& list = doc.set(status, "audiences", doc.make_array());
    for (const std::string& audience : info->audiences) doc.append(list, doc.make_string(audience));
  } else {
    doc.set(status, "error", "invalid bearer token");
  }
  co_return Outcome{201, {}, json::print(doc.root()), {}};
}

Task<Result<Outcome>> review_self(Api& api, Action action) {
  Decoded decoded = CO_TRY(decode_object(action));
  json::Document& doc = decoded.doc;
  doc.set(doc.ensure_object(doc.root(), "metadata"), "creationTimestamp", format_rfc3339(api.cluster().now()));
  json::Node& status = doc.set(doc.root(), "status", doc.make_object());
  write_user(doc, status, "userInfo", action.user);
  co_return Outcome{201, {}, json::print(doc.root()), {}};
}

constexpr Special rows[] = {
    {"", "serviceaccounts", "token", request_token},
    {"authentication.k8s.io", "tokenreviews", "", review_token},
    {"authentication.k8s.io", "selfsubjectreviews", "", review_self},
};

}  // namespace

std::span<const Special> token_actions() { return rows; }

}  // namespace estiba::apiserver
