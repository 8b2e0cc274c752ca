#include "ingress/streams.h"

#include <gtest/gtest.h>

#include "ingress/forward.h"
#include "io/http_test_support.h"
#include "io/tls_choice.h"

namespace estiba::ingress {
namespace {

using namespace std::chrono_literals;
using io::testing::Keys;

// A front with connections of every kind, and backends, on one loop.
struct StreamsTest : ::testing::Test {
  static constexpr uint16_t number = 4433;
  io::Loop loop;
  std::optional<Forwarder> forwarder{1s};
  io::HttpServer http{{&loop}, {}, [](io::Request& request, io::Response& response) { return name_peer("http", request, response); }};
  io::HttpServer secure{{&loop}, {}, [](io::Request& request, io::Response& response) { return name_peer("backend", request, response); }};
  io::HttpServer front{{&loop}, {}, [](io::Request& request, io::Response& response) { return name_peer("front", request, response); }};
  std::shared_ptr<Openings> openings = std::make_shared<Openings>(number);

  static Task<void> name_peer(std::string name, io::Request& request, io::Response& response) {
    response.send(200, {}, name + " " + request.peer().address + (request.tls() ? " tls" : ""));
    co_return;
  }
  void SetUp() override {
    ASSERT_TRUE(http.listen_tcp("127.0.0.1", 0, nullptr));
    ASSERT_TRUE(secure.listen_tcp("127.0.0.1", 0, Keys::get().server_tls()));
    openings->handshake = io::make_tls_server([](std::string_view) { return Keys::get().server_tls(); });
    ASSERT_TRUE(front.listen_tcp("127.0.0.1", 0, io::make_opening([this](int fd) {
                                   return open_connection(forwarder->config(), &forwarder->sessions(), openings, fd);
                                 })));
  }
  void TearDown() override { loop.block_on(end(this)); }
  static Task<void> end(StreamsTest* self) {
    self->forwarder.reset();
    co_return;
  }

