#include "io/reverse_proxy.h"

#include "base/strings.h"
#include "io/html_links.h"
#include "io/http1.h"
#include "io/http_answer.h"

namespace estiba::io {
namespace {

// Fields that speak of one connection, not of the message (RFC 9110, 7.6.1).
constexpr std::string_view hop_by_hop[] = {
    "connection", "keep-alive",        "proxy-connection", "proxy-authenticate", "proxy-authorization", "te",
    "trailer",    "transfer-encoding", "upgrade"};
constexpr std::string_view cors[] = {"access-control-allow-credentials", "access-control-allow-headers",  "access-control-allow-methods",
                                     "access-control-allow-origin",      "access-control-expose-headers", "access-control-max-age"};

bool is_among(std::string_view name, std::span<const std::string_view> names) {
  return std::ranges::any_of(names, [&](std::string_view one) { return one.size() == name.size() && equals_ignore_case(one, name); });
}

bool removed(const ReverseProxyOptions& options, std::string_view name) {
  return std::ranges::any_of(options.remove, [&](std::string_view pattern) {
    if (!pattern.ends_with('*')) return equals_ignore_case(pattern, name);
    pattern.remove_suffix(1);
    return name.size() >= pattern.size() && equals_ignore_case(pattern, name.substr(0, pattern.size()));
  });
}

// "10.0.0.1:4711" and "[::1]:4711" without their ports.
std::string_view address_of(std::string_view peer) {
  const size_t colon = peer.rfind(':');
  if (colon == peer.npos) return peer;
  peer = peer.substr(0, colon);
  if (peer.starts_with('[') && peer.ends_with(']')) peer = peer.substr(1, peer.size() - 2);
  return peer;
}

Headers forwarded(const Request& request, const ReverseProxyOptions& options, bool upgrade) {
  constexpr std::string_view own[] = {"host", "content-length"}, upgrading[] = {"connection", "upgrade"};
  Headers out = roomy_headers();
  const bool names_fields = !upgrade && request.headers.has("Connection");
  for (const Header& header : request.headers) {
    if (is_among(header.name, own) || removed(options, header.name)) continue;
    if (is_among(header.name, hop_by_hop) && !(upgrade && is_among(header.name, upgrading))) continue;
    // What the client names as its connection's business ends here, too.
    if (names_fields && request.headers.has_token("Connection", header.name)) continue;
    // Links can only be rewritten in what is not compressed.
    if (!options.prefix.empty() && equals_ignore_case(header.name, "accept-encoding")) continue;
    out.add(header.name, header.value);
  }
  if (!options.backend_host && !request.host.empty()) out.set("Host", request.host);
  const std::string_view client = address_of(request.peer().address);
  if (!client.empty() && client != "unix") {
    std::string_view before = request.headers.get("X-Forwarded-For");
    out.set("X-Forwarded-For", before.empty() ? std::string(client) : std::string(before) + ", " + std::string(client));
  }
  if (!options.prefix.empty()) out.set("X-Forwarded-Uri", request.raw_path);
  // The one thing that HTTP/2 lets TE say (RFC 9113, 8.2.2); gRPC's servers look for it.
  if (options.http2 && request.headers.has_token("TE", "trailers")) out.add("te", "trailers");
  for (const Header& header : options.set) out.remove(header.name);
  for (const Header& header : options.set) out.add(header.name, header.value);
  return out;
}

class PassedBody final : public BodyStream {
 public:
  PassedBody(Request& request, uint64_t size, std::string first, bool* begun) : request_(request), first_(std::move(first)), begun_(begun) {
    length = size;
  }
  Task<Result<std::string>> next(std::string sent) override {
    if (begun_) *begun_ = true;
    if (!first_.empty()) co_return std::exchange(first_, {});
    co_return co_await request_.read_body(std::move(sent));
  }

