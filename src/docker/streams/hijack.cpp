#include "docker/streams/hijack.h"

#include "io/frame_lock.h"
#include "io/websocket.h"

namespace estiba::docker {

namespace {

class StreamClient final : public Client {
 public:
  StreamClient(io::StreamPtr stream, bool multiplexed) : stream_(std::move(stream)), lock_(*stream_), multiplexed_(multiplexed) {}

  Task<Result<std::string>> read() override {
    std::string buffer(16384, '\0');
    const size_t n = CO_TRY(co_await stream_->read(buffer.data(), buffer.size()));
    buffer.resize(n);
    co_return buffer;
  }
  Task<Result<void>> write(Channel channel, std::string_view bytes) override {
    auto turn = co_await lock_.take();
    const auto header = frame_header(channel, bytes.size());
    if (multiplexed_) co_return co_await turn.write({header.data(), header.size()}, bytes);
    co_return co_await turn.write(bytes);
  }
  bool framed() const override { return multiplexed_; }
  Task<Result<void>> write_ready(std::string bytes) override {
    auto turn = co_await lock_.take();
    co_return co_await turn.write(bytes);
  }
  void close() override { stream_->close(); }

 private:
  io::StreamPtr stream_;
  io::FrameLock lock_;
  const bool multiplexed_;
};

class WebSocketClient final : public Client {
 public:
  explicit WebSocketClient(std::unique_ptr<io::WebSocket> socket) : socket_(std::move(socket)) {}

  Task<Result<std::string>> read() override {
    for (;;) {
      auto message = CO_TRY(co_await socket_->read());
      if (!message) co_return fail(Code::cancelled, "the client has closed the WebSocket");
      if (!message->data.empty()) co_return std::move(message->data);
    }
  }
  Task<Result<void>> write(Channel, std::string_view bytes) override { return socket_->write(bytes); }
  bool framed() const override { return false; }
  Task<Result<void>> write_ready(std::string bytes) override { co_return co_await socket_->write(bytes); }
  void close() override { socket_->abort(); }
  Task<void> finish() override { co_await socket_->close(); }

 private:
  std::unique_ptr<io::WebSocket> socket_;
};

class AnswerClient final : public Client {
 public:
  AnswerClient(io::Response& response, bool multiplexed) : response_(response), multiplexed_(multiplexed) {}
  Task<Result<std::string>> read() override { co_return std::string(); }
  Task<Result<void>> write(Channel channel, std::string_view bytes) override {
    std::string piece;
    piece.reserve(bytes.size() + 8);
    if (multiplexed_) append_frame(piece, channel, bytes);
    else piece = bytes;
    co_return co_await response_.write(std::move(piece));
  }
  bool framed() const override { return multiplexed_; }
  Task<Result<void>> write_ready(std::string bytes) override { return response_.write(std::move(bytes)); }
  void close() override {}

 private:
  io::Response& response_;
  const bool multiplexed_;
};

}  // namespace

Task<Result<std::shared_ptr<Client>>> hijack(io::Request& request, io::Response& response, bool tty, bool name_multiplexed) {
  const std::string_view type = tty || !name_multiplexed ? raw_stream_type : multiplexed_stream_type;
  io::Headers headers{{"Content-Type", std::string(type)}};
  const bool upgrade = request.wants_upgrade();
  if (upgrade) {
    headers.add("Connection", "Upgrade");
    headers.add("Upgrade", "tcp");
  }
  auto stream = CO_TRY(co_await response.upgrade(upgrade ? 101 : 200, std::move(headers)));
  co_return std::make_shared<StreamClient>(std::move(stream), !tty);
}

Task<Result<std::shared_ptr<Client>>> accept_websocket_client(io::Request& request, io::Response& response) {
  auto socket = CO_TRY(co_await io::accept_websocket(request, response, {}));
  co_return std::make_shared<WebSocketClient>(std::move(socket));
}

std::shared_ptr<Client> answer_client(io::Response& response, bool multiplexed) {
  return std::make_shared<AnswerClient>(response, multiplexed);
}

}  // namespace estiba::docker
