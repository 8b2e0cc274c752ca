// links: io
// Any bytes as what a peer sends over a WebSocket, or as the body of a chunked HTTP/1.1 request: reading ends, within the limits.
#include <cstdlib>

#include "io/http1.h"
#include "io/websocket.h"

using namespace estiba;

static Task<void> feed(io::Stream& to, std::string_view bytes) {
  (void)co_await to.write(bytes);
  (void)co_await to.shutdown_write();
  char sink[4096];
  while ((co_await to.read(sink, sizeof sink)).value_or(0) > 0) {
  }
}

static Task<void> read_messages(io::StreamPtr stream) {
  io::WebSocket socket(std::move(stream), {.max_message = 4096});
  while (true) {
    auto message = co_await socket.read();
    if (!message || !*message) break;
    if ((*message)->data.size() > 4096) abort();
    if ((*message)->data.size() < 64) (void)co_await socket.write((*message)->data, (*message)->text);
  }
  socket.abort();
}

static Task<void> read_chunks(io::StreamPtr stream, size_t sent) {
  io::ReadBuffer buffer;
  io::BodyReader body(io::BodyReader::Kind::chunked, 0);
  size_t total = 0;
  while (!body.done()) {
    auto piece = co_await body.next(buffer, *stream);
    if (!piece) break;
    total += piece->size();
  }
  if (total > sent) abort();
  stream->close();
}

static Task<void> run(std::string_view bytes, bool frames) {
  auto [near, far] = io::stream_pair();
  Job feeding(feed(*far, bytes));
  if (frames)
    co_await read_messages(std::move(near));
  else
    co_await read_chunks(std::move(near), bytes.size());
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static auto* loop = new io::Loop;
  if (size == 0) return 0;
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  loop->block_on(run(bytes, data[0] & 1));
  return 0;
}
