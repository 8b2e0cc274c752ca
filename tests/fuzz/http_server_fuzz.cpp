// links: io
// The HTTP server with whatever a client sends: HTTP/1.1, HTTP/2's frames, and HPACK in them. Nothing crashes, handlers end with
// their connections, and the connection ends once the client has gone and every limit of time has passed.
#include <cstdlib>

#include "base/fake_executor.h"
#include "io/http2_server.h"
#include "io/http_connection.h"

using namespace estiba;

namespace {

using namespace std::chrono_literals;

constexpr std::string_view preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

int handlers = 0;

struct Counted {
  Counted() { ++handlers; }
  ~Counted() { --handlers; }
};

// Reads the body, echoes it in an answer that its method chooses, or waits for ever.
Task<void> handle(io::Request& request, io::Response& response) {
  Counted counted;
  if (request.method == "DELETE") co_await sleep_for(1h);
  auto body = co_await request.body();
  if (request.method != "PUT") {
    response.send(body ? 200 : 400, {{"Content-Type", "text/plain"}}, body ? *body : body.error().message);
    co_return;
  }
  response.give_up_after(1s);
  if (!co_await response.start(200)) co_return;
  for (int i = 0; i < 8; ++i)
    if (!co_await response.write(std::string(20'000, 'w'))) co_return;
  response.trailer("x", "y");
}

Task<void> serve(io::ServerContext* context, io::StreamPtr stream, bool* ended) {
  io::Http1Connection connection(*context, std::move(stream));
  if (co_await connection.run()) {
    io::Http2ServerConnection second(*context, connection.take_stream());
    co_await second.run();
  }
  *ended = true;
}

// Sends, reads what comes, and is gone.
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
  co_await stream->shutdown_write();
  co_await sleep_for(1s);
  stream->close();
}

// Frames out of bytes: type, flags, stream, length, payload; so that what is tried is mostly well framed.
std::string frames(std::string_view bytes) {
  std::string out(preface);
  out += std::string("\0\0\0\4\0\0\0\0\0", 9);
  while (bytes.size() >= 4) {
    const size_t size = std::min<size_t>(uint8_t(bytes[3]), bytes.size() - 4);
    out += {0, 0, char(size), char(uint8_t(bytes[0]) % 11), bytes[1], 0, 0, 0, char(bytes[2] & 15)};
    out += bytes.substr(4, size);
    bytes.remove_prefix(4 + size);
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1 || size > 20'000) return 0;
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::string sent;
  switch (data[0] % 3) {
    case 0: sent = bytes; break;
    case 1: sent = std::string(preface) + std::string(bytes); break;
    default: sent = frames(bytes);
  }
  FakeExecutor executor;
  bool ended = false;
  {
    io::ServerContext context;
    context.options = {.max_body_bytes = 10'000, .max_buffered_response = 16 * 1024, .max_streams = 10};
    context.handler = handle;
    auto [server, client] = io::stream_pair();
    Job serving(serve(&context, std::move(server), &ended));
    Job sending(send(std::move(client), std::move(sent)));
    executor.run();
    for (int i = 0; i < 20 && !ended; ++i) executor.advance(30s);
    executor.run();
  }
  if (!ended || handlers != 0) abort();
  return 0;
}
