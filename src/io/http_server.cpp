#include "io/http_server.h"

#include <unistd.h>

#include <set>

#include "base/log.h"
#include "base/strings.h"
#include "io/http2_server.h"
#include "io/http_connection.h"

namespace estiba::io {

// --- Request and Response --------------------------------------------------------------------------------------------------

Request::Request() {
  static const auto nobody = std::make_shared<const Peer>();
  peer_ = nobody;
}

Request::Request(std::string method, std::string target, std::string body) : Request() {
  this->method = std::move(method);
  content_length = body.size();
  body_ = std::move(body);
  if (!set_target(target)) raw_path = path = std::move(target);
}

Result<void> Request::set_target(std::string text) {
  target = std::move(text);
  auto [before, after] = split_once(target, '?');
  raw_path = before;
  raw_query = after.value_or("");
  path = TRY_AS("request path", percent_decode(raw_path));
  query = TRY_AS("request query", Query::parse(raw_query));
  return {};
}

Task<Result<std::string>> Request::read_body(std::string space) {
  if (exchange_) return exchange_->read_body(std::move(space));
  return [](Request* self) -> Task<Result<std::string>> { co_return std::exchange(self->body_, {}); }(this);
}

Task<Result<std::string>> Request::body(size_t limit) {
  if (limit == 0) limit = body_limit_;
  auto too_large = [&] {
    return fail(Code::too_large, "the request's body is larger than the limit of " + std::to_string(limit) + " bytes");
  };
  if (content_length && *content_length > limit) co_return too_large();
  std::string all;
  for (;;) {
    std::string piece = CO_TRY(co_await read_body());
    if (piece.empty()) co_return all;
    if (all.size() + piece.size() > limit) co_return too_large();
    if (all.empty()) {
      all = std::move(piece);
      if (content_length && *content_length > all.size()) all.reserve(*content_length);
    } else {
      all += piece;
    }
  }
}

void Response::send(int status, Headers headers, Body body) {
  if (started_ || upgraded_) return;
  sent_ = true;
  status_ = status;
  headers_ = std::move(headers);
  body_ = std::move(body);
}

Task<Result<void>> Response::start(int status, Headers headers) {
  if (started_ || upgraded_) co_return fail(Code::internal, "the answer has begun already");
  started_ = true;
  sent_ = false;
  status_ = status;
  headers_ = std::move(headers);
  if (!exchange_) co_return {};
  co_return co_await exchange_->start(status, headers_, std::nullopt);
}

Task<Result<void>> Response::write(Chunk chunk) {
  if (!started_) co_return fail(Code::internal, "write() before start()");
  if (exchange_) co_return co_await exchange_->write(std::move(chunk));
  body_.add(std::move(chunk));
  co_return {};
}

Task<Result<StreamPtr>> Response::upgrade(int status, Headers headers) {
  if (begun()) co_return fail(Code::internal, "the answer has begun already");
  if (!exchange_) co_return fail(Code::unsupported, "there is no connection to upgrade");
  auto stream = co_await exchange_->upgrade(status, std::move(headers));
  if (stream) {
    upgraded_ = true;
    status_ = status;
  }
  co_return stream;
}

// --- what connections share --------------------------------------------------------------------------------------------------

const std::string& date_now() {
  static thread_local std::string text;
  static thread_local int64_t second = -1;
  WallTime now = Executor::current()->wall_now();
  int64_t current = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  if (current != second) {
    second = current;
    text = format_http_date(now);
  }
  return text;
}

void answer_if_none(const Request& request, Response& response) {
  if (response.begun()) return;
  log::error("http", "a handler gave no answer", {{"method", request.method}, {"path", request.path}});
  response.send(500, {{"Content-Type", "text/plain"}}, "the request was not answered\n");
}

// --- HttpServer ----------------------------------------------------------------------------------------------------------------

// What one loop serves. Everything in it happens on that loop.
struct HttpServer::PerLoop {
  Loop* loop = nullptr;
  std::shared_ptr<Shared> shared;
  std::set<ServerConnection*> connections;
  bool draining = false;
  TaskGroup serving;    // one task a connection
  TaskGroup accepting;  // one task a listener

  static Task<void> serve(PerLoop* self, int fd, TlsContextRef tls);
  static Task<void> accept(PerLoop* self, Listener listener, TlsContextRef tls);

