#include "apiserver/authn.h"

#include <array>

#include "apiserver/api_errors.h"
#include "apiserver/bootstrap_tokens.h"
#include "apiserver/edit.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/time.h"
#include "io/certificate_identity.h"

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

// How long a token still holds after the deletion of what it is bound to began: a pod that ends uses its own to the last.
constexpr Duration deletion_leeway = std::chrono::seconds(60);

std::string_view bearer_of(const io::Request& request) {
  auto [scheme, token] = split_once(request.headers.get("Authorization"), ' ');
  return token && equals_ignore_case(scheme, "Bearer") ? trim(*token) : std::string_view{};
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
  if (const std::string& deleted = object->meta().deletion_timestamp; !deleted.empty()) {
    auto time = parse_rfc3339(deleted);
    if (!time || *time < cluster.now() - deletion_leeway) return refuse("the token's " + std::string(claim) + " was deleted");
  }
  return {};
}

constexpr const char* credential_id = "authentication.kubernetes.io/credential-id";

struct CertificateUser {
  std::string der, uid, credential;
};

// Of a thread's last callers: reading a certificate for each of their requests would take longer than many an answer. Null when it
// cannot be read.
const CertificateUser* remembered_user(std::string_view der) {
  thread_local std::array<CertificateUser, 8> known;
  thread_local size_t next = 0;
  for (const CertificateUser& each : known)
    if (each.der == der && !der.empty()) return &each;
  auto identity = io::identity_of_certificate(der);
  if (!identity) {
    log::debug("authn", "a client certificate is not taken", {{"error", identity.error()}});
    return nullptr;
  }
  CertificateUser& place = known[next++ % known.size()];
  place = {std::string(der), std::move(identity->uid), "X509SHA256=" + identity->sha256};
  return &place;
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

Result<std::unique_ptr<Authenticator>> Authenticator::make(Cluster& cluster, AuthnOptions options) {
  auto signer = TRY_AS("service account signing key", io::JwtSigner::make(options.signing_key_pem));
  io::JwtVerifier verifier;
  TRY_AS("service account signing key", verifier.add_key(options.signing_key_pem));
  for (const std::string& pem : options.keys_pem) TRY_AS("service account key", verifier.add_key(pem));
  std::unique_ptr<Authenticator> out(new Authenticator(cluster, std::move(signer), std::move(verifier)));
  out->jwks_ = "{\"keys\":[" + join(out->verifier_.jwks(), ",") + "]}";
  if (!options.oidc.issuer_url.empty()) out->oidc_ = TRY(Oidc::make(cluster, std::move(options.oidc)));
  return out;
}

std::vector<std::string> Authenticator::own_audiences() const { return {cluster_.options().issuer(), "https://kubernetes.default.svc"}; }

std::string Authenticator::foreign_token(const io::Request& request) const {
  if (!oidc_ || request.peer().verified) return {};
  const std::string_view token = bearer_of(request);
  return is_foreign(token) ? std::string(token) : std::string{};
}

Result<User> Authenticator::authenticate(const io::Request& request) const {
  const io::Peer& peer = request.peer();
  if (peer.verified) {
    const CertificateUser* known = remembered_user(peer.certificate_der);
    if (!known) return refuse("the client's certificate does not say who it is of");
    User user;
    user.name = peer.common_name;
    user.uid = known->uid;
    user.groups = peer.organizations;
    user.groups.push_back("system:authenticated");
    user.extra[credential_id] = {known->credential};
    return user;
  }
  std::string_view authorization = request.headers.get("Authorization");
  if (!authorization.empty()) {
    const std::string_view token = bearer_of(request);
    if (token.empty()) return refuse("unknown authorization scheme");
    return TRY(verify_token(token, {})).user;
  }
  if (!peer.certificate_error.empty()) return refuse(peer.certificate_error);
  return User{std::string(anonymous_name), {}, {"system:unauthenticated"}, {}};
}

Result<TokenInfo> Authenticator::verify_token(std::string_view token, const std::vector<std::string>& audiences) const {
  const std::vector<std::string> wanted = audiences.empty() ? own_audiences() : audiences;
  if (is_bootstrap_token(token)) {
    // Such tokens are for the API alone.
    const auto own = own_audiences();
    if (!overlap(own, wanted)) return refuse("the token is for other audiences");
    return TokenInfo{TRY(bootstrap_user(cluster_, token)), wanted};
  }
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
  if (!overlap(own, wanted)) return refuse("the token is for other audiences");

  const json::Node* kubernetes = claims.find("kubernetes.io");
  if (!present(kubernetes)) return refuse("the token is of no service account");
  std::string ns(kubernetes->string_at("namespace"));
  std::string name(kubernetes->string_at("serviceaccount", "name"));
  TRY(check_bound(cluster_, *kubernetes, "serviceaccount", "serviceaccounts", ns));
  TRY(check_bound(cluster_, *kubernetes, "pod", "pods", ns));
  TRY(check_bound(cluster_, *kubernetes, "secret", "secrets", ns));
  // The node of a bound pod is told for information; one that the token itself is bound to must be there.
  const json::Node *pod = kubernetes->find("pod"), *node = kubernetes->find("node");
  if (!present(pod)) TRY(check_bound(cluster_, *kubernetes, "node", "nodes", ""));

  TokenInfo out;
  out.user.name = "system:serviceaccount:" + ns + ":" + name;
  out.user.uid = kubernetes->string_at("serviceaccount", "uid");
  out.user.groups = {"system:serviceaccounts", "system:serviceaccounts:" + ns, "system:authenticated"};
  if (std::string_view id = claims.string_at("jti"); !id.empty()) out.user.extra[credential_id] = {"JTI=" + std::string(id)};
  for (const auto& [bound, what] : {std::pair{pod, "pod"}, std::pair{node, "node"}}) {
    if (!present(bound)) continue;
    const std::string key = "authentication.kubernetes.io/" + std::string(what);
    out.user.extra[key + "-name"] = {std::string(bound->string_at("name"))};
    out.user.extra[key + "-uid"] = {std::string(bound->string_at("uid"))};
  }
  if (const json::Node* warn = kubernetes->find("warnafter"); present(warn) && warn->as_int().value_or(0) < now)
    log::debug("authn", "a stale token is still used", {{"subject", out.user.name}});
  for (const std::string& audience : own) {
    if (std::find(wanted.begin(), wanted.end(), audience) != wanted.end()) out.audiences.push_back(audience);
  }
  return out;
}

Result<std::string> Authenticator::issue_token(const TokenSubject& subject, const std::vector<std::string>& audiences,
                                               TokenTimes times) const {
  const WallTime from = times.from, until = times.until;
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
  if (times.warn_after) out += ",\"warnafter\":" + std::to_string(unix_seconds(*times.warn_after));
  out += "},\"nbf\":" + std::to_string(unix_seconds(from)) + ",\"sub\":";
  json::append_string(out, "system:serviceaccount:" + subject.ns + ":" + subject.service_account);
  return signer_.sign(out + "}");
}

}  // namespace estiba::apiserver
