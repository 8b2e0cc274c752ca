#include "apiserver/oidc.h"

#include "apiserver/api_errors.h"
#include "apiserver/edit.h"
#include "base/log.h"
#include "base/strings.h"
#include "io/http_client.h"

namespace estiba::apiserver {
namespace {

using namespace std::chrono_literals;

constexpr Duration between_fetches = 1s, keys_last = 10min, patience = 10s;
constexpr int64_t clock_leeway_seconds = 300;  // of nbf, as github.com/coreos/go-oidc
constexpr size_t longest_document = 1 << 20;

std::unexpected<Error> refuse(std::string_view why) {
  log::debug("authn", "OpenID Connect token refused", {{"why", why}});
  return unauthorized();
}

bool has_string(const json::Node* value, std::string_view wanted) {
  if (!present(value)) return false;
  if (!value->is_array()) return value->is_string() && value->as_string() == wanted;
  return std::any_of(value->begin(), value->end(), [&](const json::Node& one) { return one.as_string() == wanted; });
}

Result<io::JwtVerifier> read_keys(std::string_view text, const std::vector<std::string>& algorithms) {
  json::Document doc = TRY(json::Document::parse(text));
  const json::Node* keys = doc.root().find("keys");
  if (!present(keys) || !keys->is_array()) return fail(Code::malformed, "the key set has no keys");
  io::JwtVerifier out(algorithms);
  for (const json::Node& key : *keys) {
    auto member = [&](std::string_view name) { return std::string(key.string_at(name)); };
    io::Jwk jwk{member("kty"), member("kid"), member("use"), member("alg"), member("n"),
                member("e"),   member("crv"), member("x"),   member("y")};
    if (!jwk.use.empty() && jwk.use != "sig") continue;
    // Keys of kinds that nobody here uses may stand beside ours.
    if (auto added = out.add_jwk(jwk); !added && added.error().code != Code::unsupported) return std::unexpected(std::move(added.error()));
  }
  return out;
}

}  // namespace

Result<std::unique_ptr<Oidc>> Oidc::make(const Cluster& cluster, OidcOptions options) {
  auto wrong = [](std::string text) { return fail(Code::invalid, std::move(text)); };
  auto url = io::Url::parse(options.issuer_url);
  if (!url || url->scheme != "https") return wrong("--oidc-issuer-url must be an https URL, not " + quoted(options.issuer_url));
  if (options.client_id.empty()) return wrong("--oidc-client-id is needed with --oidc-issuer-url: the audience that tokens must have");
  if (options.username_claim.empty()) return wrong("--oidc-username-claim must not be empty");
  for (const std::string& name : options.signing_algs)
    if (!io::JwtVerifier::is_algorithm(name))
      return wrong("--oidc-signing-algs: " + quoted(name) + " is not one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512");
  if (options.signing_algs.empty()) options.signing_algs = {"RS256"};
  if (options.username_prefix == "-") options.username_prefix.clear();
  else if (options.username_prefix.empty() && options.username_claim != "email") options.username_prefix = options.issuer_url + "#";
  auto tls = TRY_AS("--oidc-ca-file", io::make_tls_client({.ca_pem = options.ca_pem}));
  return std::unique_ptr<Oidc>(new Oidc(cluster, std::move(options), std::move(tls)));
}

bool Oidc::claims_issuer(std::string_view token) const {
  auto parts = io::peek_jwt(token);
  if (!parts) return false;
  auto claims = json::Document::parse(parts->claims);
  return claims && claims->root().string_at("iss") == options_.issuer_url;
}

Task<Result<Oidc::KeysPtr>> Oidc::fetch() {
  io::HttpClient client({.tls = tls_, .max_idle_connections = 0, .connect_timeout = 5s});
  std::string at = options_.issuer_url;
  while (at.ends_with('/')) at.pop_back();
  io::FetchResult found = CO_TRY(co_await client.fetch({.url = at + "/.well-known/openid-configuration", .timeout = 5s}, longest_document));
  if (found.status != 200) co_return fail(Code::unavailable, "the provider's configuration: status " + std::to_string(found.status));
  json::Document configuration = CO_TRY(json::Document::parse(found.body));
  if (configuration.root().string_at("issuer") != options_.issuer_url)
    co_return fail(Code::invalid, "the provider names itself " + quoted(configuration.root().string_at("issuer")));
  std::string where(configuration.root().string_at("jwks_uri"));
  if (!where.starts_with("https://")) co_return fail(Code::invalid, "the provider's jwks_uri is no https URL");
  io::FetchResult keys = CO_TRY(co_await client.fetch({.url = std::move(where), .timeout = 5s}, longest_document));
  if (keys.status != 200) co_return fail(Code::unavailable, "the provider's keys: status " + std::to_string(keys.status));
  co_return std::make_shared<const Keys>(CO_TRY(read_keys(keys.body, options_.signing_algs)), Executor::current()->now());
}

Task<Result<Oidc::KeysPtr>> Oidc::keys_for(std::string key_id) {
  Executor& executor = *Executor::current();
  for (Instant end = executor.now() + patience; executor.now() < end;) {
    bool mine = false;
    {
      std::lock_guard lock(mutex_);
      const bool known = keys_ && (key_id.empty() || keys_->verifier.knows(key_id));
      const bool fresh = known && keys_->fetched + keys_last > executor.now();
      const bool may = !fetching_ && next_fetch_ <= executor.now();
      if (fresh || (keys_ && !fetching_ && !may)) co_return keys_;
      if (!fetching_ && !may) co_return fail(Code::unavailable, "the provider's keys could not be had a moment ago");
      if (may) {
        mine = fetching_ = true;
        next_fetch_ = executor.now() + between_fetches;
      }
    }
    if (!mine) {
      co_await sleep_for(20ms);
      continue;
    }
    // Who asked may go away meanwhile; the next one asks then.
    struct Fetching {
      Oidc& oidc;
      ~Fetching() {
        std::lock_guard lock(oidc.mutex_);
        oidc.fetching_ = false;
      }
    } guard{*this};
    auto keys = co_await fetch();
    if (!keys)
      log::warn("authn", "the keys of the OpenID Connect provider cannot be had",
                {{"issuer", options_.issuer_url}, {"error", keys.error()}});
    std::lock_guard lock(mutex_);
    if (keys) keys_ = *keys;
    if (!keys_) co_return std::unexpected(std::move(keys.error()));
    co_return keys_;
  }
  co_return fail(Code::unavailable, "the provider's keys do not come");
}

Result<User> Oidc::user_of(std::string_view text) const {
  auto doc = json::Document::parse(text);
  if (!doc || !doc->root().is_object()) return refuse("the claims are no JSON object");
  const json::Node& claims = doc->root();
  const int64_t now = std::chrono::duration_cast<std::chrono::seconds>(cluster_.now().time_since_epoch()).count();
  if (claims.string_at("iss") != options_.issuer_url) return refuse("another issuer");
  if (!has_string(claims.find("aud"), options_.client_id)) return refuse("another audience");
  const json::Node *expires = claims.find("exp"), *not_before = claims.find("nbf");
  if (!present(expires) || expires->as_int().value_or(0) <= now) return refuse("expired");
  if (present(not_before) && not_before->as_int().value_or(0) > now + clock_leeway_seconds) return refuse("not valid yet");
  for (const auto& [name, value] : options_.required_claims) {
    const json::Node* claim = claims.find(name);
    if (!present(claim) || !claim->is_string() || claim->as_string() != value) return refuse("the claim " + name + " is not " + value);
  }
  const json::Node* name = claims.find(options_.username_claim);
  if (!present(name) || !name->is_string() || name->as_string().empty()) return refuse("no claim " + options_.username_claim);
  if (options_.username_claim == "email") {
    const json::Node* verified = claims.find("email_verified");
    if (present(verified) && !(verified->is_bool() && verified->as_bool())) return refuse("the email is not verified");
  }
  User user;
  user.name = options_.username_prefix + std::string(name->as_string());
  if (const json::Node* groups = options_.groups_claim.empty() ? nullptr : claims.find(options_.groups_claim); present(groups)) {
    if (groups->is_string()) user.groups.push_back(options_.groups_prefix + std::string(groups->as_string()));
    else if (!groups->is_array()) return refuse("the claim " + options_.groups_claim + " is neither a string nor a list");
    else
      for (const json::Node& group : *groups) user.groups.push_back(options_.groups_prefix + std::string(group.as_string()));
  }
  user.groups.push_back("system:authenticated");
  if (std::string_view id = claims.string_at("jti"); !id.empty())
    user.extra["authentication.kubernetes.io/credential-id"] = {"JTI=" + std::string(id)};
  return user;
}

Task<Result<User>> Oidc::authenticate(std::string token) {
  auto parts = io::peek_jwt(token);
  auto header = parts ? json::Document::parse(parts->header) : Result<json::Document>(fail(Code::malformed, ""));
  if (!header) co_return refuse("no JSON Web Token");
  auto keys = co_await keys_for(std::string(header->root().string_at("kid")));
  if (!keys) co_return refuse(keys.error().message);
  auto claims = (*keys)->verifier.verify(token);
  if (!claims) co_return refuse(claims.error().message);
  co_return user_of(*claims);
}

}  // namespace estiba::apiserver
