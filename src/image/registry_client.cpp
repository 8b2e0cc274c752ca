#include "image/registry_client.h"

#include <arpa/inet.h>

#include <algorithm>
#include <ctime>

#include "base/strings.h"
#include "base/time.h"
#include "model/json.h"

namespace estiba::image {
namespace {

using namespace std::chrono_literals;

constexpr auto longest_probe = 4s;
constexpr auto longest_wait = 60s;  // that a registry may ask for with Retry-After

std::string_view host_of(std::string_view registry) {
  return registry.starts_with('[') ? registry.substr(1, registry.find(']') - 1) : split_once(registry, ':').first;
}

bool in_network(std::string_view address, std::string_view network) {
  auto [base, bits] = split_once(network, '/');
  auto length = parse_number<unsigned>(bits.value_or(""));
  in_addr a, b;
  if (!length || *length > 32 || ::inet_pton(AF_INET, std::string(address).c_str(), &a) != 1 ||
      ::inet_pton(AF_INET, std::string(base).c_str(), &b) != 1)
    return false;
  uint32_t mask = *length == 0 ? 0 : ~uint32_t{0} << (32 - *length);
  return (ntohl(a.s_addr) & mask) == (ntohl(b.s_addr) & mask);
}

/// Worth another try: the connection broke, not that there is nobody, or somebody whom we do not trust or who does not speak TLS.
bool passing(const Error& error) {
  if (error.code == Code::timeout) return true;
  if (error.code != Code::unavailable || error.sys == ECONNREFUSED || error.sys == ENETUNREACH || error.sys == EHOSTUNREACH) return false;
  for (std::string_view lasting : {"look up host", "certificate is not accepted", "wrong version number"})
    if (error.message.contains(lasting)) return false;
  return true;
}

}  // namespace

Duration wait_before_retry(std::string_view retry_after, WallTime now, Duration otherwise) {
  const std::string text(trim(retry_after));
  if (auto seconds = parse_number<int64_t>(text)) return *seconds >= 0 ? Duration(std::chrono::seconds(*seconds)) : otherwise;
  std::tm time{};
  const char* end = ::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &time);
  if (!end || *end) return otherwise;
  return std::max(Duration(0), Duration(WallTime(std::chrono::seconds(::timegm(&time))) - now));
}

