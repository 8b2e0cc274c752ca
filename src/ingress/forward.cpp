#include "ingress/forward.h"

#include <random>

#include "base/log.h"
#include "base/strings.h"
#include "ingress/targets.h"
#include "io/reverse_proxy.h"
#include "io/tls_peer.h"

namespace estiba::ingress {

namespace {

constexpr size_t most_attempts = 3;
// So long an endpoint is not asked again to which no connection could be made, if there are others.
constexpr Duration avoidance = std::chrono::seconds(10);
// A body that is to be mirrored is held in memory; a longer one goes to the backend alone.
constexpr size_t most_mirrored = 1024 * 1024;

uint64_t random_below(uint64_t limit) {
  static thread_local std::minstd_rand generator{std::random_device{}()};
  return std::uniform_int_distribution<uint64_t>(0, limit - 1)(generator);
}

// Counts a request under way, for as long as it lives.
struct Active {
  EndpointPtr endpoint;
  explicit Active(EndpointPtr of) : endpoint(std::move(of)) { endpoint->active.fetch_add(1, std::memory_order_relaxed); }
  Active(const Active&) = delete;
  ~Active() { endpoint->active.fetch_sub(1, std::memory_order_relaxed); }
};

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

struct TimedResult {
  bool in_time = true;
  Result<void> passed;
};

Task<TimedResult> pass_timed(Duration limit, io::Request& request, io::Response& response, io::HttpClient& client,
                             io::ReverseProxyOptions options) {
  auto passed = co_await with_timeout(limit, io::reverse_proxy(request, response, client, std::move(options)));
  if (!passed) co_return TimedResult{.in_time = false};
  co_return TimedResult{.passed = std::move(*passed)};
}

}  // namespace

EndpointPtr least_busy(const std::vector<EndpointPtr>& endpoints, const std::vector<EndpointPtr>& tried, Instant now) {
  if (endpoints.empty()) return nullptr;
  if (endpoints.size() == 1 && tried.empty()) return endpoints.front();
  const EndpointPtr* best = nullptr;
  std::pair<bool, int> fewest;  // avoided, requests
  // From a place drawn at random, so that those who are equal take turns.
  const size_t start = random_below(endpoints.size());
  for (size_t i = 0; i < endpoints.size(); ++i) {
    const EndpointPtr& one = endpoints[(start + i) % endpoints.size()];
    const std::pair rank(one->avoided(now), one->active.load(std::memory_order_relaxed));
    if (std::ranges::contains(tried, one) || (best && rank >= fewest)) continue;
    best = &one;
    fewest = rank;
    if (rank == std::pair(false, 0)) break;
  }
  return best ? *best : nullptr;
}

uint64_t sum_of_weights(const std::vector<Backend>& backends) {
  uint64_t sum = 0;
  for (const Backend& backend : backends) sum += backend.weight;
  return sum;
}

const Backend* by_weight(const std::vector<Backend>& backends, uint64_t draw) {
  for (const Backend& backend : backends) {
    if (draw < backend.weight) return &backend;
    draw -= backend.weight;
  }
  return nullptr;
}

Forwarder::Forwarder(Duration patience)
    : patience_(patience),
      client_({.user_agent = {}, .max_idle_connections = 64, .connect_timeout = std::chrono::seconds(5)}),
      http2_client_({.user_agent = {}, .http2_prior_knowledge = true, .connect_timeout = std::chrono::seconds(5)}) {}

io::TlsContextRef Forwarder::certificate(uint16_t port, std::string_view server_name) const {
  const auto found = config_->ports.find(port);
  const Certificate* certificate = found == config_->ports.end() ? nullptr : found->second.certificates.of_client(server_name);
  return certificate ? certificate->context : nullptr;
}

Task<void> Forwarder::serve(uint16_t number, io::Request& request, io::Response& response) {
  const ConfigPtr config = config_;  // a change meanwhile is for the next request
  const auto port = config->ports.find(number);
  if (port == config->ports.end()) co_return refuse(response, 404);
  const std::string host = host_name_of(request.host);
  const Direction direction = port->second.direct(io::server_name_of(request.peer()), host);
  if (direction.status) co_return refuse(response, direction.status);
  const Route* route = port->second.find(
      host, {.method = request.method, .path = normal_path(request.path), .headers = request.headers, .query = request.query},
      direction.certificate);
  if (!route) co_return refuse(response, 404);
  co_await pass(port->second, number, *route, request, response);
}

Task<void> Forwarder::pass(const Port& port, uint16_t number, const Route& route, io::Request& request, io::Response& response) {
  const Action& action = *route.action;
  if (action.limit)
    if (const Duration wait = action.limit->admit(request.peer().address, Executor::current()->now()); wait > Duration(0))
      co_return refuse_for(response, wait);
  if (action.filters.redirect) {
    const Redirect& redirect = *action.filters.redirect;
    io::Headers headers{{"Location", redirect_location(request, redirect, route.match.path, number, port.tls)}};
    action.filters.response.apply(headers);
    response.send(redirect.status, std::move(headers));
    co_return;
  }
  const uint64_t sum = sum_of_weights(action.backends);
  const Backend* backend = sum ? by_weight(action.backends, random_below(sum)) : nullptr;
  if (!backend || backend->invalid) co_return refuse(response, 500);
  join_cookies(request.headers);
  describe_client(request, number);
  for (const Filters* filters : {&action.filters, &backend->filters}) change_headers(request.headers, filters->request, &request.host);
  if (backend->endpoints.empty()) {
    refuse(response, 503);
  } else {
    co_await attempt_all(route, *backend, request, response);
  }
}

Task<void> Forwarder::attempt_all(const Route& route, const Backend& backend, io::Request& request, io::Response& response) {
  const Action& action = *route.action;
  std::string target = request.raw_path;
  const Rewrite* rewrite = backend.filters.rewrite ? backend.filters.rewrite.get() : action.filters.rewrite.get();
  if (rewrite) target = changed_path(request, rewrite->path, route.match.path);
  if (rewrite && !rewrite->host.empty()) request.host = rewrite->host;
  if (!request.raw_query.empty()) target += "?" + request.raw_query;

  std::optional<std::string> whole_body;
  const bool mirrored = !action.filters.mirrors.empty() || !backend.filters.mirrors.empty();
  if (mirrored && request.content_length.value_or(most_mirrored + 1) <= most_mirrored) {
    auto body = co_await request.body(most_mirrored);
    if (!body) co_return refuse(response, 400);
    whole_body = std::move(*body);
    start_mirrors(action.filters, route, request, whole_body);
    start_mirrors(backend.filters, route, request, whole_body);
  }
  const Instant began = Executor::current()->now();
  std::vector<EndpointPtr> tried;
  for (Result<void> last; tried.size() < most_attempts;) {
    EndpointPtr endpoint = least_busy(backend.endpoints, tried, Executor::current()->now());
    if (!endpoint) {
      log::info("ingress", "no endpoint could be reached", {{"method", request.method}, {"host", request.host}, {"error", last.error()}});
      break;
    }
    tried.push_back(endpoint);
    Active active(endpoint);
    bool body_begun = false;
    io::ReverseProxyOptions options{.url = "http://" + endpoint->address + target, .body = whole_body, .body_begun = &body_begun};
    options.remove.emplace_back("expect");
    options.answer = [&](int, io::Headers& headers) {
      backend.filters.response.apply(headers);
      action.filters.response.apply(headers);
    };
    options.head_timeout = action.backend_timeout > Duration(0) || action.request_timeout > Duration(0) ? Duration(0) : patience_;
    Duration limit = action.backend_timeout;
    if (action.request_timeout > Duration(0)) {
      const Duration left = began + action.request_timeout - Executor::current()->now();
      if (left <= Duration(0)) co_return refuse(response, 504);
      limit = limit > Duration(0) ? std::min(limit, left) : left;
    }
    options.http2 = endpoint->http2 && !request.wants_upgrade();
    io::HttpClient& client = options.http2 ? http2_client_ : client_;
    TimedResult result;
    if (limit == Duration(0) || request.wants_upgrade())
      result.passed = co_await io::reverse_proxy(request, response, client, std::move(options));
    else result = co_await pass_timed(limit, request, response, client, std::move(options));
    if (result.in_time && result.passed) co_return;
    const bool absent = result.in_time && never_arrived(result.passed.error());
    if (absent) tried.back()->avoided_until = (Executor::current()->now() + avoidance).time_since_epoch();
    if (!result.in_time || (result.passed.error().code == Code::timeout && !absent)) {
      if (response.started()) co_return response.break_off();
      co_return refuse(response, 504);
    }
    last = std::move(result.passed);
    if (body_begun || response.begun() || !(is_idempotent(request.method) || absent)) break;
  }
  if (response.started()) co_return response.break_off();
  refuse(response, 502);
}

void Forwarder::start_mirrors(const Filters& filters, const Route& route, const io::Request& request,
                              const std::optional<std::string>& body) {
  for (const Mirror& mirror : filters.mirrors) {
    if (mirror.denominator == 0 || random_below(mirror.denominator) >= mirror.numerator) continue;
    EndpointPtr endpoint = least_busy(mirror.backend->endpoints, {}, Executor::current()->now());
    if (!endpoint) continue;
    std::string target = filters.rewrite ? changed_path(request, filters.rewrite->path, route.match.path) : request.raw_path;
    if (!request.raw_query.empty()) target += "?" + request.raw_query;
    io::ClientRequest copy{.method = request.method,
                           .url = "http://" + endpoint->address + target,
                           .headers = io::forwarded_headers(request, {.remove = {"expect"}}),
                           .body = body.value_or("")};
    mirrors_.start(this->mirror(this, std::move(copy), std::move(endpoint)));
  }
}

Task<void> Forwarder::mirror(Forwarder* self, io::ClientRequest request, EndpointPtr endpoint) {
  Active active(std::move(endpoint));
  io::HttpClient& client = active.endpoint->http2 ? self->http2_client_ : self->client_;
  (void)co_await client.fetch(std::move(request));
}

}  // namespace estiba::ingress
