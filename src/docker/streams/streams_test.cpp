#include <gtest/gtest.h>
#include <sys/socket.h>

#include "base/strings.h"
#include "docker/streams/detach_keys.h"
#include "docker/streams/hijack.h"
#include "docker/streams/multiplex.h"
#include "docker/streams/pump.h"
#include "docker/streams/transfer.h"
#include "io/loop.h"
#include "io/stream.h"
#include "os/fd.h"

namespace estiba::docker {
namespace {

using namespace std::chrono_literals;

TEST(Multiplex, WritesAndReadsFramesInAnyPieces) {
  std::string stream;
  append_frame(stream, Channel::out, "hello\n");
  append_frame(stream, Channel::err, "");
  append_frame(stream, Channel::err, std::string(70000, 'x'));
  EXPECT_EQ(stream.substr(0, 8), std::string("\x01\0\0\0\0\0\0\x06", 8));
  FrameReader reader;
  std::vector<FrameReader::Frame> frames;
  for (size_t i = 0; i < stream.size(); i += 7) {
    reader.feed(std::string_view(stream).substr(i, 7));
    FrameReader::Frame frame;
    while (*reader.next(frame)) frames.push_back(frame);
  }
  ASSERT_EQ(frames.size(), 3u);
  EXPECT_EQ(frames[0].bytes, "hello\n");
  EXPECT_EQ(frames[0].channel, Channel::out);
  EXPECT_EQ(frames[1].bytes, "");
  EXPECT_EQ(frames[2].channel, Channel::err);
  EXPECT_EQ(frames[2].bytes.size(), 70000u);
  EXPECT_FALSE(reader.inside());
  reader.feed("HTTP/1.1 ");
  FrameReader::Frame frame;
  EXPECT_FALSE(reader.next(frame));
}

TEST(DetachKeys, ParsesDockersNames) {
  EXPECT_EQ(*parse_detach_keys(""), "\x10\x11");
  EXPECT_EQ(*parse_detach_keys("ctrl-a,b"),
            "\x01"
            "b");
  EXPECT_EQ(*parse_detach_keys("ctrl-@"), std::string(1, '\0'));
  EXPECT_EQ(*parse_detach_keys("ctrl-[,ctrl-_"), "\x1b\x1f");
  auto wrong = parse_detach_keys("ctrl-A,x");
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().message.find("Invalid detach keys (ctrl-A,x)"), std::string::npos);
}

TEST(DetachKeys, HoldsBackWhatMayBeTheSequence) {
  DetachKeys keys("\x10\x11");
  EXPECT_EQ(keys.filter("ab\x10"), "ab");
  EXPECT_EQ(keys.filter("c"),
            "\x10"
            "c");
  EXPECT_EQ(keys.filter("\x10\x10"), "\x10");
  EXPECT_FALSE(keys.detached());
  EXPECT_EQ(keys.filter("\x11late"), "");
  EXPECT_TRUE(keys.detached());
  DetachKeys repeated("aab");
  EXPECT_EQ(repeated.filter("aaab"), "a");
  EXPECT_TRUE(repeated.detached());
}

/// A process that the test plays: its ends of the streams, and when it ends.
class FakeSession final : public engine::Session {
 public:
  explicit FakeSession(Event* exited) : exited_(exited) {
    auto make = [](Fd& ours, io::StreamPtr& theirs) {
      auto pair = os::make_socketpair(SOCK_STREAM);
      ASSERT_TRUE(pair);
      ours = std::move(pair->first);
      theirs = io::stream_from_fd(pair->second.release());
    };
    make(in_, process_in);
    make(out_, process_out);
    make(err_, process_err);
  }
  Fd take_input() override { return std::move(in_); }
  Fd take_output() override { return std::move(out_); }
  Fd take_error() override { return std::move(err_); }
  Task<Result<void>> resize(uint16_t, uint16_t) override { co_return {}; }
  int pid() const override { return 0; }
  Task<Result<int>> wait() override {
    co_await exited_->wait();
    co_return 7;
  }

  io::StreamPtr process_in, process_out, process_err;

