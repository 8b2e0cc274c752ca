// links: io
// A gRPC client with whatever a server answers: HTTP/2's frames, HPACK, and messages in DATA. Every call ends.
#include <cstdlib>

#include "base/fake_executor.h"
#include "io/grpc.h"

using namespace estiba;

namespace {

using namespace std::chrono_literals;

Task<void> answer(io::StreamPtr stream, std::string bytes) {
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
  co_await sleep_for(100s);
  stream->close();
}

Task<void> call(io::GrpcConnection* connection, bool* ended) {
  auto unary = co_await connection->call("/a/b", "request", {}, 5s);
  if (unary.status.ok() && !unary.status.from_server) abort();
  auto opened = co_await connection->open("/a/c", "request", {}, 5s);
  if (opened.stream)
    while (auto message = co_await opened.stream->next())
      if (message->size() > 100'000'000) abort();
  *ended = true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 20'000) return 0;
  std::string sent("\0\0\0\4\0\0\0\0\0", 9);
  // Type, flags, stream, length, payload; what begins with 0xff is a piece of bytes as they are.
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  while (bytes.size() >= 4) {
    const size_t length = std::min<size_t>(uint8_t(bytes[3]), bytes.size() - 4);
    if (uint8_t(bytes[0]) != 0xff) sent += {0, 0, char(length), char(uint8_t(bytes[0]) % 11), bytes[1], 0, 0, 0, char(bytes[2] & 7)};
    sent += bytes.substr(4, length);
    bytes.remove_prefix(4 + length);
  }
  FakeExecutor executor;
  bool ended = false;
  {
    auto [server, client] = io::stream_pair();
    auto http = std::make_shared<io::Http2ClientConnection>(std::move(client), 60s);
    http->start();
    io::GrpcConnection connection(*io::Url::parse("http://x:1/"), std::move(http));
    Job answering(answer(std::move(server), std::move(sent)));
    Job calling(call(&connection, &ended));
    executor.run();
    for (int i = 0; i < 30 && !ended; ++i) executor.advance(10s);
  }
  if (!ended) abort();
  return 0;
}
