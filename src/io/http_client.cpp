#include "io/http_client.h"

#include <map>

#include "base/strings.h"
#include "base/watchdog.h"
#include "io/http1.h"
#include "io/http2_client.h"
#include "io/started.h"

namespace estiba::io {

using namespace std::chrono_literals;

namespace {

// One HTTP/1.1 connection of a client. While it is kept, a job watches for the server closing it.
struct Connection {
  StreamPtr stream;
  ReadBuffer in;
  bool reused = false;
  bool spoiled = false;  // a body was given up in the middle: not to be kept
  Instant kept_since;
  bool dead = false;
  bool late = false;  // the answer's head did not come in time
  Watchdog watchdog{[this] {
    late = true;
    stream->close();
  }};
  Started watch;  // only while kept

  static Task<void> watch_for_end(Connection* self) {
    co_await self->stream->readable();
    self->dead = true;  // nothing may come unasked, so whatever came ends it
    self->stream->close();
  }
};

struct Origin {
  std::vector<std::unique_ptr<Connection>> idle;  // the one used last at the end
  std::shared_ptr<Http2ClientConnection> http2;
  bool only_http1 = false;  // so it said when asked last
  int connecting = 0;
  Event changed;
};

// A connection, of either kind.
struct Acquired {
  std::unique_ptr<Connection> http1;
  std::shared_ptr<Http2ClientConnection> http2;
};

}  // namespace

struct HttpClient::State : std::enable_shared_from_this<HttpClient::State> {
  HttpClientOptions options;
  std::map<std::string, std::unique_ptr<Origin>> origins;
  std::string origin_name;  // of origin(), which keeps its memory
  Executor* executor = nullptr;
  Executor::Timer expiry;

  ~State() {
    if (expiry.id) executor->cancel(expiry);
  }

  Origin& origin(const Url& url) {
    if (options.unix_path.empty()) origin_name.assign(url.scheme).append("|").append(url.host).append("|").append(std::to_string(url.port));
    else origin_name = options.unix_path;
    auto& slot = origins[origin_name];
    if (!slot) slot = std::make_unique<Origin>();
    return *slot;
  }
  Result<TlsContextRef> tls() {
    if (!options.tls) options.tls = TRY(make_tls_client({.alpn = {"h2", "http/1.1"}}));
    return options.tls;
  }

  void keep(Origin& origin, std::unique_ptr<Connection> connection);
  void drop_expired();
  Headers added_headers(const ClientRequest& request) const;
  Headers outgoing_headers(const ClientRequest& request) const;
  std::string outgoing_head(const ClientRequest& request, const Url& url) const;

  static Task<Result<StreamPtr>> connect(State* self, Url url, bool http1, bool* http2);
  static std::optional<Acquired> kept(Origin& origin);
  static Task<Result<Acquired>> acquire(State* self, Origin* origin, const Url* url, bool fresh);
  static Task<Result<std::unique_ptr<ClientResponse>>> send(std::shared_ptr<State> self, ClientRequest request);
  static Task<Result<FetchResult>> fetch(std::shared_ptr<State> self, ClientRequest request, size_t max_body);
  static Task<Result<UpgradeResult>> upgrade(std::shared_ptr<State> self, ClientRequest request);
  static Task<Result<void>> send_stream(Connection* connection, BodyStream* body);
  static Task<Result<Headers>> exchange_heads(State* self, Connection* connection, const ClientRequest* request, const Url* url,
                                              StatusLine* status);
};

namespace {

// An answer by HTTP/1.1. At its end the connection is kept.
template <class Keep>
class Http1Answer final : public HttpAnswer {
 public:
  Http1Answer(std::unique_ptr<Connection> connection, BodyReader body, Keep keep)
      : connection_(std::move(connection)), body_(body), keep_(std::move(keep)) {
    settle();
  }

  Task<Result<std::string>> read(std::string space) override {
    if (!connection_) co_return std::string();
    auto piece = co_await body_.next(connection_->in, *connection_->stream, std::move(space));
    settle();
    co_return piece;
  }
  bool at_hand() const override {
    return connection_ && body_.kind() == BodyReader::Kind::length && connection_->in.bytes().size() >= body_.length().value_or(SIZE_MAX);
  }
  const Headers& trailers() const override {
    static const Headers none;
    return none;
  }

