// The client's side of an HTTP/2 connection. Internal to io/.
#pragma once
#include "io/http2.h"
#include "io/http_answer.h"

namespace estiba::io {

/// An answer whose fields behind the body are kept too (gRPC's status is there).
using Http2Answer = HttpAnswer;

class Http2ClientConnection final : public Http2Connection, public std::enable_shared_from_this<Http2ClientConnection> {
 public:
  Http2ClientConnection(StreamPtr stream, Duration idle_timeout);
  /// Starts to run, by itself until the connection ends.
  void start();
  /// Whether a new request may be sent.
  bool usable();
  /// `headers` has all that goes out, a Host among them is what `:authority` says; returns at the answer's head. With `source` the body
  /// comes from there, as long as the answer lives.
  Task<Result<std::unique_ptr<Http2Answer>>> send(std::string method, Url url, Headers headers, Body body,
                                                  std::shared_ptr<BodyStream> source = nullptr);

 private:
  struct ClientStream;
  class Answer;
  std::unique_ptr<Http2Stream> make_stream() override;
  bool pseudo_header(Http2Stream& stream, std::string_view name, std::string_view value) override;
  void on_head(Http2Stream& stream) override;
  void after_receive() override {}
  bool may_forget(Http2Stream& stream) override;
  void on_streams_changed() override;
  static Task<void> run(Http2ClientConnection* self);

  Duration idle_timeout_;
  Watchdog watchdog_;
  bool ended_ = false;
  Job job_;
};

}  // namespace estiba::io