  void close() {
    accepting.cancel();
    serving.cancel();
    shared.reset();
  }
  // Closes a part on its loop: when the message runs there, or when that loop ends without running it.
  struct Closer {
    std::shared_ptr<PerLoop> part;
    explicit Closer(std::shared_ptr<PerLoop> part) : part(std::move(part)) {}
    Closer(Closer&&) noexcept = default;
    ~Closer() {
      if (part) part->close();
    }
    void operator()() {}
  };
};

struct HttpServer::Shared : ServerContext {
  std::vector<Loop*> loops;
  std::vector<std::shared_ptr<PerLoop>> parts;  // by loop
  std::atomic<size_t> next{0};
  std::atomic<uint16_t> port{0};
  std::atomic<bool> closed{false};
};

// Keeps a connection known, so that drain() finds it.
struct Registration {
  std::set<ServerConnection*>& set;
  ServerConnection* connection;
  Registration(std::set<ServerConnection*>& set, ServerConnection* connection, bool draining) : set(set), connection(connection) {
    set.insert(connection);
    if (draining) connection->drain();
  }
  ~Registration() { set.erase(connection); }
};

struct OpenCount {
  HttpServerStats& stats;
  explicit OpenCount(HttpServerStats& stats) : stats(stats) {}
  ~OpenCount() { stats.connections_open.fetch_sub(1); }
};

Task<void> HttpServer::PerLoop::serve(PerLoop* self, int fd, TlsContextRef tls) {
  OpenCount open(self->shared->stats);  // counted by the acceptor
  ServerContext& context = *self->shared;
  StreamPtr stream;
  bool http2 = false;
  if (tls) {
    auto secured = co_await with_timeout(context.options.handshake_timeout, tls_accept(std::move(tls), fd));
    if (!secured || !*secured) {
      context.stats.protocol_errors.fetch_add(1, std::memory_order_relaxed);
      if (secured) log::debug("http", "connection refused", {{"error", secured->error()}});
      co_return;
    }
    http2 = (**secured)->alpn() == "h2";
    stream = std::move(**secured);
  } else {
    stream = stream_from_fd(fd);
  }
  if (!http2) {
    Http1Connection connection(context, std::move(stream));
    Registration registration(self->connections, &connection, self->draining);
    http2 = co_await connection.run();
    if (http2) stream = connection.take_stream();
  }
  if (http2) {
    Http2ServerConnection connection(context, std::move(stream));
    Registration registration(self->connections, &connection, self->draining);
    co_await connection.run();
  }
}

Task<void> serve_http2(StreamPtr stream, HttpServerOptions options, Handler handler) {
  ServerContext context;
  context.options = std::move(options);
  context.handler = std::move(handler);
  Http2ServerConnection connection(context, std::move(stream));
  co_await connection.run();
}

Task<void> HttpServer::PerLoop::accept(PerLoop* self, Listener listener, TlsContextRef tls) {
  for (;;) {
    auto fd = co_await listener.accept();
    if (!fd) {
      log::error("http", "listening ended", {{"error", fd.error()}});
      co_return;
    }
    Shared& shared = *self->shared;
    shared.stats.connections_accepted.fetch_add(1, std::memory_order_relaxed);
    if (shared.stats.connections_open.load() >= shared.options.max_connections) {
      shared.stats.refused.fetch_add(1, std::memory_order_relaxed);
      ::close(*fd);
      continue;
    }
    shared.stats.connections_open.fetch_add(1);
    auto part = shared.parts[shared.next.fetch_add(1) % shared.parts.size()];
    if (part.get() == self) {
      self->serving.start(serve(self, *fd, tls));
      continue;
    }
    part->loop->post([part, fd = *fd, tls] {
      if (part->shared && !part->shared->closed) {
        part->serving.start(serve(part.get(), fd, tls));
      } else {
        ::close(fd);
      }
    });
  }
}

HttpServer::HttpServer(std::vector<Loop*> loops, HttpServerOptions options, Handler handler) : shared_(std::make_shared<Shared>()) {
  shared_->options = std::move(options);
  shared_->handler = std::move(handler);
  shared_->loops = std::move(loops);
  for (Loop* loop : shared_->loops) {
    auto part = std::make_shared<PerLoop>();
    part->loop = loop;
    part->shared = shared_;
    shared_->parts.push_back(std::move(part));
  }
}

HttpServer::~HttpServer() {
  shared_->closed = true;
  for (auto& part : shared_->parts) {
    if (part->loop == Loop::current()) {
      part->close();
    } else {
      part->loop->post(PerLoop::Closer(part));
    }
  }
}

Result<void> HttpServer::listen(Listener listener, TlsContextRef tls) {
  if (shared_->port == 0) shared_->port = listener.port();
  auto part = shared_->parts[shared_->next.fetch_add(1) % shared_->parts.size()];
  // The work is copied nowhere, so it may own the listener.
  part->loop->post([part, listener = std::move(listener), tls = std::move(tls)]() mutable {
    if (part->shared && !part->shared->closed) part->accepting.start(PerLoop::accept(part.get(), std::move(listener), std::move(tls)));
  });
  return {};
}

Result<void> HttpServer::listen_tcp(const std::string& host, uint16_t port, TlsContextRef tls) {
  return listen(TRY(Listener::tcp(host, port)), std::move(tls));
}
Result<void> HttpServer::listen_unix(const std::string& path, unsigned mode) { return listen(TRY(Listener::unix(path, mode)), nullptr); }
uint16_t HttpServer::port() const { return shared_->port; }
const HttpServerStats& HttpServer::stats() const { return shared_->stats; }

Task<void> HttpServer::drain(Duration limit) {
  for (auto& part : shared_->parts) {
    OneShot<bool> done;
    part->loop->post([part, limit, sender = done.sender()]() mutable {
      struct Run {
        static Task<void> go(std::shared_ptr<PerLoop> part, Duration limit, OneShot<bool>::Sender sender) {
          part->draining = true;
          part->accepting.cancel();
          auto connections = part->connections;
          for (ServerConnection* connection : connections) connection->drain();
          co_await with_timeout(limit, [](PerLoop* part) -> Task<bool> {
            co_await part->serving.join();
            co_return true;
          }(part.get()));
          part->serving.cancel();
          sender.send(true);
        }
      };
      spawn(Run::go(part, limit, std::move(sender)));
    });
    co_await done;
  }
}

}  // namespace estiba::io