bool is_loopback(std::string_view registry) {
  std::string_view host = host_of(registry);
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

bool is_insecure(std::string_view registry, const std::vector<std::string>& list) {
  std::string_view host = host_of(registry);
  return std::any_of(list.begin(), list.end(), [&](std::string_view item) {
    for (std::string_view scheme : {"http://", "https://"})
      if (item.starts_with(scheme)) item.remove_prefix(scheme.size());
    return item == registry || item == host || in_network(host, item);
  });
}

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

RegistryClient::RegistryClient(const Reference& reference, const RegistryOptions& options, std::string endpoint, bool push)
    : reference_(reference), options_(options), push_(push), http_({}) {
  // Docker Hub's name is not where its registry is.
  std::string host = reference.registry == "docker.io" ? "registry-1.docker.io" : reference.registry;
  if (endpoint.empty()) {
    scheme_known_ = !is_loopback(host) && !is_insecure(host, options.insecure);
    endpoint = (is_loopback(host) ? "http://" : "https://") + host;
  }
  while (endpoint.ends_with('/')) endpoint.pop_back();
  base_ = endpoint + "/v2/" + reference.repository + "/";
  io::HttpClientOptions http{.tls = options.tls, .connect_timeout = 15s};
  if (!http.tls && (endpoint.starts_with("https") || !scheme_known_)) {
    // HTTP/1.1, since several connections carry more than the streams of one; and what is sent is made on the way.
    auto tls = io::make_tls_client({.insecure = !scheme_known_, .alpn = {"http/1.1"}});
    if (tls) http.tls = *tls;
    else usable_ = std::unexpected(tls.error());
  }
  http_ = io::HttpClient(std::move(http));
}

std::string RegistryClient::absolute(std::string_view path) const {
  return path.find("://") != path.npos ? std::string(path) : base_ + std::string(path);
}

Task<RegistryClient::Spoken> RegistryClient::speaks(std::string scheme) {
  const std::string url = scheme + base_.substr(base_.find("://"), base_.find("/v2/") + 4 - base_.find("://"));
  auto answer = co_await with_timeout(longest_probe, http_.fetch({.url = url}, 1 << 20));
  if (!answer) co_return Spoken::no;
  if (!*answer) co_return answer->error().sys == ECONNREFUSED ? Spoken::nobody : Spoken::no;
  // What servers that expect TLS answer to plain text.
  co_return scheme == "http" && (*answer)->status == 400 ? Spoken::no : Spoken::yes;
}

/// An insecure registry speaks HTTPS with any certificate, or plain HTTP: the one that is more likely is tried first, HTTPS for names that
/// were configured, as dockerd does, and HTTP on loopback addresses, where servers may wait for the end of a line that TLS never sends.
Task<Result<void>> RegistryClient::choose_scheme() {
  if (scheme_known_) co_return {};
  const bool https = base_.starts_with("https");
  const std::string first = https ? "https" : "http", second = https ? "http" : "https";
  const Spoken spoken = co_await speaks(first);
  const bool other = spoken == Spoken::no && (https || co_await speaks(second) == Spoken::yes);
  if (scheme_known_) co_return {};  // another request was quicker
  scheme_known_ = true;
  if (other) base_ = second + base_.substr(base_.find("://"));
  co_return {};
}

Task<Result<RegistryClient::Answer>> RegistryClient::ask_once(const Ask* request) {
  const std::string url = absolute(request->path);
  // What storage and other hosts are asked for goes without our credentials.
  const bool ours = CO_TRY(io::Url::parse(url)).authority() == CO_TRY(io::Url::parse(base_)).authority();
  for (size_t attempt = 0; attempt < 3 + options_.logins.size(); ++attempt) {
    const std::string used = ours ? authorization_ : "";
    io::ClientRequest http{.method = request->method, .url = url, .headers = request->headers, .body = io::Body(request->body)};
    if (request->stream) {
      http.stream = request->stream;
      http.timeout = 120s + std::chrono::seconds(request->stream->length / 100'000);
    }
    if (!used.empty()) http.headers.add("Authorization", used);
    Answer answer = CO_TRY(co_await http_.send(std::move(http)));
    if (answer->status != 401 || !ours) {
      if (!used.empty() && used == authorization_ && answer->status < 400) accepted_ = true;
      if (!request->follow) co_return answer;
      co_return co_await follow(std::move(answer), url, request->headers);
    }
    std::string challenge(answer->headers.get("WWW-Authenticate"));
    if (challenge.empty()) co_return answer;
    if (used == authorization_ && !CO_TRY(co_await authenticate(challenge))) co_return answer;
    if (request->stream) co_return fail(Code::unauthorized, "the registry asks who we are in the middle of an upload");
  }
  co_return fail(Code::unauthorized, "the registry accepts none of the credentials for " + reference_.name());
}

Task<Result<RegistryClient::Answer>> RegistryClient::ask(Ask request) {
  CO_TRY(usable_);
  CO_TRY(co_await choose_scheme());
  Duration delay = options_.retry_delay;
  for (int attempt = 1;; ++attempt, delay *= 2) {
    auto answer = co_await ask_once(&request);
    const bool last = attempt >= options_.attempts || !request.again;
    if (!answer) {
      if (last || !passing(answer.error())) co_return answer;
      co_await sleep_for(delay);
      continue;
    }
    const int status = (*answer)->status;
    if (last || (status != 429 && (status < 500 || status == 501))) co_return answer;
    Duration wait = wait_before_retry((*answer)->headers.get("Retry-After"), Executor::current()->wall_now(), delay);
    if (wait > Duration(longest_wait)) co_return answer;
    answer->reset();
    co_await sleep_for(wait);
  }
}

/// Redirects lead to storage that must not see our credentials.
Task<Result<RegistryClient::Answer>> RegistryClient::follow(Answer answer, std::string url, io::Headers headers) {
  for (int hops = 0;
       answer->status == 301 || answer->status == 302 || answer->status == 303 || answer->status == 307 || answer->status == 308; ++hops) {
    if (hops == 5) co_return fail(Code::unavailable, "the registry redirects too often");
    auto from = CO_TRY(io::Url::parse(url));
    auto to = CO_TRY(from.resolve(answer->headers.get("Location")));
    if (from.scheme == "https" && to.scheme != "https")
      co_return fail(Code::unavailable, "the registry redirects from HTTPS to " + to.scheme);
    url = to.text();
    answer = CO_TRY(co_await http_.send({.url = url, .headers = headers}));
  }
  co_return answer;
}

Task<Result<bool>> RegistryClient::authenticate(std::string challenge) {
  // Several requests may be refused at a time: one of them asks for all.
  if (authenticating_) {
    co_await authenticated_.wait();
    co_return true;
  }
  struct Turn {
    RegistryClient& self;
    explicit Turn(RegistryClient& s) : self(s) {
      self.authenticating_ = true;
      self.authenticated_.reset();
    }
    ~Turn() {
      self.authenticating_ = false;
      self.authenticated_.set();
    }
  } turn(*this);
  // What was accepted once has expired, or was for less than is asked now: the same login again.
  if (std::exchange(accepted_, false)) --next_login_;
  auto parameters = parse_challenge(challenge);
  // First with each login, last as nobody, which Bearer registries allow for public images.
  for (;;) {
    if (next_login_ > options_.logins.size()) co_return false;
    const bool anonymous = next_login_ == options_.logins.size();
    RegistryLogin login = anonymous ? RegistryLogin{} : options_.logins[next_login_];
    ++next_login_;
    if (!login.registry_token.empty()) {
      authorization_ = "Bearer " + login.registry_token;
      co_return true;
    }
    if (parameters[""] == "basic") {
      if (anonymous) co_return false;
      authorization_ = "Basic " + base64_encode(login.username + ":" + login.password);
      co_return true;
    }
    if (parameters[""] != "bearer")
      co_return fail(Code::unsupported, "the registry asks for authentication by " + quoted(parameters[""]) + ", which is not supported");
    auto token = co_await fetch_token(challenge, login);
    if (!token && token.error().code == Code::unauthorized && !anonymous) continue;
    authorization_ = "Bearer " + CO_TRY(std::move(token));
    co_return true;
  }
}

Task<Result<std::string>> RegistryClient::fetch_token(std::string challenge, RegistryLogin login) {
  auto parameters = parse_challenge(challenge);
  io::Query query;
  if (!parameters["service"].empty()) query.add("service", parameters["service"]);
  query.add("scope",
            parameters["scope"].empty() ? "repository:" + reference_.repository + (push_ ? ":pull,push" : ":pull") : parameters["scope"]);
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

}  // namespace estiba::image
