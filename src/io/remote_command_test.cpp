#include "io/remote_command.h"

#include <sys/stat.h>
#include <unistd.h>

#include "io/http_test_support.h"
#include "io/port_forward.h"
#include "io/remote_command_impl.h"
#include "io/spdy.h"
#include "io/spdy_headers.h"
#include "io/thread.h"
#include "io/websocket.h"

namespace estiba::io {
namespace {

using testing::Keys;
using testing::TestServer;
using namespace std::chrono_literals;

// A command that says what it was given: "sh" copies stdin to stdout, "fail" exits with 3, "size" waits for a resize.
Task<void> run_command(Request& request, Response& response) {
  auto streams = RemoteCommandStreams::from_query(request.query);
  std::string command(request.query.get("command"));
  auto session = co_await accept_remote_command(request, response, streams);
  if (!session) co_return;
  RemoteCommandServer& s = **session;
  if (command == "fail") {
    if (streams.err) co_await s.write_stderr("oh no");
    co_await s.finish(3);
  } else if (command == "broken") {
    co_await s.finish_error("it \"broke\"");
  } else if (command == "size") {
    auto size = co_await s.next_resize();
    if (size) co_await s.write_stdout(print_terminal_size(*size));
    co_await s.finish(0);
  } else if (command == "cat") {
    for (;;) {
      auto bytes = co_await s.read_stdin();
      if (!bytes || bytes->empty()) break;
      co_await s.write_stdout(*bytes);
    }
    co_await s.finish(0);
  } else {
    co_await s.write_stdout("hi\n");
    co_await s.finish(0);
  }
}

struct Seen {
  std::string out, err, status;
};

Task<Result<Seen>> collect(RemoteCommandClient& session) {
  Seen seen;
  for (;;) {
    auto output = CO_TRY(co_await session.read());
    if (!output) co_return seen;
    using From = RemoteCommandClient::Output::From;
    (output->from == From::out ? seen.out : output->from == From::err ? seen.err : seen.status) += output->data;
  }
}

Task<Result<Seen>> drive(std::string url, std::string input, RemoteCommandStreams streams) {
  HttpClient client({});
  auto session = CO_TRY(co_await connect_remote_command(client, {.url = url}, streams));
  if (streams.in) {
    CO_TRY(co_await session->write_stdin(input));
    CO_TRY(co_await session->close_stdin());
  }
  if (streams.tty) CO_TRY(co_await session->resize({80, 24}));
  co_return co_await collect(*session);
}

TEST(RemoteCommand, OurClientAndServerUnderstandEachOther) {
  TestServer s(run_command);
  std::string large(300'000, 'i');
  auto cat = s.run(drive(s.url("/exec?command=cat&stdin=true&stdout=true"), large, {.in = true}));
  ASSERT_TRUE(cat) << cat.error().message;
  EXPECT_EQ(cat->out, large);
  EXPECT_EQ(cat->status, R"({"metadata":{},"status":"Success"})");
  auto failed = s.run(drive(s.url("/exec?command=fail&stdout=true&stderr=1"), "", {}));
  ASSERT_TRUE(failed);
  EXPECT_EQ(failed->err, "oh no");
  EXPECT_NE(failed->status.find(R"("causes":[{"reason":"ExitCode","message":"3"}])"), std::string::npos);
  auto broken = s.run(drive(s.url("/exec?command=broken&stdout=true"), "", {}));
  ASSERT_TRUE(broken);
  EXPECT_NE(broken->status.find(R"("message":"Internal error occurred: it \"broke\"")"), std::string::npos);
  auto sized = s.run(drive(s.url("/exec?command=size&stdout=true&tty=true"), "", {.tty = true}));
  ASSERT_TRUE(sized);
  EXPECT_EQ(sized->out, "{\"Width\":80,\"Height\":24}\n");
  auto nothing = s.run(drive(s.url("/exec?command=x"), "", {}));
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().code, Code::malformed);
}

TEST(Spdy, TheDictionaryIsTheDraftsOwn) {
  EXPECT_EQ(spdy_dictionary().size(), 1423u);
  uint32_t a = 1, b = 0;  // Adler-32, by which zlib names a dictionary
  for (unsigned char c : spdy_dictionary()) {
    a = (a + c) % 65521;
    b = (b + a) % 65521;
  }
  EXPECT_EQ(b << 16 | a, 0xe3c6a7c2u);
}

TEST(Spdy, HeadersSurviveAndGarbageDoesNot) {
  SpdyHeaderCodec here, there;
  for (int i = 0; i < 3; ++i) {
    auto block = here.encode({{"streamType", "stdout"}, {"port", std::to_string(i)}});
    auto headers = there.decode(block);
    ASSERT_TRUE(headers);
    EXPECT_EQ(headers->get("streamtype"), "stdout");
    EXPECT_EQ(headers->get("port"), std::to_string(i));
  }
  EXPECT_FALSE(SpdyHeaderCodec().decode("garbage"));
}

Task<Result<std::string>> spdy_echo(std::string text) {
  auto [near, far] = stream_pair();
  SpdySession client(std::move(near), false), server(std::move(far), true);
  Job echo([](SpdySession* server) -> Task<void> {
    auto stream = co_await server->accept();
    if (!stream) co_return;
    EXPECT_EQ(stream->headers().get("streamType"), "echo");
    char buffer[1000];
    for (;;) {
      auto got = co_await stream->read(buffer, sizeof buffer);
      if (!got || *got == 0) break;
      EXPECT_TRUE(co_await stream->write({buffer, *got}));
    }
    EXPECT_TRUE(co_await stream->shutdown_write());
  }(&server));
  auto stream = CO_TRY(co_await client.open({{"streamType", "echo"}}));
  Job writer([](SpdyStream* stream, std::string text) -> Task<void> {
    EXPECT_TRUE(co_await stream->write(text));
    EXPECT_TRUE(co_await stream->shutdown_write());
  }(stream.get(), std::move(text)));
  std::string all = CO_TRY(co_await read_all(*stream, 10'000'000));
  co_await client.close();
  co_await server.ended();
  EXPECT_FALSE(co_await server.accept());
  co_return all;
}

TEST(Spdy, StreamsCarryMoreThanTheirQueues) {
  Loop loop;
  std::string text(2'500'000, 's');
  auto echoed = loop.block_on(spdy_echo(text));
  ASSERT_TRUE(echoed) << echoed.error().message;
  EXPECT_EQ(*echoed, text);
}

Task<bool> spdy_ends_on(std::string bytes) {
  auto [near, far] = stream_pair();
  SpdySession server(std::move(far), true);
  EXPECT_TRUE(co_await near->write(bytes));
  auto ended = co_await with_timeout(2s, [](SpdySession* s) -> Task<bool> {
    co_await s->ended();
    co_return true;
  }(&server));
  co_return ended.has_value();
}

TEST(Spdy, BreachesOfTheProtocolEndTheSession) {
  Loop loop;
  EXPECT_TRUE(loop.block_on(spdy_ends_on(std::string("\x80\x02\x00\x01\x00\x00\x00\x00", 8))));                           // version 2
  EXPECT_TRUE(loop.block_on(spdy_ends_on(std::string("\x80\x03\x00\x01\x00\x00\x00\x04zzzz", 12))));                      // short
  EXPECT_TRUE(loop.block_on(spdy_ends_on(std::string("\x80\x03\x00\x01\x00\xff\xff\xff", 8))));                           // large
  EXPECT_TRUE(loop.block_on(spdy_ends_on(std::string("\x80\x03\x00\x01\x00\x00\x00\x0e\0\0\0\1\0\0\0\0\0\0zzzz", 22))));  // not compressed
  EXPECT_TRUE(loop.block_on(spdy_ends_on(std::string("\x00\x00\x00\x01\x00\xff\xff\xff", 8))));                           // large data
}

// kubectl itself, which falls back to SPDY when WebSockets are refused.
struct Kubectl {
  LoopThread thread{"api"};
  std::unique_ptr<HttpServer> server, target;
  std::string directory;
  bool websockets;

  explicit Kubectl(bool websockets) : websockets(websockets) {
    directory = "/tmp/estiba-kubectl-test-" + std::to_string(getpid());
    mkdir(directory.c_str(), 0700);
    target = std::make_unique<HttpServer>(std::vector<Loop*>{&thread.loop()}, HttpServerOptions{},
                                          [](Request&, Response& response) -> Task<void> {
                                            response.send(200, {}, std::string(100'000, 'p'));
                                            co_return;
                                          });
    EXPECT_TRUE(target->listen_tcp("127.0.0.1", 0, nullptr));
    uint16_t port = target->port();
    server = std::make_unique<HttpServer>(
        std::vector<Loop*>{&thread.loop()}, HttpServerOptions{},
        [websockets, port](Request& request, Response& response) { return handle(request, response, websockets, port); });
    EXPECT_TRUE(server->listen_tcp("127.0.0.1", 0, nullptr));
  }
  ~Kubectl() {
    target.reset();
    server.reset();
    [[maybe_unused]] int status = system(("rm -rf " + directory).c_str());
  }

  static Task<void> handle(Request& request, Response& response, bool websockets, uint16_t port) {
    Headers json{{"Content-Type", "application/json"}};
    if (is_websocket_request(request) && !websockets) {
      response.send(400, {}, "no websockets here");
    } else if (request.path.ends_with("/exec") || request.path.ends_with("/attach")) {
      co_await run_command(request, response);
    } else if (request.path.ends_with("/portforward")) {
      PortDialer dial = [port](uint16_t wanted) -> Task<Result<StreamPtr>> {
        if (wanted != 80) return refuse();
        return connect_tcp("127.0.0.1", port);
      };
      co_await serve_port_forward(request, response, std::move(dial));
    } else if (request.path.ends_with("/pods/web")) {
      response.send(
          200, json,
          R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"web","namespace":"default"},"spec":{"containers":[{"name":"c","image":"i"}]},"status":{"phase":"Running"}})");
    } else if (request.path == "/api") {
      response.send(200, json, R"({"kind":"APIVersions","versions":["v1"]})");
    } else if (request.path == "/apis") {
      response.send(200, json, R"({"kind":"APIGroupList","apiVersion":"v1","groups":[]})");
    } else if (request.path == "/api/v1") {
      response.send(
          200, json,
          R"({"kind":"APIResourceList","groupVersion":"v1","resources":[{"name":"pods","namespaced":true,"kind":"Pod","verbs":["get"]}]})");
    } else {
      response.send(404, json, R"({"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404})");
    }
  }
  static Task<Result<StreamPtr>> refuse() { co_return fail(Code::unavailable, "nobody listens there"); }

  std::string run(std::string arguments) {
    std::string command = "HOME=" + directory +
                          " KUBECONFIG=/dev/null timeout 20 kubectl --server http://127.0.0.1:" + std::to_string(server->port()) + " " +
                          arguments + " 2>&1; echo \"exit=$?\"";
    FILE* pipe = popen(command.c_str(), "r");
    std::string text;
    char buffer[4096];
    size_t got;
    while ((got = fread(buffer, 1, sizeof buffer, pipe)) > 0) text.append(buffer, got);
    pclose(pipe);
    return text;
  }
};

bool have_kubectl() { return system("kubectl version --client >/dev/null 2>&1") == 0; }

void check_kubectl(bool websockets) {
  if (!have_kubectl()) GTEST_SKIP() << "needs kubectl";
  Kubectl kubectl(websockets);
  EXPECT_EQ(kubectl.run("exec web -- echo hi"), "hi\nexit=0\n");
  EXPECT_EQ(kubectl.run("exec web -- fail"), "oh nocommand terminated with exit code 3\nexit=3\n");
  EXPECT_EQ(kubectl.run("exec -i web -- cat < /etc/services | head -c 1000000 | cmp - /etc/services && echo same").substr(0, 5), "same\n");
  std::string broken = kubectl.run("exec web -- broken");
  EXPECT_NE(broken.find("it \"broke\""), std::string::npos) << broken;
}

TEST(RemoteCommand, KubectlExecByWebSocket) { check_kubectl(true); }
TEST(RemoteCommand, KubectlExecBySpdy) { check_kubectl(false); }

void check_port_forward(bool websockets) {
  if (!have_kubectl()) GTEST_SKIP() << "needs kubectl";
  Kubectl kubectl(websockets);
  std::string script =
      "port-forward --address 127.0.0.1 pod/web :80 > " + kubectl.directory + "/out 2>&1 & " +
      "for i in $(seq 100); do grep -q Forwarding " + kubectl.directory + "/out && break; sleep 0.05; done; " +
      "port=$(sed -n 's/.*127.0.0.1:\\([0-9]*\\) .*/\\1/p' " + kubectl.directory + "/out); " +
      "for i in 1 2 3; do curl -s -o /dev/null -w '%{size_download} ' http://127.0.0.1:$port/; done; kill $!; wait $! 2>/dev/null; true";
  EXPECT_EQ(kubectl.run(script), "100000 100000 100000 exit=0\n");
}

TEST(PortForward, KubectlByWebSocket) { check_port_forward(true); }
TEST(PortForward, KubectlBySpdy) { check_port_forward(false); }

}  // namespace
}  // namespace estiba::io
