// The server's side of an HTTP/2 connection. Internal to io/.
#pragma once
#include "io/http2.h"
#include "io/http_connection.h"

namespace estiba::io {

class Http2ServerConnection final : public ServerConnection, Http2Connection {
 public:
  Http2ServerConnection(ServerContext& context, StreamPtr stream);
  Task<void> run();
  void drain() override;

 private:
  struct ServerStream;
  std::unique_ptr<Http2Stream> make_stream() override;
  bool pseudo_header(Http2Stream& stream, std::string_view name, std::string_view value) override;
  void on_head(Http2Stream& stream) override;
  void after_receive() override;
  bool may_forget(Http2Stream& stream) override;
  void on_streams_changed() override;
  void begin(ServerStream& stream);
  static Task<void> serve(ServerStream* stream);
  static void submit(ServerStream& stream, int status, const Headers& headers, std::optional<size_t> length, bool body);

  ServerContext& context_;
  std::shared_ptr<const Peer> peer_;
  Watchdog watchdog_;
  std::vector<int32_t> ready_;  // heads that came in this read
  bool draining_ = false;
  size_t opening_ = 0;        // streams whose head has begun and not ended
  bool limits_head_ = false;  // the watchdog waits for the end of a head
};

}  // namespace estiba::io
