#include "ingress/forward.h"

#include "base/log.h"
#include "base/strings.h"
#include "ingress/balance.h"
#include "ingress/targets.h"
#include "io/reverse_proxy.h"
#include "io/tls_peer.h"

namespace estiba::ingress {

namespace {

// A body that is to be mirrored, or sent again, is held in memory; a longer one goes to one backend alone.
constexpr size_t most_held = 1024 * 1024;

void refuse(io::Response& response, int status) {
  response.send(status, {{"Content-Type", "text/plain; charset=utf-8"}},
                std::to_string(status) + " " + std::string(io::status_text(status)) + "\n");
}

void refuse_for(io::Response& response, Duration wait) {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(wait).count();
  response.send(429, {{"Content-Type", "text/plain; charset=utf-8"}, {"Retry-After", std::to_string(seconds)}}, "429 Too Many Requests\n");
}

// HTTP/2 may send a cookie in pieces; HTTP/1.1 knows one field (RFC 9113, 8.2.3).
void join_cookies(io::Headers& headers) {
  std::string all;
  size_t count = 0;
  for (const io::Header& header : headers)
    if (equals_ignore_case(header.name, "cookie")) {
      if (count++ > 0) all += "; ";
      all += header.value;
    }
  if (count > 1) headers.set("cookie", all);
}

// Who the client is and what it asked, for the backend.
void describe_client(io::Request& request, uint16_t port) {
  const std::string host = request.host;
  request.headers.set("X-Forwarded-Proto", request.tls() ? "https" : "http");
  request.headers.set("X-Forwarded-Host", host);
  request.headers.set("X-Forwarded-Port", std::to_string(port));
}

void change_headers(io::Headers& headers, const HeaderChanges& changes, std::string* host) {
  changes.apply(headers);
  for (const io::Header& header : changes.set)
    if (host && equals_ignore_case(header.name, "host")) *host = header.value;
}

bool is_idempotent(std::string_view method) {
  constexpr std::string_view idempotent[] = {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"};  // RFC 9110, 9.2.2
  return std::ranges::contains(idempotent, method);
}

// The connection was not even made; EHOSTDOWN is the HTTP client's word for one that took too long.
bool never_arrived(const Error& error) {
  constexpr int causes[] = {ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EHOSTDOWN};
  return std::ranges::contains(causes, error.sys);
}

Task<void> nothing_more() { co_return; }

// The path and query that a backend is asked for.
std::string target_of(io::Request& request, const Filters& of_route, const Filters& of_backend, std::string_view matched) {
  const Rewrite* rewrite = of_backend.rewrite ? of_backend.rewrite.get() : of_route.rewrite.get();
  std::string target = rewrite ? changed_path(request, rewrite->path, matched) : request.raw_path;
  if (rewrite && !rewrite->host.empty()) request.host = rewrite->host;
  if (!request.raw_query.empty()) target.append("?").append(request.raw_query);
  return target;
}

// For answers that are not passed on, since the request is sent again; nothing of its body must be gone.
std::function<bool(int)> refuse_codes(const Retry& retry, const bool* body_begun, int* refused) {
  return [&retry, body_begun, refused](int status) {
    if (*body_begun || !std::ranges::contains(retry.codes, status)) return false;
    *refused = status;
    return true;
  };
}

void log_unreachable(const io::Request& request, const Error& error) {
  log::info("ingress", "no endpoint could be reached", {{"method", request.method}, {"host", request.host}, {"error", error}});
}

// Code::timeout as well when `limit` passes before all of the answer has come.
Task<Result<void>> pass_within(Duration limit, io::Request& request, io::Response& response, io::HttpClient& client,
                               io::ReverseProxyOptions options) {
  const std::string url = options.url;
  auto passed = co_await with_timeout(limit, io::reverse_proxy(request, response, client, std::move(options)));
  if (!passed) co_return fail(Code::timeout, request.method + " " + url + ": no whole answer in time");
  co_return std::move(*passed);
}

}  // namespace

Forwarder::Forwarder(Duration patience)
    : patience_(patience),
      client_({.user_agent = {}, .max_idle_connections = 64, .connect_timeout = std::chrono::seconds(5)}),
      http2_client_({.user_agent = {}, .http2_prior_knowledge = true, .connect_timeout = std::chrono::seconds(5)}) {}

io::TlsContextRef Forwarder::certificate(uint16_t port, std::string_view server_name) const {
  const auto found = config_->ports.find(port);
  const Certificate* certificate = found == config_->ports.end() ? nullptr : found->second.certificates.of_client(server_name);
  return certificate ? certificate->context : nullptr;
}

// Known before anything is sent, and outside of any coroutine, whose frame would be an allocation for each request.
std::optional<Forwarder::Plan> Forwarder::plan(uint16_t number, io::Request& request, io::Response& response) {
  Plan out{.config = config_};  // a change meanwhile is for the next request
  const auto refused = [&](int status) {
    refuse(response, status);
    return std::nullopt;
  };
  const auto found = out.config->ports.find(number);
  if (found == out.config->ports.end()) return refused(404);
  const Port& port = found->second;
  const std::string host = host_name_of(request.host);
  const Direction direction = port.direct(io::server_name_of(request.peer()), host);
  if (direction.status) return refused(direction.status);
  out.route =
      port.find(host, {.method = request.method, .path = normal_path(request.path), .headers = request.headers, .query = request.query},
                direction.certificate);
  if (!out.route) return refused(404);
  const Action& action = *out.route->action;
  if (action.limit)
    if (const Duration wait = action.limit->admit(request.peer().address, Executor::current()->now()); wait > Duration(0)) {
      refuse_for(response, wait);
      return std::nullopt;
    }
  if (action.filters.redirect) {
    const Redirect& redirect = *action.filters.redirect;
    io::Headers headers{{"Location", redirect_location(request, redirect, out.route->match.path, number, port.tls)}};
    action.filters.response.apply(headers);
    response.send(redirect.status, std::move(headers));
    return std::nullopt;
  }
  out.backend = draw_backend(action.backends);
  if (!out.backend || out.backend->invalid) return refused(500);
  if (out.backend->endpoints.empty()) return refused(503);
  join_cookies(request.headers);
  describe_client(request, number);
  for (const Filters* filters : {&action.filters, &out.backend->filters}) change_headers(request.headers, filters->request, &request.host);
  request.headers.remove("expect");  // is answered here
  out.target = target_of(request, action.filters, out.backend->filters, out.route->match.path);
  return out;
}

Task<void> Forwarder::serve(uint16_t number, io::Request& request, io::Response& response) {
  auto made = plan(number, request, response);
  return made ? attempt_all(std::move(*made), request, response) : nothing_more();
}

io::ReverseProxyOptions Forwarder::options_for(const Plan& plan, const Endpoint& endpoint, bool upgrade) const {
  const Action& action = *plan.route->action;
  io::ReverseProxyOptions options{.http2 = endpoint.http2 && !upgrade};
  options.url.reserve(7 + endpoint.address.size() + plan.target.size());
  options.url.append(std::string_view("http://")).append(endpoint.address).append(plan.target);
  if (!plan.backend->filters.response.empty() || !action.filters.response.empty())
    options.answer = [&action, backend = plan.backend](int, io::Headers& headers) {
      backend->filters.response.apply(headers);
      action.filters.response.apply(headers);
    };
  options.head_timeout = action.backend_timeout > Duration(0) || action.request_timeout > Duration(0) ? Duration(0) : patience_;
  return options;
}

// Reads a body that is short enough to be sent more than once; false: it cannot be read.
static Task<bool> hold_body(io::Request* request, std::optional<std::string>* whole_body) {
  if (request->content_length.value_or(most_held + 1) > most_held) co_return true;
  auto body = co_await request->body(most_held);
  if (body) *whole_body = std::move(*body);
  co_return body.has_value();
}

// How long an attempt may take: the backend's limit, or what is left of the whole request's. Zero: for ever; below: nothing is left.
static Duration attempt_limit(const Action& action, Instant began, Instant now) {
  if (action.request_timeout == Duration(0)) return action.backend_timeout;
  const Duration left = began + action.request_timeout - now;
  if (left <= Duration(0)) return Duration(-1);
  return action.backend_timeout > Duration(0) ? std::min(action.backend_timeout, left) : left;
}

// Notes how an endpoint has done. Without an answer it is blamed only where the client had no part in it.
static void note_outcome(Endpoint& endpoint, const EjectionRule& rule, int status, bool clients_fault) {
  const Instant now = Executor::current()->now();
  if (status >= 500 || (status == 0 && !clients_fault)) endpoint.health.failed(rule, now);
  else if (status > 0) endpoint.health.succeeded(now);
}

Task<void> Forwarder::attempt_all(Plan plan, io::Request& request, io::Response& response) {
  const Action& action = *plan.route->action;
  const Retry& retry = action.retry;
  std::optional<std::string> whole_body;
  const bool mirrored = !action.filters.mirrors.empty() || !plan.backend->filters.mirrors.empty();
  if ((mirrored || retry.attempts > 0) && !co_await hold_body(&request, &whole_body)) co_return refuse(response, 400);
  if (mirrored && whole_body)
    for (const Filters* filters : {&action.filters, &plan.backend->filters}) start_mirrors(*filters, *plan.route, request, *whole_body);
  const bool upgrade = request.wants_upgrade();
  const Instant began = Executor::current()->now();
  const size_t most = retry.attempts > 0 ? 1 + retry.attempts : std::min(most_attempts, plan.backend->endpoints.size());
  bool timed_out = false;
  std::vector<EndpointPtr> tried;
  for (size_t attempt = 1; attempt <= most; ++attempt) {
    const Instant now = attempt == 1 ? began : Executor::current()->now();
    const Duration limit = attempt_limit(action, began, now);
    if (limit < Duration(0)) co_return refuse(response, 504);
    if (tried.size() == plan.backend->endpoints.size()) tried.clear();
    Active active(least_busy(plan.backend->endpoints, tried, now));
    bool body_begun = false;
    int refused = 0;
    io::ReverseProxyOptions options = options_for(plan, *active.endpoint, upgrade);
    options.body = whole_body;
    options.body_begun = &body_begun;
    if (attempt < most && retry.attempts > 0) options.refused = refuse_codes(retry, &body_begun, &refused);
    io::HttpClient& client = options.http2 ? http2_client_ : client_;
    auto passing = limit == Duration(0) || upgrade ? io::reverse_proxy(request, response, client, std::move(options))
                                                   : pass_within(limit, request, response, client, std::move(options));
    const Result<void> passed = co_await std::move(passing);
    note_outcome(*active.endpoint, plan.backend->ejection, passed ? response.status() : refused, body_begun);
    if (passed) co_return;
    const bool absent = never_arrived(passed.error());
    if (absent) active.endpoint->health.unreachable(Executor::current()->now());
    timed_out = passed.error().code == Code::timeout && !absent;
    tried.push_back(active.endpoint);
    if (attempt == most && !timed_out) log_unreachable(request, passed.error());
    if (body_begun || response.begun()) break;
    if (retry.attempts == 0 && (timed_out || !(is_idempotent(request.method) || absent))) break;
    if (attempt < most && retry.backoff > Duration(0)) co_await sleep_for(retry.backoff);
  }
  if (response.started()) co_return response.break_off();
  refuse(response, timed_out ? 504 : 502);
}

void Forwarder::start_mirrors(const Filters& filters, const Route& route, const io::Request& request, const std::string& body) {
  for (const Mirror& mirror : filters.mirrors) {
    if (mirror.denominator == 0 || random_below(mirror.denominator) >= mirror.numerator) continue;
    EndpointPtr endpoint = least_busy(mirror.backend->endpoints, {}, Executor::current()->now());
    if (!endpoint) continue;
    std::string target = filters.rewrite ? changed_path(request, filters.rewrite->path, route.match.path) : request.raw_path;
    if (!request.raw_query.empty()) target += "?" + request.raw_query;
    io::ClientRequest copy{.method = request.method,
                           .url = "http://" + endpoint->address + target,
                           .headers = io::forwarded_headers(request, {}),
                           .body = body};
    mirrors_.start(this->mirror(this, std::move(copy), std::move(endpoint)));
  }
}

Task<void> Forwarder::mirror(Forwarder* self, io::ClientRequest request, EndpointPtr endpoint) {
  Active active(std::move(endpoint));
  io::HttpClient& client = active.endpoint->http2 ? self->http2_client_ : self->client_;
  (void)co_await client.fetch(std::move(request));
}

}  // namespace estiba::ingress