 private:
  void settle() {
    if (body_.done() && connection_) keep_(std::move(connection_));
  }
  std::unique_ptr<Connection> connection_;
  BodyReader body_;
  Keep keep_;
};

bool may_repeat(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "PUT" || method == "DELETE";
}

std::string describe(const ClientRequest& request) { return request.method + " " + request.url; }

std::unexpected<Error> timed_out(const ClientRequest& request) {
  auto seconds = std::chrono::duration_cast<std::chrono::milliseconds>(request.timeout).count();
  return fail(Code::timeout, describe(request) + ": no answer within " + std::to_string(seconds) + " ms");
}

// nullopt: the deadline came first, and the task was dropped.
template <class T>
Task<std::optional<T>> before(Instant deadline, Task<T> task) {
  if (deadline == Instant::max()) co_return co_await std::move(task);
  co_return co_await with_timeout(deadline - Executor::current()->now(), std::move(task));
}

}  // namespace

// --- connections -----------------------------------------------------------------------------------------------------------

Task<Result<StreamPtr>> HttpClient::State::connect(State* self, Url url, bool http1, bool* http2) {
  struct Run {
    static Task<Result<StreamPtr>> go(State* self, Url url, bool http1, bool* http2) {
      if (!self->options.unix_path.empty()) {
        *http2 = self->options.http2_prior_knowledge;
        co_return co_await connect_unix(self->options.unix_path);
      }
      if (url.scheme != "https" && url.scheme != "wss") {
        *http2 = self->options.http2_prior_knowledge;
        co_return co_await connect_tcp(url.host, url.port);
      }
      auto stream = CO_TRY(co_await connect_tls(CO_TRY(self->tls()), url.host, url.port, http1 ? "http/1.1" : ""));
      *http2 = stream->alpn() == "h2";
      co_return std::move(stream);
    }
  };
  Duration limit = self->options.connect_timeout;
  auto stream = co_await with_timeout(limit, Run::go(self, url, http1, http2));
  if (stream) co_return std::move(*stream);
  auto late = fail(Code::timeout,
                   "no connection within " + std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(limit).count()) + " ms");
  late.error().sys = EHOSTDOWN;  // tells it from a connection that was made
  co_return late;
}

// One that is there already.
std::optional<Acquired> HttpClient::State::kept(Origin& origin) {
  if (origin.http2 && origin.http2->usable()) return Acquired{.http2 = origin.http2};
  origin.http2.reset();
  while (!origin.idle.empty()) {
    auto connection = std::move(origin.idle.back());
    origin.idle.pop_back();
    connection->watch.cancel();
    if (connection->dead) continue;
    connection->reused = true;
    return Acquired{.http1 = std::move(connection)};
  }
  return std::nullopt;
}

Task<Result<Acquired>> HttpClient::State::acquire(State* self, Origin* of, const Url* to, bool fresh) {
  Origin& origin = *of;
  const Url& url = *to;
  bool may_be_http2 = (url.scheme == "https" && self->options.unix_path.empty()) || self->options.http2_prior_knowledge;
  while (!fresh) {
    if (auto found = kept(origin)) co_return std::move(*found);
    // Where HTTP/2 may come of it, one connection is made for all who wait.
    if (!origin.connecting || !may_be_http2 || origin.only_http1) break;
    origin.changed.reset();
    co_await origin.changed.wait();
  }
  struct Connecting {
    Origin& origin;
    explicit Connecting(Origin& origin) : origin(origin) { ++origin.connecting; }
    ~Connecting() {
      --origin.connecting;
      origin.changed.set();
    }
  } connecting(origin);
  bool http2 = false;
  StreamPtr stream = CO_TRY(co_await connect(self, url, false, &http2));
  if (!http2) {
    origin.only_http1 = true;
    auto connection = std::make_unique<Connection>();
    connection->stream = std::move(stream);
    co_return Acquired{.http1 = std::move(connection)};
  }
  origin.http2 = std::make_shared<Http2ClientConnection>(std::move(stream), self->options.idle_timeout);
  origin.http2->start();
  co_return Acquired{.http2 = origin.http2};
}

void HttpClient::State::keep(Origin& origin, std::unique_ptr<Connection> connection) {
  if (!connection->in.empty()) return;  // bytes that nobody asked for
  connection->in.release();
  if (origin.idle.size() >= options.max_idle_connections) std::erase_if(origin.idle, [](const auto& kept) { return kept->dead; });
  if (origin.idle.size() >= options.max_idle_connections) return;
  executor = Executor::current();
  connection->kept_since = executor->now();
  connection->watch = Started(Connection::watch_for_end(connection.get()));
  origin.idle.push_back(std::move(connection));
  if (!expiry.id) expiry = executor->after(options.idle_timeout, [this] { drop_expired(); });
}