  static std::shared_ptr<const Action> to(uint16_t port, ProxyProtocol version = ProxyProtocol::none) {
    auto action = std::make_shared<Action>();
    action->backends.push_back({.endpoints = {std::make_shared<Endpoint>("127.0.0.1:" + std::to_string(port))}, .proxy_protocol = version});
    return action;
  }
  void serve(Port port) {
    auto config = std::make_shared<Config>();
    config->ports[number] = std::move(port);
    forwarder->set_config(std::move(config));
  }
  static std::shared_ptr<const StreamListener> stream(std::string hostname, std::shared_ptr<const Action> action,
                                                      io::TlsContextRef context = nullptr) {
    return std::make_shared<StreamListener>(StreamListener{
        .hostname = hostname, .context = std::move(context), .routes = {{.hostname = hostname, .action = std::move(action)}}});
  }
  // All that is answered to these bytes; nothing where the connection is closed or reset.
  std::string raw(std::string bytes) {
    auto got = loop.block_on(io::testing::TestServer::talk(front.port(), std::move(bytes), false));
    return got ? *got : got.error().code == Code::timeout ? "error: " + got.error().message : "";
  }
  // The answer to a client that asks for this server name.
  std::string ask(std::string name) {
    io::TlsClientOptions options{.server_name = name, .insecure = true};
    io::HttpClient client({.tls = *io::make_tls_client(options)});
    auto got = loop.block_on(client.fetch({.url = "https://127.0.0.1:" + std::to_string(front.port()) + "/"}));
    return got ? got->body.substr(0, got->body.find(' ')) : "none";
  }
  static std::string last_line(std::string_view answer) { return std::string(answer.substr(answer.rfind('\n') + 1)); }
};

constexpr const char* one_request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

TEST_F(StreamsTest, bytes_pass_through_a_port_of_tcp) {
  serve({.streams = {stream("", to(http.port()))}});
  EXPECT_TRUE(last_line(raw(one_request)).starts_with("http 127.0.0.1:"));
  serve({.streams = {stream("", to(1))}});
  EXPECT_EQ(raw(one_request), "") << "nobody is there";
  serve({.streams = {std::make_shared<StreamListener>()}});
  EXPECT_EQ(raw(one_request), "") << "no route";
  serve({});
  EXPECT_TRUE(last_line(raw(one_request)).starts_with("front 127.0.0.1:")) << "HTTP";
}

TEST_F(StreamsTest, tls_goes_by_server_name) {
  Port port{.tls = true,
            .streams = {stream("*.pass.example", to(secure.port())), stream("ends.example", to(http.port()), Keys::get().server_tls())}};
  port.certificates.add({.hostname = "http.pass.example", .context = Keys::get().server_tls()});
  serve(std::move(port));
  EXPECT_EQ(ask("a.pass.example"), "backend") << "passes through";
  EXPECT_EQ(ask("ends.example"), "http") << "TLS ends here";
  EXPECT_EQ(ask("http.pass.example"), "front") << "the more specific listener speaks HTTP";
  EXPECT_EQ(raw("GET / HTTP/1.1\r\n\r\n"), "") << "no TLS";
}

TEST_F(StreamsTest, trusted_peers_say_whom_they_speak_for) {
  serve({});
  const std::string header = "PROXY TCP4 192.0.2.9 198.51.100.1 4711 80\r\n";
  EXPECT_NE(raw(header + one_request).find("400"), std::string::npos) << "nobody is trusted";
  openings->trusted = {*Prefix::parse("127.0.0.0/8")};
  EXPECT_EQ(last_line(raw(header + one_request)), "front 192.0.2.9:4711");
  EXPECT_EQ(last_line(raw(proxy_header(ProxyProtocol::v2, {"[2001:db8::1]:99", "[2001:db8::2]:80"}) + one_request)),
            "front [2001:db8::1]:99");
  EXPECT_TRUE(last_line(raw("PROXY UNKNOWN\r\n" + std::string(one_request))).starts_with("front 127.0.0.1:"));
  EXPECT_EQ(raw(one_request), "") << "they must";
  openings->trusted = {*Prefix::parse("10.0.0.0/8")};
  EXPECT_TRUE(last_line(raw(one_request)).starts_with("front 127.0.0.1:"));
}

TEST_F(StreamsTest, backends_may_be_told_who_the_client_is) {
  openings->trusted = {*Prefix::parse("127.0.0.0/8")};
  const std::string header = "PROXY TCP4 192.0.2.9 198.51.100.1 4711 80\r\n";
  struct Echo {
    static Task<void> serve(io::Listener* listener) {
      for (;;) {
        auto fd = co_await listener->accept();
        if (!fd) co_return;
        const auto stream = io::stream_from_fd(*fd);
        char bytes[256];
        for (;;) {
          auto got = co_await stream->read(bytes, sizeof bytes);
          if (!got || *got == 0 || !co_await stream->write({bytes, *got})) break;
        }
      }
    }
    static Task<std::string> talk(uint16_t port, std::string bytes, size_t length) {
      auto stream = co_await io::connect_tcp("127.0.0.1", port);
      if (!stream || !co_await (*stream)->write(bytes)) co_return "no connection";
      std::string all(length, '\0');
      for (size_t at = 0; at < length;) {
        auto got = co_await (*stream)->read(all.data() + at, length - at);
        if (!got || *got == 0) co_return all.substr(0, at);
        at += *got;
      }
      co_return all;
    }
    static Task<std::string> run(uint16_t port, std::string bytes, std::string expected) {
      auto said = co_await with_timeout(5s, talk(port, std::move(bytes), expected.size()));
      co_return said ? *said : "nothing";
    }
  };
  auto listener = *io::Listener::tcp("127.0.0.1", 0);
  std::optional<Job> echo;
  loop.post([&] { echo.emplace(Echo::serve(&listener)); });
  for (const ProxyProtocol version : {ProxyProtocol::v1, ProxyProtocol::v2}) {
    serve({.streams = {stream("", to(listener.port(), version))}});
    const std::string expected = proxy_header(version, {"192.0.2.9:4711", "198.51.100.1:80"}) + "hello";
    EXPECT_EQ(loop.block_on(Echo::run(front.port(), header + "hello", expected)), expected);
  }
  struct Stop {
    static Task<void> go(std::optional<Job>* job) {
      job->reset();
      co_return;
    }
  };
  loop.block_on(Stop::go(&echo));
}

}  // namespace
}  // namespace estiba::ingress
