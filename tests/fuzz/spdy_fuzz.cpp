// links: io
// A SPDY session with whatever its peer sends, as exec, attach and port-forward have one. Nothing crashes, and the session ends with
// its connection.
#include <cstdlib>

#include "base/fake_executor.h"
#include "io/spdy.h"
#include "io/spdy_headers.h"

using namespace estiba;

namespace {

using namespace std::chrono_literals;

Task<void> echo(io::SpdyStreamPtr stream) {
  char buffer[4096];
  for (;;) {
    auto got = co_await stream->read(buffer, sizeof buffer);
    if (!got || *got == 0 || !co_await stream->write({buffer, *got})) break;
  }
  co_await stream->shutdown_write();
}

Task<void> serve(io::SpdySession* session, bool* ended) {
  TaskGroup streams;
  while (auto stream = co_await session->accept()) streams.start(echo(std::move(stream)));
  co_await session->ended();
  *ended = true;
}

Task<void> send(io::StreamPtr stream, std::string bytes) {
  struct Read {
    static Task<void> go(io::Stream* stream) {
      char buffer[4096];
      for (;;) {
        auto got = co_await stream->read(buffer, sizeof buffer);
        if (!got || *got == 0) break;
      }
    }
  };
  Job reading(Read::go(stream.get()));
  co_await stream->write(bytes);
  co_await sleep_for(1s);
  stream->close();
}

void put_frame(std::string& out, uint32_t first, uint8_t flags, std::string_view payload) {
  io::put_u32(out, first);
  io::put_u32(out, uint32_t(flags) << 24 | uint32_t(payload.size()));
  out += payload;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1 || size > 20'000) return 0;
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::string sent;
  if (data[0] % 2 == 0) {
    sent = bytes;
  } else {
    // Kind, flags, stream, length, payload: data, streams that open with headers of ours, and other control frames.
    io::SpdyHeaderCodec codec;
    while (bytes.size() >= 4) {
      const size_t length = std::min<size_t>(uint8_t(bytes[3]), bytes.size() - 4);
      const uint8_t kind = uint8_t(bytes[0]) % 12, flags = uint8_t(bytes[1]) & 3;
      const uint32_t stream = uint8_t(bytes[2]) & 15;
      const std::string_view payload = bytes.substr(4, length);
      if (kind == 0) {
        put_frame(sent, stream, flags, payload);
      } else if (kind == 1) {
        std::string head;
        io::put_u32(head, stream);
        io::put_u32(head, 0);
        head += std::string(2, '\0') + codec.encode({{"streamtype", std::string(payload)}});
        put_frame(sent, 0x80030001, flags, head);
      } else {
        std::string body;
        io::put_u32(body, stream);
        put_frame(sent, 0x80030000 | kind, flags, body + std::string(payload));
      }
      bytes.remove_prefix(4 + length);
    }
  }
  FakeExecutor executor;
  bool ended = false;
  {
    auto [server, client] = io::stream_pair();
    io::SpdySession session(std::move(server), true);
    Job serving(serve(&session, &ended));
    Job sending(send(std::move(client), std::move(sent)));
    executor.run();
    for (int i = 0; i < 20 && !ended; ++i) executor.advance(30s);
  }
  if (!ended) abort();
  return 0;
}