void HttpClient::State::drop_expired() {
  expiry = {};
  Instant now = executor->now();
  std::optional<Instant> next;
  for (auto& [_, origin] : origins) {
    std::erase_if(origin->idle, [&](const auto& kept) { return kept->dead || kept->kept_since + options.idle_timeout <= now; });
    for (auto& kept : origin->idle) next = std::min(next.value_or(kept->kept_since), kept->kept_since);
  }
  if (next) expiry = executor->at(*next + options.idle_timeout, [this] { drop_expired(); });
}

// --- requests ----------------------------------------------------------------------------------------------------------------

// What is sent beside the request's own fields, in the place of those of the same name.
Headers HttpClient::State::added_headers(const ClientRequest& request) const {
  Headers added;
  if (!options.user_agent.empty() && !request.headers.has("User-Agent")) added.add("User-Agent", options.user_agent);
  if (!options.bearer_token.empty() && !request.headers.has("Authorization")) added.add("Authorization", "Bearer " + options.bearer_token);
  if (request.stream) {
    if (request.stream->length == BodyStream::unknown) added.add("Transfer-Encoding", "chunked");
    else added.add("Content-Length", std::to_string(request.stream->length));
    return added;
  }
  bool has_body = request.body.size() > 0 || request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
  if (has_body) added.add("Content-Length", std::to_string(request.body.size()));
  return added;
}

Headers HttpClient::State::outgoing_headers(const ClientRequest& request) const {
  Headers headers = request.headers;
  for (const Header& header : added_headers(request)) headers.set(header.name, header.value);
  return headers;
}

std::string HttpClient::State::outgoing_head(const ClientRequest& request, const Url& url) const {
  std::string head;
  head.reserve(512);
  head.append(request.method).append(1, ' ').append(url.target).append(std::string_view(" HTTP/1.1\r\n"));
  if (!request.headers.has("Host")) append_header(head, "Host", options.unix_path.empty() ? url.authority() : url.host);
  const Headers added = added_headers(request);
  for (const Header& header : request.headers)
    if (!added.has(header.name)) append_header(head, header.name, header.value);
  for (const Header& header : added) append_header(head, header.name, header.value);
  head += std::string_view("\r\n");
  return head;
}

namespace {

Task<Result<void>> send_chunks(Connection* connection, BodyStream* body) {
  for (std::string piece;;) {
    auto next = co_await body->next(std::move(piece));
    if (!next) {
      // Whoever reads must not take what has come for the whole.
      connection->stream->close();
      co_return std::unexpected(std::move(next.error()));
    }
    piece = std::move(*next);
    if (piece.empty()) co_return co_await connection->stream->write("0\r\n\r\n");
    char size[24];
    const int length = snprintf(size, sizeof size, "%zx\r\n", piece.size());
    std::string_view parts[] = {{size, size_t(length)}, piece, "\r\n"};
    CO_TRY(co_await connection->stream->write_parts(parts));
  }
}

Task<Result<void>> send_pieces(Connection* connection, BodyStream* body) {
  if (body->length == BodyStream::unknown) co_return co_await send_chunks(connection, body);
  std::string piece;
  for (uint64_t left = body->length; left > 0;) {
    piece = CO_TRY(co_await body->next(std::move(piece)));
    if (piece.empty() || piece.size() > left) {
      connection->stream->close();
      co_return fail(Code::internal, "the body has another length than was said");
    }
    left -= piece.size();
    CO_TRY(co_await connection->stream->write(piece));
  }
  co_return {};
}

Task<void> send_body(Connection* connection, BodyStream* body, std::optional<Result<void>>* out, Event* done) {
  out->emplace(co_await send_pieces(connection, body));
  done->set();
}

Task<void> hear_answer(Connection* connection, Event* done) {
  (void)co_await connection->in.fill(*connection->stream);
  done->set();
}

}  // namespace

static Task<Result<void>> write_request(Stream& stream, std::string_view head, const Body& body) {
  if (body.size() == 0) return stream.write(head);
  struct Run {
    static Task<Result<void>> go(Stream* stream, std::string_view head, const Body* body) {
      std::vector<std::string_view> parts{head};
      for (const Chunk& chunk : body->chunks()) parts.push_back(chunk.bytes());
      co_return co_await stream->write_parts(parts);
    }
  };
  return Run::go(&stream, head, &body);
}