 private:
  Request& request_;
  std::string first_;
  bool* begun_;
};

Task<Result<void>> pass_upgrade(Request& request, Response& response, HttpClient& client, ReverseProxyOptions options) {
  ClientRequest ask{
      .method = request.method, .url = options.url, .headers = forwarded(request, options, true), .timeout = options.head_timeout};
  UpgradeResult backend = CO_TRY(co_await client.upgrade(std::move(ask)));
  Headers answer;
  for (const Header& header : backend.headers) {
    if (equals_ignore_case(header.name, "content-length") || (!backend.stream && is_among(header.name, hop_by_hop))) continue;
    answer.add(header.name, header.value);
  }
  if (!backend.stream) {
    if (backend.status < 400) co_return fail(Code::internal, "invalid upgrade response: status code " + std::to_string(backend.status));
    if (options.answer) options.answer(backend.status, answer);
    response.send(backend.status, std::move(answer), std::move(backend.refusal));
    co_return {};
  }
  auto front = co_await response.upgrade(backend.status, std::move(answer));
  if (!front) {
    response.send(400, {{"Content-Type", "text/plain"}}, front.error().message + "\n");
    co_return {};
  }
  co_await copy_both_ways(**front, *backend.stream);
  co_return {};
}

struct Shown {
  Headers headers;
  bool html = false;
};

bool is_location(std::string_view name) { return equals_ignore_case(name, "location"); }

// The answer's own fields may be taken for it.
Shown shown(ClientResponse& answer, const Request& request, const ReverseProxyOptions& options, const std::string& backend) {
  Shown out;
  out.html = !options.prefix.empty() && !answer.headers.has("Location") && !answer.headers.has("Content-Encoding") &&
             equals_ignore_case(trim(split_once(answer.headers.get("Content-Type"), ';').first), "text/html");
  const auto concerned = [&](const Header& header) {
    return is_among(header.name, hop_by_hop) || (!options.prefix.empty() && (is_among(header.name, cors) || is_location(header.name))) ||
           (out.html && equals_ignore_case(header.name, "content-length"));
  };
  // Mostly all of them are for the client. Connection, which names others, is one of those that are not.
  if (std::ranges::none_of(answer.headers, concerned)) {
    out.headers = std::move(answer.headers);
    return out;
  }
  for (const Header& header : answer.headers) {
    if (answer.headers.has_token("Connection", header.name)) continue;
    if (!concerned(header)) out.headers.add(header.name, header.value);
    else if (!options.prefix.empty() && is_location(header.name))
      out.headers.add(header.name, rewrite_link(header.value, options.prefix, backend, request.host));
  }
  return out;
}

Task<void> pass_body(ClientResponse& answer, Response& response, HtmlLinks* links) {
  for (std::string space;;) {
    auto piece = co_await answer.read(std::move(space));
    if (!piece) co_return response.break_off();
    const bool end = piece->empty();
    if (links) *piece = end ? links->finish() : links->feed(*piece);
    if (!piece->empty()) {
      if (auto written = co_await response.write(std::move(*piece)); !written) co_return;
    }
    if (end) break;
    space = {};
  }
  for (const Header& trailer : http_answer(answer).trailers()) response.trailer(trailer.name, trailer.value);
}

// What is asked of the backend, without a body that is still to be read.
ClientRequest asked(Request& request, ReverseProxyOptions& options) {
  ClientRequest out{
      .method = request.method, .url = options.url, .headers = forwarded(request, options, false), .timeout = options.head_timeout};
  if (options.body) out.body = std::move(*options.body);
  return out;
}

// The body as it comes.
Task<Result<void>> add_body(Request& request, const ReverseProxyOptions& options, std::shared_ptr<BodyStream>& stream) {
  std::string first;
  if (!request.content_length && !options.http2) first = CO_TRY(co_await request.read_body());
  if (options.body_begun) *options.body_begun = !first.empty();
  if (request.content_length || !first.empty() || options.http2)
    stream =
        std::make_shared<PassedBody>(request, request.content_length.value_or(BodyStream::unknown), std::move(first), options.body_begun);
  co_return {};
}

Task<Result<void>> pass_answer(ClientResponse& answer, Request& request, Response& response, const ReverseProxyOptions& options) {
  std::string backend;  // its authority, for links
  if (!options.prefix.empty()) backend = CO_TRY(Url::parse(options.url)).authority();
  Shown head = shown(answer, request, options, backend);
  if (options.answer) options.answer(answer.status, head.headers);
  if (!head.html && request.method != "HEAD" && http_answer(answer).at_hand()) {
    std::string body = CO_TRY(co_await answer.read());
    response.send(answer.status, std::move(head.headers), std::move(body));
    co_return {};
  }
  if (auto started = co_await response.start(answer.status, std::move(head.headers)); !started) co_return {};
  HtmlLinks links([&](std::string_view reference) { return rewrite_link(reference, options.prefix, backend, request.host); });
  co_await pass_body(answer, response, head.html ? &links : nullptr);
  co_return {};
}

}  // namespace

Headers forwarded_headers(const Request& request, const ReverseProxyOptions& options) { return forwarded(request, options, false); }

std::string rewrite_link(std::string_view reference, std::string_view prefix, std::string_view backend, std::string_view asked) {
  std::string_view rest = reference, host;
  if (const size_t scheme = rest.find("://"); scheme != rest.npos && rest.find_first_of("/?#") == scheme + 1)
    rest.remove_prefix(scheme + 1);
  if (rest.starts_with("//")) {
    rest.remove_prefix(2);
    const size_t end = std::min(rest.find_first_of("/?#"), rest.size());
    host = rest.substr(0, end);
    rest.remove_prefix(end);
  }
  if (!host.empty() && host != backend && host != asked) return std::string(reference);
  if (!rest.starts_with('/')) return std::string(reference);
  std::string out;
  if (!host.empty() && host == asked) out = reference.substr(0, reference.size() - rest.size());
  if (!rest.starts_with(prefix)) out += prefix;
  return out + std::string(rest);
}

Task<Result<void>> reverse_proxy(Request& request, Response& response, HttpClient& client, ReverseProxyOptions options) {
  if (request.wants_upgrade()) co_return co_await pass_upgrade(request, response, client, std::move(options));
  ClientRequest ask = asked(request, options);
  if (!options.body && request.content_length.value_or(1) > 0) CO_TRY(co_await add_body(request, options, ask.stream));
  auto answer = CO_TRY(co_await client.send(std::move(ask)));
  if (options.refused && options.refused(answer->status)) {
    if (http_answer(*answer).at_hand()) (void)co_await answer->read();  // so that the connection is kept
    co_return fail(Code::unavailable, "the backend answered " + std::to_string(answer->status));
  }
  if (options.refuse_redirects && answer->status / 100 == 3 && answer->headers.has("Location")) {
    response.send(502, {{"Content-Type", "text/plain; charset=utf-8"}},
                  "the backend attempted to redirect this request, which is not permitted");
    co_return {};
  }
  // A short answer goes out as one piece.
  if (options.prefix.empty() && request.method != "HEAD" && http_answer(*answer).at_hand()) {
    Shown head = shown(*answer, request, options, {});
    if (options.answer) options.answer(answer->status, head.headers);
    std::string body = CO_TRY(co_await answer->read());
    response.send(answer->status, std::move(head.headers), std::move(body));
    co_return {};
  }
  co_return co_await pass_answer(*answer, request, response, options);
}

}  // namespace estiba::io
