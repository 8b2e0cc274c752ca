// An HTTP/2 connection (RFC 9113) on libnghttp2, the part that server and client share: reading, writing, streams with
// bounded queues and flow control. Internal to io/.
//
// Invariants:
//  1. nghttp2 sends only from the writer, never inside a callback; everyone else submits and calls wake_writer().
//  2. A stream is destroyed only by sweep(), which runs between nghttp2's calls and never inside a handler.
#pragma once
#include <nghttp2/nghttp2.h>

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/task.h"
#include "io/http.h"
#include "io/http_connection.h"
#include "io/stream.h"

namespace estiba::io {

class Http2Connection;

class Http2Stream {
 public:
  virtual ~Http2Stream() = default;
  int32_t id = 0;
  Http2Connection* connection = nullptr;

  // What comes.
  Headers headers;  // without pseudo headers
  size_t header_bytes = 0;
  bool too_many_headers = false;
  bool head_complete = false;
  bool keep_trailers = false;  // else the other side's are dropped
  Headers received_trailers;
  std::string in;
  bool in_ended = false;
  Event in_ready;  // set on bytes, end and close

  // What goes.
  std::vector<Chunk> out;
  size_t out_at = 0;      // chunks before this one are sent
  size_t out_offset = 0;  // into out[out_at]
  size_t out_bytes = 0;
  bool out_ended = false;
  bool out_broken = false;  // what was sent is not the whole: it ends with a reset
  bool deferred = false;
  Headers trailers;
  Event out_room;

  bool closed = false;  // nghttp2 has forgotten it
  uint32_t error = 0;
  /// Why there is nothing more, once it is closed.
  std::unexpected<Error> failure() const;

  /// Queues bytes to send, and lets nghttp2 know.
  void push(Chunk chunk);
  void end();
  /// Waits until less than `limit` bytes are queued; an error when the stream is closed.
  Task<Result<void>> wait_room(size_t limit);
  /// The next bytes that came; empty at the end.
  Task<Result<std::string>> read_piece();
  /// For nghttp2_submit_*: takes the bytes from `out`.
  nghttp2_data_provider provider();
};

struct Http2Settings {
  bool server = true;
  uint32_t max_streams = 250;
  size_t max_header_bytes = 64 * 1024;
  size_t max_headers = 200;
  uint32_t stream_window = 256 * 1024;
  int32_t connection_window = 1024 * 1024;
};

class Http2Connection {
 public:
  Http2Connection(StreamPtr stream, Http2Settings settings);
  virtual ~Http2Connection();
  Http2Connection(const Http2Connection&) = delete;

  void wake_writer() { write_wanted_.set(); }
  nghttp2_session* session() { return session_; }
  void reset(Http2Stream& stream, uint32_t code);
  /// Why the connection ended ("the peer's certificate was refused"); empty when the other side closed it.
  const std::string& end_reason() const { return end_reason_; }

 protected:
  /// Runs the connection until it ends. Both directions stop with it.
  Task<void> run_connection();
  void close_stream() { stream_->close(); }
  /// After the end: every stream that is left learns of it.
  void close_all();
  Stream& stream() { return *stream_; }
  size_t stream_count() const { return streams_.size(); }
  template <class F>
  void each_stream(F f) {
    for (auto& [_, stream] : streams_) f(*stream);
  }
  void adopt(int32_t id, std::unique_ptr<Http2Stream> stream);

  virtual std::unique_ptr<Http2Stream> make_stream() = 0;  ///< for a request that comes (server)
  virtual bool pseudo_header(Http2Stream& stream, std::string_view name, std::string_view value) = 0;
  virtual void on_head(Http2Stream& stream) = 0;  ///< inside nghttp2: only note it
  virtual void after_receive() = 0;               ///< outside of nghttp2
  /// Whether a closed stream may go now; called between nghttp2's calls.
  virtual bool may_forget(Http2Stream& stream) = 0;
  virtual void on_streams_changed() {}
  void sweep();

 private:
  friend class Http2Stream;
  struct Callbacks;
  Task<void> read_loop(Event* done);
  Task<void> write_loop(Event* done);

  StreamPtr stream_;
  Http2Settings settings_;
  nghttp2_session* session_ = nullptr;
  std::unordered_map<int32_t, std::unique_ptr<Http2Stream>> streams_;
  std::vector<int32_t> closed_;  // closed, not yet swept
  Event write_wanted_;
  std::string end_reason_;
};

/// What an nghttp2 error code means for the other side of the stream.
std::unexpected<Error> http2_failure(uint32_t code);
/// Name-value pairs for nghttp2 from headers; names are lowered into `names`, fields that HTTP/2 forbids are left out.
void add_http2_headers(std::vector<nghttp2_nv>& pairs, std::vector<std::string>& names, const Headers& headers);
nghttp2_nv http2_pair(std::string_view name, std::string_view value);

}  // namespace estiba::io