 private:
  Event* exited_;
  Fd in_, out_, err_;
};

struct FakeClient final : Client {
  std::string out, err;
  std::vector<std::string> input;  // then the end
  Event more, closed;
  bool ends = true, gone = false;
  Task<Result<std::string>> read() override {
    while (input.empty() && !ends) {
      more.reset();
      co_await more.wait();
    }
    if (input.empty()) co_return std::string();
    std::string first = input.front();
    input.erase(input.begin());
    co_return first;
  }
  Task<Result<void>> write(Channel channel, std::string_view bytes) override {
    if (gone) co_return fail(Code::unavailable, "gone");
    (channel == Channel::err ? err : out) += bytes;
    co_return {};
  }
  bool framed() const override { return false; }
  Task<Result<void>> write_ready(std::string bytes) override { co_return co_await write(Channel::out, bytes); }
  void close() override { closed.set(); }
};

struct Scene {
  Event exited;
  FakeSession* session = nullptr;
  std::shared_ptr<FakeClient> client = std::make_shared<FakeClient>();
  std::unique_ptr<Pump> pump;
  explicit Scene(PumpOptions options) {
    auto made = std::make_unique<FakeSession>(&exited);
    session = made.get();
    pump = std::make_unique<Pump>(std::move(made), client, std::move(options));
  }
};

TEST(Pump, CarriesAllOutputToTheEnd) {
  io::Loop loop;
  loop.block_on([]() -> Task<void> {
    Scene scene({.in = true});
    scene.client->input = {"first ", "second"};
    struct Process {
      static Task<void> go(Scene* scene) {
        auto all = co_await io::read_all(*scene->session->process_in, 1000);
        EXPECT_EQ(*all, "first second");  // and its end was passed on
        for (int i = 0; i < 100; ++i) EXPECT_TRUE(co_await scene->session->process_out->write(std::string(10000, 'o')));
        EXPECT_TRUE(co_await scene->session->process_err->write("bad"));
        scene->session->process_out->close();
        scene->session->process_err->close();
        scene->exited.set();
      }
    };
    Job process(Process::go(&scene));
    EXPECT_EQ(co_await scene.pump->run(), PumpEnd::over);
    EXPECT_EQ(scene.client->out.size(), 1000000u);
    EXPECT_EQ(scene.client->err, "bad");
    EXPECT_EQ(scene.pump->exit_code(), 7);
    EXPECT_TRUE(scene.client->closed.is_set());
  }());
}

TEST(Pump, EndsWhenWhatIsLeftBehindIsSilent) {
  io::Loop loop;
  loop.block_on([]() -> Task<void> {
    Scene scene({.silence = 20ms});
    (void)co_await scene.session->process_out->write("last words");
    scene.exited.set();  // its streams stay open
    EXPECT_EQ(co_await scene.pump->run(), PumpEnd::over);
    EXPECT_EQ(scene.client->out, "last words");
  }());
}

TEST(Pump, DetachKeysLeaveTheProcessAlone) {
  io::Loop loop;
  loop.block_on([]() -> Task<void> {
    Scene scene({.in = true, .tty = true, .detach_keys = "\x10\x11"});
    scene.client->ends = false;
    scene.client->input = {"ls\n", "\x10", "\x11"};
    EXPECT_EQ(co_await scene.pump->run(), PumpEnd::detached);
    char typed[16];
    auto n = co_await scene.session->process_in->read(typed, sizeof typed);
    EXPECT_EQ(std::string(typed, n.value_or(0)), "ls\n");
    EXPECT_FALSE(scene.pump->exit_code());
  }());
}

TEST(Pump, GoesOnReadingWhenTheClientHasGone) {
  io::Loop loop;
  loop.block_on([]() -> Task<void> {
    Scene scene({});
    scene.client->gone = true;
    struct Process {
      static Task<void> go(Scene* scene) {
        // More than a socket holds: it would block if nobody read.
        for (int i = 0; i < 200; ++i) EXPECT_TRUE(co_await scene->session->process_out->write(std::string(10000, 'o')));
        scene->exited.set();
      }
    };
    Job process(Process::go(&scene));
    EXPECT_EQ(co_await scene.pump->run(), PumpEnd::gone);
    EXPECT_EQ((co_await scene.pump->finish()).value_or(-1), 7);
    co_await process.join();
  }());
}

TEST(Transfer, ProducesAnAnswerAndConsumesABody) {
  io::Loop loop;
  loop.block_on([]() -> Task<void> {
    io::Response response;
    auto sent = co_await send_produced(response, {{"Content-Type", "application/x-tar"}}, [](image::Sink& sink) -> Result<void> {
      for (int i = 0; i < 100; ++i) TRY(sink.write(std::string(10000, 'x')));
      return {};
    });
    EXPECT_TRUE(sent);
    EXPECT_EQ(response.status(), 200);
    EXPECT_EQ(response.body().size(), 1000000u);

    io::Request request("PUT", "/", std::string(3000000, 'y'));
    uint64_t got = 0;
    auto received = co_await receive_body(request, [&got](image::Source& source) -> Result<void> {
      got = TRY(image::copy_all(source, nullptr));
      return {};
    });
    EXPECT_TRUE(received);
    EXPECT_EQ(got, 3000000u);
  }());
}

TEST(Transfer, FailuresAreToldAndNothingHangs) {
  io::Loop loop;
  loop.block_on([]() -> Task<void> {
    io::Response response;
    auto sent = co_await send_produced(response, {}, [](image::Sink&) -> Result<void> { return fail(Code::not_found, "no such file"); });
    EXPECT_FALSE(sent);
    EXPECT_FALSE(response.begun());  // the caller may still answer 404

    // More than the socket holds, which nobody reads.
    io::Request request("PUT", "/", std::string(3000000, 'y'));
    auto received = co_await receive_body(request, [](image::Source&) -> Result<void> { return fail(Code::invalid, "not a directory"); });
    EXPECT_FALSE(received);
    EXPECT_EQ(received.error().message, "not a directory");
  }());
}

}  // namespace
}  // namespace estiba::docker
