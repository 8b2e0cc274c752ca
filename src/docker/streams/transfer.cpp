#include "docker/streams/transfer.h"

#include <sys/socket.h>

#include <thread>

#include "io/stream.h"
#include "os/fd.h"

namespace estiba::docker {

namespace {

class SocketSink final : public image::Sink {
 public:
  explicit SocketSink(Fd fd) : fd_(std::move(fd)) {}
  Result<void> write(std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail(Code::cancelled, "the client has gone");
      bytes.remove_prefix(size_t(n));
    }
    return {};
  }

 private:
  Fd fd_;
};

/// A body whose sender went away in the middle ends with a reset, not with an end: what was sent of it must not pass for the whole.
class SocketSource final : public image::Source {
 public:
  SocketSource(Fd fd, std::shared_ptr<std::atomic<bool>> whole) : fd_(std::move(fd)), whole_(std::move(whole)) {}
  Result<size_t> read(std::span<char> buffer) override {
    for (;;) {
      const ssize_t n = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
      if (n > 0) return size_t(n);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 || !*whole_) return fail(Code::cancelled, "the client has gone before the end of its archive");
      return size_t(0);
    }
  }

 private:
  Fd fd_;
  std::shared_ptr<std::atomic<bool>> whole_;  // set before the other end is closed
};

}  // namespace

Task<Result<void>> on_own_thread(UniqueFunction<Result<void>()> work) {
  OneShot<Result<void>> done;
  std::thread([work = std::move(work), sender = done.sender()]() mutable {
    Result<void> result = work();
    work.reset();
    sender.send(std::move(result));
  }).detach();
  co_return *co_await done;
}

Task<Result<void>> send_produced(io::Response& response, io::Headers headers, UniqueFunction<Result<void>(image::Sink&)> produce) {
  auto [ours, theirs] = CO_TRY(os::make_socketpair(SOCK_STREAM));
  auto sink = std::make_unique<SocketSink>(std::move(theirs));
  std::optional<Result<void>> result;
  struct Run {
    static Task<void> go(UniqueFunction<Result<void>()> work, std::optional<Result<void>>* result) {
      *result = co_await on_own_thread(std::move(work));
    }
  };
  Job job(Run::go(
      [produce = std::move(produce), sink = std::move(sink)]() mutable {
        Result<void> made = produce(*sink);
        sink.reset();
        return made;
      },
      &result));
  auto stream = io::stream_from_fd(ours.release());
  std::string buffer;
  for (;;) {
    buffer.resize(image::chunk_size);
    const size_t n = CO_TRY(co_await stream->read(buffer.data(), buffer.size()));
    if (n == 0) break;
    if (!response.started()) CO_TRY(co_await response.start(200, headers));
    buffer.resize(n);
    CO_TRY(co_await response.write(std::move(buffer)));
  }
  co_await job.join();
  if (*result && !response.started()) CO_TRY(co_await response.start(200, headers));
  co_return std::move(*result);
}

Task<Result<void>> receive_body(io::Request& request, UniqueFunction<Result<void>(image::Source&)> consume) {
  auto [ours, theirs] = CO_TRY(os::make_socketpair(SOCK_STREAM));
  auto whole = std::make_shared<std::atomic<bool>>(false);
  auto source = std::make_unique<SocketSource>(std::move(theirs), whole);
  std::optional<Result<void>> result;
  struct Run {
    static Task<void> go(UniqueFunction<Result<void>()> work, std::optional<Result<void>>* result) {
      *result = co_await on_own_thread(std::move(work));
    }
  };
  Job job(Run::go(
      [consume = std::move(consume), source = std::move(source)]() mutable {
        Result<void> made = consume(*source);
        source.reset();  // who still writes learns that nobody reads
        return made;
      },
      &result));
  auto stream = io::stream_from_fd(ours.release());
  for (;;) {
    auto piece = co_await request.read_body();
    if (piece && piece->empty()) *whole = true;
    if (!piece || piece->empty()) break;
    if (!co_await stream->write(*piece)) break;  // it has ended, and says why
  }
  stream->close();
  co_await job.join();
  co_return std::move(*result);
}

}  // namespace estiba::docker
