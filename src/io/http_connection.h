// What the two kinds of server connections share. Internal to io/.
#pragma once
#include <memory>
#include <string>

#include "base/watchdog.h"
#include "io/http1.h"
#include "io/http_server.h"
#include "io/started.h"

namespace estiba::io {

struct ServerContext {
  HttpServerOptions options;
  Handler handler;
  HttpServerStats stats;
};

/// A connection that is being served on this loop.
class ServerConnection {
 public:
  virtual ~ServerConnection() = default;
  /// Ends after the requests under way, or now if there are none.
  virtual void drain() = 0;
};

/// "Sat, 21 Nov 2026 02:26:38 GMT", made once a second.
const std::string& date_now();
/// A handler that has answered nothing answers 500.
void answer_if_none(const Request& request, Response& response);

class Http1Connection final : public ServerConnection, Exchange {
 public:
  Http1Connection(ServerContext& context, StreamPtr stream);
  /// Serves until the connection ends. True: the client speaks HTTP/2, and take_stream() has all it sent.
  Task<bool> run();
  StreamPtr take_stream();
  void drain() override;

 private:
  Task<Result<std::string>> read_body(std::string space) override;
  Task<Result<void>> start(int status, const Headers& headers, std::optional<size_t> length) override;
  Task<Result<void>> write(Chunk chunk) override;
  Task<Result<StreamPtr>> upgrade(int status, Headers headers) override;

  Task<Result<size_t>> read_head();
  Result<void> parse_head(std::string_view head, Request& request);
  Task<bool> serve(Request& request);
  Task<bool> wait_for_handler(Started& handling);
  Task<Result<void>> finish(Response& response);
  void settle_connection();
  Task<bool> discard_body();
  Task<void> refuse(int status, std::string reason);
  Task<void> linger();
  std::string head_text(int status, const Headers& headers, const Headers* always, std::optional<size_t> length);

  ServerContext& context_;
  StreamPtr stream_;
  std::shared_ptr<const Peer> peer_;
  ReadBuffer in_;
  Watchdog watchdog_;
  // Of the request under way:
  BodyReader body_;
  Response* response_ = nullptr;
  bool head_only_ = false, close_after_ = false, chunked_ = false, expects_continue_ = false, upgraded_ = false;
  bool body_broken_ = false;  // what comes after it is no request
  int version_ = 11;
  uint64_t unsent_ = 0;  // of a streamed answer whose length was announced
  bool handler_done_ = false;
  Event wake_;
  bool draining_ = false, idle_ = false;
};

}  // namespace estiba::io