// A server that refuses answers in the middle and may read no more.
Task<Result<void>> HttpClient::State::send_stream(Connection* connection, BodyStream* body) {
  Event done;
  std::optional<Result<void>> sent;
  Job listening(hear_answer(connection, &done)), sending(send_body(connection, body, &sent, &done));
  co_await done.wait();
  connection->spoiled = !sent || !*sent;
  if (sent) co_return std::move(*sent);
  co_return {};
}

// Sends a request on an HTTP/1.1 connection and reads the answer's head.
Task<Result<Headers>> HttpClient::State::exchange_heads(State* self, Connection* connection, const ClientRequest* request, const Url* url,
                                                        StatusLine* status) {
  const std::string head = self->outgoing_head(*request, *url);
  auto sent = co_await write_request(*connection->stream, head, request->body);
  if (sent && request->stream) sent = co_await send_stream(connection, request->stream.get());
  // A server that refuses a long body answers before it has read it: so a failed write may have an answer.
  if (connection->in.empty()) co_await connection->stream->readable();
  size_t searched = 0;
  for (;;) {
    std::string_view bytes = connection->in.bytes();
    size_t end = find_head_end(bytes, searched);
    if (end == bytes.npos) {
      searched = bytes.size();
      if (bytes.size() > self->options.max_header_bytes) co_return fail(Code::too_large, "the answer's header is too large");
      auto got = co_await connection->in.fill(*connection->stream);
      if (!sent && (!got || *got == 0)) co_return std::unexpected(sent.error());
      if (!got) co_return std::unexpected(got.error());
      if (*got == 0)
        co_return fail(Code::unavailable,
                       searched ? "the connection ended within the answer's header" : "the server closed the connection without an answer");
      continue;
    }
    std::string_view text = bytes.substr(0, end);
    size_t line_end = text.find("\r\n");
    *status = CO_TRY(parse_status_line(text.substr(0, line_end)));
    Headers headers = CO_TRY(parse_header_lines(text.substr(line_end + 2), {self->options.max_header_bytes, 500}));
    connection->in.consume(end);
    searched = 0;
    if (status->status / 100 != 1 || status->status == 101) co_return headers;
  }
}

Task<Result<std::unique_ptr<ClientResponse>>> HttpClient::State::send(std::shared_ptr<State> self, ClientRequest request) {
  const Url url = CO_TRY_AS(request.method, Url::parse(request.url));
  const Instant deadline = request.timeout == Duration(0) ? Instant::max() : Executor::current()->now() + request.timeout;
  Origin& origin = self->origin(url);
  for (bool fresh = false;; fresh = true) {
    auto acquired = fresh ? std::nullopt : kept(origin);
    if (!acquired) {
      auto made = co_await before(deadline, acquire(self.get(), &origin, &url, fresh));
      if (!made) co_return timed_out(request);
      acquired = CO_TRY_AS(describe(request), std::move(*made));
    }
    if (acquired->http2) {
      auto in_time = co_await before(
          deadline, acquired->http2->send(request.method, url, self->outgoing_headers(request), request.body, request.stream));
      if (!in_time) co_return timed_out(request);
      auto& answer = *in_time;
      if (!answer && !fresh && !request.stream && may_repeat(request.method) && answer.error().code == Code::unavailable) continue;
      co_return within(describe(request), std::move(answer));
    }
    auto& connection = acquired->http1;
    StatusLine status;
    // A deadline that moves on with each request costs no timer.
    if (deadline != Instant::max()) connection->watchdog.until(deadline);
    auto headers = co_await exchange_heads(self.get(), connection.get(), &request, &url, &status);
    connection->watchdog.off();
    if (connection->late) co_return timed_out(request);
    // A kept connection may have been closed by the server in the same moment.
    if (!headers && connection->reused && !fresh && !request.stream && may_repeat(request.method)) continue;
    if (!headers) co_return std::unexpected(std::move(headers.error()).context(describe(request)));
    BodyReader body = CO_TRY_AS(describe(request), BodyReader::of_response(*headers, request.method, status.status));
    // A length beside it counts for nothing, and must not be passed on by a proxy (RFC 9112, 6.3).
    if (body.kind() == BodyReader::Kind::chunked) headers->remove("Content-Length");
    bool keep = status.version == 11 && !headers->has_token("Connection", "close") && body.kind() != BodyReader::Kind::until_close;
    auto keeper = [weak = std::weak_ptr<State>(self), &origin, keep](std::unique_ptr<Connection> connection) {
      auto state = weak.lock();  // origins live as long as it does
      if (keep && state && !connection->spoiled) state->keep(origin, std::move(connection));
    };
    auto answer = std::make_unique<Http1Answer<decltype(keeper)>>(std::move(connection), body, std::move(keeper));
    answer->status = status.status;
    answer->headers = std::move(*headers);
    give_back(std::move(request.headers));
    co_return std::unique_ptr<ClientResponse>(std::move(answer));
  }
}

