#include "apiserver/authn.h"

#include "apiserver/api_errors.h"
#include "apiserver/edit.h"
#include "base/log.h"
#include "base/strings.h"

namespace estiba::apiserver {
namespace {

std::unexpected<Error> refuse(std::string_view why) {
  log::debug("authn", "credentials refused", {{"why", why}});
  return unauthorized();
}

int64_t unix_seconds(WallTime time) { return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count(); }

bool overlap(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  return std::any_of(a.begin(), a.end(), [&](const std::string& x) { return std::find(b.begin(), b.end(), x) != b.end(); });
}

// An object that a token is bound to must still be there, and be the same one.
Result<void> check_bound(const Cluster& cluster, const json::Node& claims, std::string_view claim, std::string_view resource,
                         std::string_view ns) {
  const json::Node* bound = claims.find(claim);
  if (!present(bound)) return {};
  auto object = cluster.find("", resource, ns, bound->string_at("name"));
  if (!object || object->meta().uid != bound->string_at("uid")) {
    return refuse("the token's " + std::string(claim) + " " + std::string(bound->string_at("name")) + " is gone");
  }
  return {};
}

void append_bound(std::string& out, std::string_view claim, const std::string& name, const std::string& uid) {
  if (name.empty()) return;
  out += ",\"" + std::string(claim) + "\":{\"name\":";
  json::append_string(out, name);
  out += ",\"uid\":";
  json::append_string(out, uid);
  out += "}";
}

}  // namespace

Result<std::unique_ptr<Authenticator>> Authenticator::make(Cluster& cluster, std::string_view signing_key_pem) {
  auto signer = TRY_AS("service account signing key", io::JwtSigner::make(signing_key_pem));
  io::JwtVerifier verifier;
  TRY_AS("service account signing key", verifier.add_key(signing_key_pem));
  return std::unique_ptr<Authenticator>(new Authenticator(cluster, std::move(signer), std::move(verifier)));
}

Result<User> Authenticator::authenticate(const io::Request& request) const {
  const io::Peer& peer = request.peer();
  if (peer.verified) {
    User user;
    user.name = peer.common_name;
    user.groups = peer.organizations;
    user.groups.push_back("system:authenticated");
    return user;
  }
  std::string_view authorization = request.headers.get("Authorization");
  if (!authorization.empty()) {
    auto [scheme, token] = split_once(authorization, ' ');
    if (!equals_ignore_case(scheme, "Bearer") || !token) return refuse("unknown authorization scheme");
    return TRY(verify_token(trim(*token), {})).user;
  }
  if (!peer.certificate_error.empty()) return refuse(peer.certificate_error);
  return User{std::string(anonymous_name), {}, {"system:unauthenticated"}, {}};
}

Result<TokenInfo> Authenticator::verify_token(std::string_view token, const std::vector<std::string>& audiences) const {
  std::string text = TRY(verifier_.verify(token));
  auto doc = json::Document::parse(text);
  if (!doc) return refuse("the token's claims are not JSON");
  const json::Node& claims = doc->root();
  const std::string issuer = cluster_.options().issuer();
  if (claims.string_at("iss") != issuer) return refuse("the token is of another issuer");
  int64_t now = unix_seconds(cluster_.now());
  const json::Node* expires = claims.find("exp");
  const json::Node* not_before = claims.find("nbf");
  if (!expires || expires->as_int().value_or(0) <= now) return refuse("the token has expired");
  if (not_before && not_before->as_int().value_or(0) > now + 60) return refuse("the token is not valid yet");

  std::vector<std::string> own;
  if (const json::Node* list = claims.find("aud"); list && list->is_array()) {
    for (const json::Node& audience : *list) own.emplace_back(audience.as_string());
  } else if (list) {
    own.emplace_back(list->as_string());
  }
  const std::vector<std::string> wanted =
      audiences.empty() ? std::vector<std::string>{issuer, "https://kubernetes.default.svc"} : audiences;
  if (!overlap(own, wanted)) return refuse("the token is for other audiences");

  const json::Node* kubernetes = claims.find("kubernetes.io");
  if (!present(kubernetes)) return refuse("the token is of no service account");
  std::string ns(kubernetes->string_at("namespace"));
  std::string name(kubernetes->string_at("serviceaccount", "name"));
  TRY(check_bound(cluster_, *kubernetes, "serviceaccount", "serviceaccounts", ns));
  TRY(check_bound(cluster_, *kubernetes, "pod", "pods", ns));
  TRY(check_bound(cluster_, *kubernetes, "secret", "secrets", ns));

  TokenInfo out;
  out.user.name = "system:serviceaccount:" + ns + ":" + name;
  out.user.uid = kubernetes->string_at("serviceaccount", "uid");
  out.user.groups = {"system:serviceaccounts", "system:serviceaccounts:" + ns, "system:authenticated"};
  if (std::string_view id = claims.string_at("jti"); !id.empty())
    out.user.extra["authentication.kubernetes.io/credential-id"] = {"JTI=" + std::string(id)};
  if (const json::Node* pod = kubernetes->find("pod"); present(pod)) {
    out.user.extra["authentication.kubernetes.io/pod-name"] = {std::string(pod->string_at("name"))};
    out.user.extra["authentication.kubernetes.io/pod-uid"] = {std::string(pod->string_at("uid"))};
  }
  for (const std::string& audience : own) {
    if (std::find(wanted.begin(), wanted.end(), audience) != wanted.end()) out.audiences.push_back(audience);
  }
  return out;
}

Result<std::string> Authenticator::issue_token(const TokenSubject& subject, const std::vector<std::string>& audiences, WallTime from,
                                               WallTime until) const {
  std::string out = "{\"aud\":[";
  for (size_t i = 0; i < audiences.size(); i++) {
    if (i > 0) out += ',';
    json::append_string(out, audiences[i]);
  }
  out += "],\"exp\":" + std::to_string(unix_seconds(until)) + ",\"iat\":" + std::to_string(unix_seconds(from)) + ",\"iss\":";
  json::append_string(out, cluster_.options().issuer());
  out += ",\"jti\":\"" + random_uuid() + "\",\"kubernetes.io\":{\"namespace\":";
  json::append_string(out, subject.ns);
  append_bound(out, "node", subject.node, subject.node_uid);
  append_bound(out, "pod", subject.pod, subject.pod_uid);
  append_bound(out, "secret", subject.secret, subject.secret_uid);
  append_bound(out, "serviceaccount", subject.service_account, subject.service_account_uid);
  out += "},\"nbf\":" + std::to_string(unix_seconds(from)) + ",\"sub\":";
  json::append_string(out, "system:serviceaccount:" + subject.ns + ":" + subject.service_account);
  return signer_.sign(out + "}");
}

}  // namespace estiba::apiserver
