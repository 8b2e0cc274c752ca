#include "cli/docker/client.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <thread>

#include "base/strings.h"
#include "cli/docker/connect.h"
#include "os/fd.h"
#include "os/file.h"

namespace estiba::cli::docker {
namespace {

// A daemon that answers connection after connection with given bytes, as soon as a request's head (and `more` bytes) is there.
class Daemon {
 public:
  explicit Daemon(std::vector<std::string> answers, std::vector<size_t> per_connection = {})
      : path_(testing::TempDir() + "/daemon-" + random_suffix(8) + ".sock") {
    listener_ = *os::listen_unix(path_, SOCK_STREAM);
    if (per_connection.empty()) per_connection.assign(answers.size(), 1);
    thread_ = std::thread([this, answers = std::move(answers), per_connection] {
      size_t next = 0;
      for (size_t count : per_connection) {
        auto connection = os::accept_unix(listener_.get());
        if (!connection) return;
        for (size_t i = 0; i < count; ++i) {
          std::string seen;
          char bytes[4096];
          while (seen.find("\r\n\r\n") == seen.npos) {
            const ssize_t n = recv(connection->get(), bytes, sizeof bytes, 0);
            if (n <= 0) return;
            seen.append(bytes, size_t(n));
          }
          requests += seen;
          (void)os::write_all(connection->get(), answers[next++]);
        }
      }
    });
  }
  ~Daemon() {
    shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
    (void)os::remove_file(path_);
  }
  Endpoint endpoint() const { return {.host = "unix://" + path_}; }
  std::string requests;

 private:
  std::string path_;
  Fd listener_;
  std::thread thread_;
};

TEST(DockerClient, WholeAnswersOnOneConnection) {
  Daemon daemon(
      {"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{\"a\": 1}",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n[1,2\r\n4;x=y\r\n,3] \r\n0\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"},
      {3});
  Client client(daemon.endpoint());
  Request request{.path = "/things"};
  request.query.add("filters", "{\"a\"}");
  auto first = client.call(std::move(request));
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(json::print(first->root()), "{\"a\":1}");
  EXPECT_TRUE(daemon.requests.starts_with("GET /things?filters=%7B%22a%22%7D HTTP/1.1\r\n")) << daemon.requests;
  EXPECT_EQ(json::print(client.call({.path = "/more"})->root()), "[1,2,3]");
  EXPECT_TRUE(client.call({.method = "DELETE", .path = "/x"})->root().is_null());
}

TEST(DockerClient, ErrorsOfTheDaemon) {
  Daemon daemon({"HTTP/1.1 404 Not Found\r\nContent-Length: 34\r\n\r\n{\"message\":\"No such container: x\"}\n",
                 "HTTP/1.1 409 Conflict\r\nConnection: close\r\n\r\nplain words\n", "HTTP/1.1 500 Bad\r\nContent-Length: 0\r\n\r\n"},
                {1, 1, 1});
  Client client(daemon.endpoint());
  auto gone = client.text({.path = "/a"});
  EXPECT_EQ(gone.error().message, "Error response from daemon: No such container: x");
  EXPECT_EQ(gone.error().code, Code::not_found);
  auto conflict = client.text({.path = "/b"});
  EXPECT_EQ(conflict.error().message, "Error response from daemon: plain words");
  EXPECT_EQ(conflict.error().code, Code::conflict);
  EXPECT_EQ(client.text({.path = "/c"}).error().code, Code::internal);
}

TEST(DockerClient, AKeptConnectionThatDiedIsReplaced) {
  Daemon daemon({"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}, {1, 1});
  Client client(daemon.endpoint());
  EXPECT_EQ(client.text({.path = "/a"}).value_or(""), "ok");
  EXPECT_EQ(client.text({.path = "/b"}).value_or(""), "ok");
}

TEST(DockerClient, Hijack) {
  Daemon daemon(
      {"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nearly"});
  Client client(daemon.endpoint());
  auto connection = client.hijack({.method = "POST", .path = "/attach"});
  ASSERT_TRUE(connection) << connection.error().message;
  EXPECT_EQ(connection->early, "early");
  EXPECT_FALSE(connection->multiplexed);
  EXPECT_NE(daemon.requests.find("Upgrade: tcp\r\n"), std::string::npos);
}

TEST(DockerClient, UploadStopsAtAnAnswer) {
  Daemon daemon({"HTTP/1.1 400 Bad Request\r\nContent-Length: 18\r\n\r\n{\"message\":\"stop\"}"});
  Client client(daemon.endpoint());
  Request request{.method = "POST", .path = "/build"};
  uint64_t sent = 0;
  request.upload = [&]() -> Result<std::string> {
    sent += 1 << 16;
    return std::string(1 << 16, 'x');  // without end
  };
  auto answer = client.text(std::move(request));
  EXPECT_EQ(answer.error().message, "Error response from daemon: stop");
}

TEST(DockerClient, BrokenAnswers) {
  for (const char* bytes : {"", "HTTP/1.1 2", "nonsense\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
                            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 200 OK\r\nbad header\r\n\r\n"}) {
    Daemon daemon({bytes});
    Client client(daemon.endpoint());
    EXPECT_FALSE(client.text({.path = "/"})) << bytes;
  }
}

TEST(DockerClient, NobodyThere) {
  Client client({.host = "unix:///nowhere/docker.sock", .start_hint = "'estiba engine' starts it"});
  EXPECT_EQ(
      client.text({.path = "/"}).error().message,
      "Cannot connect to the Docker daemon at unix:///nowhere/docker.sock. Is the docker daemon running? ('estiba engine' starts it)");
  Client wrong({.host = "ftp://x"});
  EXPECT_EQ(wrong.text({.path = "/"}).error().code, Code::invalid);
}

std::string frame(int stream, std::string_view text) {
  std::string out = {char(stream), 0, 0, 0, 0, 0, char(text.size() >> 8), char(text.size())};
  return out += text;
}

TEST(Demultiplexer, FramesInAnyPieces) {
  const std::string bytes = frame(1, "out") + frame(2, "err") + frame(1, "") + frame(1, "more");
  for (size_t piece = 1; piece <= bytes.size(); ++piece) {
    std::string out, err;
    Demultiplexer demultiplexer(true, [&](int stream, std::string_view text) {
      (stream == 2 ? err : out) += text;
      return true;
    });
    for (size_t at = 0; at < bytes.size(); at += piece)
      EXPECT_TRUE(demultiplexer.feed(std::string_view(bytes).substr(at, piece)).value_or(false));
    EXPECT_EQ(out, "outmore");
    EXPECT_EQ(err, "err");
  }
}

TEST(Demultiplexer, ErrorsAndTheEnd) {
  Demultiplexer demultiplexer(true, [](int, std::string_view) { return false; });
  EXPECT_FALSE(demultiplexer.feed(frame(1, "x")).value_or(true));
  Demultiplexer failing(true, [](int, std::string_view) { return true; });
  EXPECT_EQ(failing.feed(frame(3, "boom")).error().message, "error from daemon in stream: boom");
  Demultiplexer wrong(true, [](int, std::string_view) { return true; });
  EXPECT_FALSE(wrong.feed("plain text that is no frame"));
}

}  // namespace
}  // namespace estiba::cli::docker
