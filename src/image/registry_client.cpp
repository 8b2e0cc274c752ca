#include "image/registry_client.h"

#include <map>

#include "base/strings.h"
#include "model/json.h"

namespace estiba::image {
namespace {

using namespace std::chrono_literals;
using Answer = std::unique_ptr<io::ClientResponse>;

constexpr std::string_view manifest_types =
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
constexpr size_t manifest_limit = 4 << 20;
constexpr auto stalled = 60s;  // without a byte of a body

/// Docker takes only 127.0.0.0/8, ::1 and localhost for registries that may speak plain HTTP, and so do we.
bool is_loopback(std::string_view registry) {
  std::string_view host = registry.starts_with('[') ? registry.substr(1, registry.find(']') - 1) : split_once(registry, ':').first;
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

/// What the registry says about a refusal: {"errors":[{"code":…,"message":…}]}.
std::string registry_says(std::string_view body) {
  auto doc = json::Document::parse(body);
  if (!doc) return "";
  const json::Node* errors = doc->root().find("errors");
  if (!errors || errors->empty()) return "";
  std::string_view message = (*errors)[0].string_at("message"), code = (*errors)[0].string_at("code");
  return ": " + std::string(message.empty() ? code : message);
}

Task<Error> refusal(Answer answer, std::string what) {
  auto body = co_await answer->text(64 << 10);
  std::string says = registry_says(body.value_or(""));
  switch (answer->status) {
    case 401:
    case 403:
      co_return Error{Code::unauthorized, 0, what + " is not allowed" + says + "; it may not exist or need other credentials", nullptr};
    case 404:
      co_return Error{Code::not_found, 0, what + " is not in the registry" + says, nullptr};
    case 429:
      co_return Error{Code::exhausted, 0, what + ": the registry says that there were too many requests" + says, nullptr};
    default:
      co_return Error{answer->status >= 500 ? Code::unavailable : Code::internal, 0,
                      what + ": the registry answered " + std::to_string(answer->status) + says, nullptr};
  }
}

Task<Result<std::string>> next_piece(io::ClientResponse* answer) {
  auto piece = co_await with_timeout(stalled, answer->read());
  if (!piece) co_return fail(Code::timeout, "the registry sent nothing for a minute");
  co_return std::move(*piece);
}

}  // namespace

std::map<std::string, std::string> parse_challenge(std::string_view header) {
  std::map<std::string, std::string> out;
  auto [scheme, rest] = split_once(trim(header), ' ');
  out[""] = to_lower(scheme);
  std::string_view text = rest.value_or("");
  while (!text.empty()) {
    size_t equals = text.find('=');
    if (equals == text.npos) break;
    std::string key = to_lower(trim(text.substr(0, equals)));
    text.remove_prefix(equals + 1);
    std::string value;
    if (text.starts_with('"')) {
      size_t i = 1;
      for (; i < text.size() && text[i] != '"'; ++i) {
        if (text[i] == '\\' && i + 1 < text.size()) ++i;
        value += text[i];
      }
      text.remove_prefix(std::min(i + 1, text.size()));
      size_t comma = text.find(',');
      text.remove_prefix(comma == text.npos ? text.size() : comma + 1);
    } else {
      size_t comma = std::min(text.find(','), text.size());
      value = trim(text.substr(0, comma));
      text.remove_prefix(std::min(comma + 1, text.size()));
    }
    out[key] = value;
  }
  return out;
}

RegistryClient::RegistryClient(const Reference& reference, const PullOptions& options)
    : reference_(reference), options_(options), http_({.tls = options.tls, .connect_timeout = 15s}) {
  // Docker Hub's name is not where its registry is.
  std::string host = reference.registry == "docker.io" ? "registry-1.docker.io" : reference.registry;
  base_ = (is_loopback(host) ? "http://" : "https://") + host + "/v2/" + reference.repository + "/";
}

Task<Result<Answer>> RegistryClient::get(std::string path, std::string accept) {
  for (int attempt = 0; attempt < 2 + int(options_.logins.size()); ++attempt) {
    io::ClientRequest request{.url = base_ + path};
    if (!accept.empty()) request.headers.add("Accept", accept);
    if (!authorization_.empty()) request.headers.add("Authorization", authorization_);
    Answer answer = CO_TRY(co_await http_.send(std::move(request)));
    if (answer->status == 401) {
      std::string challenge(answer->headers.get("WWW-Authenticate"));
      if (!challenge.empty() && CO_TRY(co_await authenticate(challenge))) continue;
    }
    co_return co_await follow(std::move(answer), base_ + path);
  }
  co_return fail(Code::unauthorized, "the registry accepts none of the credentials for " + reference_.name());
}

/// Redirects lead to storage that must not see our credentials.
Task<Result<Answer>> RegistryClient::follow(Answer answer, std::string url) {
  for (int hops = 0;
       answer->status == 301 || answer->status == 302 || answer->status == 303 || answer->status == 307 || answer->status == 308; ++hops) {
    if (hops == 5) co_return fail(Code::unavailable, "the registry redirects too often");
    auto from = CO_TRY(io::Url::parse(url));
    auto to = CO_TRY(from.resolve(answer->headers.get("Location")));
    if (from.scheme == "https" && to.scheme != "https")
      co_return fail(Code::unavailable, "the registry redirects from HTTPS to " + to.scheme);
    url = to.text();
    answer = CO_TRY(co_await http_.send({.url = url}));
  }
  co_return answer;
}

Task<Result<bool>> RegistryClient::authenticate(std::string challenge) {
  // First with each login, last as nobody, which Bearer registries allow for public images.
  if (next_login_ > options_.logins.size()) co_return false;
  const bool anonymous = next_login_ == options_.logins.size();
  RegistryLogin login = anonymous ? RegistryLogin{} : options_.logins[next_login_];
  ++next_login_;
  auto parameters = parse_challenge(challenge);
  if (parameters[""] == "basic") {
    if (anonymous) co_return false;
    authorization_ = "Basic " + base64_encode(login.username + ":" + login.password);
    co_return true;
  }
  if (parameters[""] != "bearer")
    co_return fail(Code::unsupported, "the registry asks for authentication by " + quoted(parameters[""]) + ", which is not supported");
  auto token = co_await fetch_token(challenge, login);
  if (!token && token.error().code == Code::unauthorized && !anonymous) co_return co_await authenticate(std::move(challenge));
  authorization_ = "Bearer " + CO_TRY(std::move(token));
  co_return true;
}

Task<Result<std::string>> RegistryClient::fetch_token(std::string challenge, RegistryLogin login) {
  auto parameters = parse_challenge(challenge);
  io::Query query;
  if (!parameters["service"].empty()) query.add("service", parameters["service"]);
  query.add("scope", parameters["scope"].empty() ? "repository:" + reference_.repository + ":pull" : parameters["scope"]);
  const std::string realm = parameters["realm"];
  auto where = CO_TRY_AS("the registry's token service", io::Url::parse(realm));
  if (where.scheme != "https" && !is_loopback(where.host))
    co_return fail(Code::unsupported, "the registry's token service " + realm + " is not reached by HTTPS");
  io::ClientRequest request;
  if (!login.identity_token.empty()) {
    query.add("grant_type", "refresh_token");
    query.add("refresh_token", login.identity_token);
    query.add("client_id", "estiba");
    request.method = "POST";
    request.url = realm;
    request.headers.add("Content-Type", "application/x-www-form-urlencoded");
    request.body = query.encode();
  } else {
    request.url = realm + (realm.find('?') == std::string::npos ? "?" : "&") + query.encode();
    if (!login.username.empty()) request.headers.add("Authorization", "Basic " + base64_encode(login.username + ":" + login.password));
  }
  auto answer = CO_TRY(co_await http_.fetch(std::move(request), 1 << 20));
  if (answer.status != 200) {
    Code code = answer.status == 401 || answer.status == 403 ? Code::unauthorized : Code::unavailable;
    co_return fail(code, "the token service " + where.authority() + " answered " + std::to_string(answer.status));
  }
  auto doc = CO_TRY_AS("the token service's answer", json::Document::parse(answer.body, {.allow_duplicate_keys = true}));
  std::string token(doc.root().string_at("token"));
  if (token.empty()) token = doc.root().string_at("access_token");
  if (token.empty()) co_return fail(Code::unavailable, "the token service " + where.authority() + " gave no token");
  co_return token;
}

Task<Result<RegistryClient::Document>> RegistryClient::manifest(std::string name) {
  Answer answer = CO_TRY(co_await get("manifests/" + name, std::string(manifest_types)));
  if (answer->status != 200)
    co_return std::unexpected(co_await refusal(std::move(answer), "manifest " + name + " of " + reference_.name()));
  Document out;
  for (;;) {
    std::string piece = CO_TRY(co_await next_piece(answer.get()));
    if (piece.empty()) break;
    out.text += piece;
    if (out.text.size() > manifest_limit)
      co_return fail(Code::too_large, "manifest " + name + " is larger than " + std::to_string(manifest_limit) + " bytes");
  }
  out.media_type = split_once(answer->headers.get("Content-Type"), ';').first;
  out.digest = digest_of(out.text);
  std::string_view expected = valid_digest(name) ? std::string_view(name) : answer->headers.get("Docker-Content-Digest");
  if (valid_digest(expected) && out.digest != expected)
    co_return fail(Code::malformed, "digest mismatch: the manifest has " + out.digest + ", but " + std::string(expected) + " was expected");
  co_return out;
}

Task<Result<void>> RegistryClient::blob(Store& store, Descriptor descriptor) {
  for (int attempt = 1;; ++attempt) {
    if (store.has_blob(descriptor.digest)) co_return {};
    auto done = co_await try_blob(store, descriptor);
    if (done || attempt == 3 || (done.error().code != Code::unavailable && done.error().code != Code::timeout)) co_return done;
    co_await sleep_for(attempt * 1s);
  }
}

Task<Result<void>> RegistryClient::try_blob(Store& store, Descriptor descriptor) {
  const std::string what = "blob " + descriptor.digest;
  Answer answer = CO_TRY(co_await get("blobs/" + descriptor.digest, ""));
  if (answer->status != 200) co_return std::unexpected(co_await refusal(std::move(answer), what));
  BlobWriter writer = CO_TRY(store.new_blob());
  for (;;) {
    std::string piece = CO_TRY_AS(what, co_await next_piece(answer.get()));
    if (piece.empty()) break;
    if (writer.size() + piece.size() > descriptor.size)
      co_return fail(Code::malformed,
                     what + " is larger than the " + std::to_string(descriptor.size) + " bytes that the manifest declares");
    CO_TRY(writer.write(piece));
  }
  if (writer.size() != descriptor.size)
    co_return fail(Code::unavailable,
                   what + " ended after " + std::to_string(writer.size()) + " of " + std::to_string(descriptor.size) + " bytes");
  CO_TRY_AS(what, writer.commit(descriptor.digest));
  co_return {};
}

}  // namespace estiba::image