Task<Result<FetchResult>> HttpClient::State::fetch(std::shared_ptr<State> self, ClientRequest request, size_t max_body) {
  std::string what = describe(request);
  request.timeout = {};  // the whole of it is limited already
  auto answer = CO_TRY(co_await send(std::move(self), std::move(request)));
  FetchResult result{.status = answer->status, .headers = std::move(answer->headers)};
  result.body = CO_TRY_AS(what, co_await answer->text(max_body));
  co_return result;
}

Task<Result<UpgradeResult>> HttpClient::State::upgrade(std::shared_ptr<State> self, ClientRequest request) {
  std::string what = describe(request);
  Url url = CO_TRY_AS(request.method, Url::parse(request.url));
  Connection connection;
  bool http2 = false;
  connection.stream = CO_TRY_AS(what, co_await connect(self.get(), url, true, &http2));
  StatusLine status;
  UpgradeResult result;
  result.headers = CO_TRY_AS(what, co_await exchange_heads(self.get(), &connection, &request, &url, &status));
  result.status = status.status;
  // Docker's older daemons answer 200 to a hijack.
  bool raw = status.status == 200 && result.headers.get("Content-Type").starts_with("application/vnd.docker.");
  if (status.status == 101 || raw) {
    result.stream = with_prefix(connection.in.take(), std::move(connection.stream));
    co_return result;
  }
  BodyReader body = CO_TRY_AS(what, BodyReader::of_response(result.headers, request.method, status.status));
  while (result.refusal.size() < 64 * 1024) {
    std::string piece = CO_TRY_AS(what, co_await body.next(connection.in, *connection.stream));
    if (piece.empty()) break;
    result.refusal += piece;
  }
  co_return result;
}

// --- the public face -----------------------------------------------------------------------------------------------------------

Task<Result<std::string>> ClientResponse::text(size_t limit) {
  std::string all;
  for (;;) {
    std::string piece = CO_TRY(co_await read());
    if (piece.empty()) co_return all;
    if (all.size() + piece.size() > limit)
      co_return fail(Code::too_large, "the answer is larger than the limit of " + std::to_string(limit) + " bytes");
    all += piece;
  }
}

HttpClient::HttpClient(HttpClientOptions options) : state_(std::make_shared<State>()) { state_->options = std::move(options); }
HttpClient::~HttpClient() = default;
HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient& HttpClient::operator=(HttpClient&&) noexcept = default;
void HttpClient::set_bearer_token(std::string token) { state_->options.bearer_token = std::move(token); }

template <class T>
static Task<Result<T>> limited(ClientRequest request, Task<Result<T>> task) {
  if (request.timeout == Duration(0)) co_return co_await std::move(task);
  auto result = co_await with_timeout(request.timeout, std::move(task));
  if (!result) co_return timed_out(request);
  co_return std::move(*result);
}

// What a timeout's message needs of a request, without its body.
static ClientRequest outline(const ClientRequest& request) {
  return {.method = request.method, .url = request.url, .timeout = request.timeout};
}

Task<Result<std::unique_ptr<ClientResponse>>> HttpClient::send(ClientRequest request) { return State::send(state_, std::move(request)); }
Task<Result<FetchResult>> HttpClient::fetch(ClientRequest request, size_t max_body) {
  ClientRequest about = outline(request);
  return limited(std::move(about), State::fetch(state_, std::move(request), max_body));
}
Task<Result<UpgradeResult>> HttpClient::upgrade(ClientRequest request) {
  ClientRequest about = outline(request);
  return limited(std::move(about), State::upgrade(state_, std::move(request)));
}

}  // namespace estiba::io
