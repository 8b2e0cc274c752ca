#include "io/websocket.h"

#include "io/http_test_support.h"
#include "io/upgrade_proxy.h"

namespace estiba::io {
namespace {

using testing::TestServer;
using namespace std::chrono_literals;

Task<void> echo_server(Request& request, Response& response) {
  auto socket = co_await accept_websocket(request, response, {"b.proto", "a.proto"});
  if (!socket) co_return;
  for (;;) {
    auto message = co_await (*socket)->read();
    if (!message || !*message) co_return;
    if ((*message)->data == "bye") co_return co_await (*socket)->close(1000, "done");
    if (!co_await (*socket)->write((*message)->data, (*message)->text)) co_return;
  }
}

Task<Result<void>> conversation(std::string url) {
  HttpClient client({});
  auto socket = CO_TRY(co_await connect_websocket(client, {.url = url}, {"a.proto", "b.proto"}));
  EXPECT_EQ(socket->protocol(), "b.proto");
  for (size_t size : {0, 1, 125, 126, 65535, 65536, 1'000'000}) {
    std::string text(size, 'm');
    CO_TRY(co_await socket->write(text));
    CO_TRY(co_await socket->ping("p"));
    auto message = CO_TRY(co_await socket->read());
    EXPECT_TRUE(message && message->data == text && !message->text) << size;
    if (!message) co_return {};
  }
  CO_TRY(co_await socket->write("b", "ye", true));
  auto end = CO_TRY(co_await socket->read());
  EXPECT_FALSE(end);
  co_await socket->close();
  co_return {};
}

TEST(WebSocket, MessagesOfAllSizesGoBothWays) {
  TestServer s(echo_server);
  auto done = s.run(conversation(s.url("/")));
  EXPECT_TRUE(done) << done.error().message;
}

TEST(WebSocket, PassesThroughTheUpgradeProxy) {
  TestServer backend(echo_server);
  struct Proxy {
    static Task<void> go(Request& request, Response& response, std::string url) {
      HttpClient client({});
      EXPECT_TRUE(co_await proxy_upgrade(request, response, client, std::move(url)));
    }
  };
  std::string target = backend.url("/");
  HttpServer front({&backend.loop}, {}, [target](Request& request, Response& response) { return Proxy::go(request, response, target); });
  ASSERT_TRUE(front.listen_tcp("127.0.0.1", 0, nullptr));
  std::string url = "http://127.0.0.1:" + std::to_string(front.port()) + "/";
  auto done = backend.run(conversation(url));
  EXPECT_TRUE(done) << done.error().message;
  struct Refused {
    static Task<Result<void>> go(std::string url) {
      HttpClient client({});
      auto refused = co_await connect_websocket(client, {.url = url}, {"c.proto"});
      EXPECT_FALSE(refused);
      if (!refused) EXPECT_EQ(refused.error().code, Code::forbidden);
      co_return {};
    }
  };
  EXPECT_TRUE(backend.run(Refused::go(url)));
}

TEST(WebSocket, WrongHandshakesAreRefused) {
  TestServer s(echo_server);
  std::string head = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n";
  EXPECT_TRUE(s.raw("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").starts_with("HTTP/1.1 400"));
  EXPECT_TRUE(s.raw(head + "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").starts_with("HTTP/1.1 400"));
  EXPECT_TRUE(s.raw(head + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: abc\r\n\r\n").starts_with("HTTP/1.1 400"));
  EXPECT_TRUE(s.raw(head + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: z\r\n\r\n")
                  .starts_with("HTTP/1.1 403"));
}

// The bytes of frames, against the server's end.
Task<Result<std::optional<WebSocket::Message>>> read_from(std::string bytes, std::string* answered) {
  auto [near, far] = stream_pair();
  WebSocket socket(std::move(far), {.max_message = 1000});
  CO_TRY(co_await near->write(bytes));
  CO_TRY(co_await near->shutdown_write());
  auto message = co_await socket.read();
  socket.abort();
  if (auto rest = co_await read_all(*near, 10000)) *answered = *rest;
  co_return message;
}

TEST(WebSocket, FragmentsAreJoinedAroundPings) {
  Loop loop;
  std::string zero(4, '\0'), answered;
  std::string bytes = std::string("\x02\x82") + zero + "ab" + "\x89\x81" + zero + "p" + "\x80\x81" + zero + "c";
  auto message = loop.block_on(read_from(bytes, &answered));
  ASSERT_TRUE(message && *message) << message.error().message;
  EXPECT_EQ((*message)->data, "abc");
}

TEST(WebSocket, BreachesOfTheProtocolEndIt) {
  Loop loop;
  std::string zero(4, '\0'), answered;
  std::string bad[] = {
      std::string("\x82\x01") + "a",                                   // not masked
      std::string("\xc2\x81") + zero + "a",                            // a reserved bit
      std::string("\x80\x81") + zero + "a",                            // continues nothing
      std::string("\x09\x81") + zero + "a",                            // a fragmented ping
      std::string("\x83\x81") + zero + "a",                            // an unknown opcode
      std::string("\x02\x81") + zero + "a" + "\x82\x81" + zero + "b",  // a second beginning
      std::string("\x82\xfe\x7f\xff", 4) + zero,                       // too large
      std::string("\x82"),                                             // cut short
  };
  for (const std::string& bytes : bad) EXPECT_FALSE(loop.block_on(read_from(bytes, &answered))) << hex_encode(bytes);
}

}  // namespace
}  // namespace estiba::io
