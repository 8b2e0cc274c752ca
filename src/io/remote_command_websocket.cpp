// exec and attach over WebSocket: each message begins with its channel's number. The base64 protocols write the number as a
// digit and the rest in base64, in text messages.
#include "base/strings.h"
#include "io/remote_command_impl.h"
#include "io/websocket.h"

namespace estiba::io {

namespace {

enum Channel : uint8_t {
  stdin_channel = 0,
  stdout_channel = 1,
  stderr_channel = 2,
  error_channel = 3,
  resize_channel = 4,
  close_channel = 255
};
constexpr size_t most_message = 32 * 1024 * 1024;

class WebSocketServerSession final : public RemoteCommandServer {
 public:
  WebSocketServerSession(std::unique_ptr<WebSocket> socket, RemoteCommandStreams streams) : socket_(std::move(socket)), streams_(streams) {
    const std::string& protocol = socket_->protocol();
    base64_ = protocol.find("base64.") != protocol.npos;
    // The unversioned protocols know no Status: an error is told in plain words.
    status_ = protocol.starts_with("v");
    reader_ = Job(read_messages(this));
  }

  /// kubectl takes the first message, an empty one, as the sign that the session stands.
  Task<Result<void>> greet() { return send(streams_.out ? stdout_channel : streams_.err ? stderr_channel : error_channel, {}); }

  Task<Result<std::string>> read_stdin() override { return in_.take(); }
  Task<Result<void>> write_stdout(std::string_view bytes) override { return send(stdout_channel, bytes); }
  Task<Result<void>> write_stderr(std::string_view bytes) override { return send(stderr_channel, bytes); }
  Task<std::optional<TerminalSize>> next_resize() override { return sizes_.take(); }
  Task<void> gone() override { co_await gone_.wait(); }
  Task<Result<void>> finish(int exit_code) override {
    if (status_) return end(exit_code == 0 ? success_status() : exit_status(exit_code));
    return end(exit_code == 0 ? "" : "command terminated with exit code " + std::to_string(exit_code));
  }
  Task<Result<void>> finish_error(std::string message) override { return end(status_ ? failure_status(message) : std::move(message)); }

 private:
  static Task<void> read_messages(WebSocketServerSession* self) {
    for (;;) {
      auto message = co_await self->socket_->read();
      if (!message || !*message) break;
      if (!co_await self->receive((*message)->data)) break;
    }
    self->in_.fail();
    self->sizes_.end();
    self->gone_.set();
  }

  // False when the message makes no sense.
  Task<bool> receive(std::string_view data) {
    if (data.empty()) co_return true;
    uint8_t channel = uint8_t(data[0]);
    data.remove_prefix(1);
    std::string decoded;
    if (base64_) {
      auto bytes = base64_decode(data);
      if (!bytes || channel < '0' || channel > '9') co_return false;
      decoded = std::move(*bytes);
      data = decoded;
      channel -= '0';
    }
    if (channel == stdin_channel && streams_.in) {
      co_await in_.push(data);
    } else if (channel == resize_channel) {
      if (auto size = parse_terminal_size(data)) sizes_.push(*size);
    } else if (channel == close_channel && data == std::string_view("\0", 1)) {
      in_.end();  // v5: the client has closed stdin
    }
    co_return true;
  }

  Task<Result<void>> send(uint8_t channel, std::string_view bytes) {
    if (base64_) {
      std::string text = char('0' + channel) + base64_encode(bytes);
      co_return co_await socket_->write(text, true);
    }
    char head = char(channel);
    co_return co_await socket_->write({&head, 1}, bytes, false);
  }

  Task<Result<void>> end(std::string last) {
    if (!last.empty()) CO_TRY(co_await send(error_channel, last));
    reader_.cancel();  // close() reads by itself
    co_await socket_->close(1000);
    gone_.set();
    co_return {};
  }

  std::unique_ptr<WebSocket> socket_;
  RemoteCommandStreams streams_;
  bool base64_ = false, status_ = true;
  InputQueue in_;
  ResizeQueue sizes_;
  Event gone_;
  Job reader_;
};

class WebSocketClientSession final : public RemoteCommandClient {
 public:
  explicit WebSocketClientSession(std::unique_ptr<WebSocket> socket) : socket_(std::move(socket)) {}

  Task<Result<std::optional<Output>>> read() override {
    for (;;) {
      auto message = CO_TRY(co_await socket_->read());
      if (!message) co_return std::nullopt;
      if (message->data.size() < 2) continue;  // the greeting
      uint8_t channel = uint8_t(message->data[0]);
      if (channel < stdout_channel || channel > error_channel) continue;
      message->data.erase(0, 1);
      auto from = channel == stdout_channel ? Output::From::out : channel == stderr_channel ? Output::From::err : Output::From::status;
      co_return std::optional<Output>({from, std::move(message->data)});
    }
  }
  Task<Result<void>> write_stdin(std::string_view bytes) override { return socket_->write(std::string_view("\0", 1), bytes, false); }
  Task<Result<void>> close_stdin() override {
    if (socket_->protocol() != "v5.channel.k8s.io")
      co_return fail(Code::unsupported, "the server's protocol " + socket_->protocol() + " cannot close stdin");
    co_return co_await socket_->write(std::string_view("\xff\0", 2));
  }
  Task<Result<void>> resize(TerminalSize size) override {
    std::string text = char(resize_channel) + print_terminal_size(size);
    co_return co_await socket_->write(text);
  }

 private:
  std::unique_ptr<WebSocket> socket_;
};

}  // namespace

Task<Result<std::unique_ptr<RemoteCommandServer>>> accept_remote_command_websocket(Request& request, Response& response,
                                                                                   RemoteCommandStreams streams) {
  std::vector<std::string> protocols = {"v5.channel.k8s.io", "v4.channel.k8s.io",     "v4.base64.channel.k8s.io",
                                        "channel.k8s.io",    "base64.channel.k8s.io", ""};
  auto socket = CO_TRY(co_await accept_websocket(request, response, std::move(protocols), most_message));
  auto session = std::make_unique<WebSocketServerSession>(std::move(socket), streams);
  CO_TRY(co_await session->greet());
  co_return std::unique_ptr<RemoteCommandServer>(std::move(session));
}

Task<Result<std::unique_ptr<RemoteCommandClient>>> connect_remote_command(HttpClient& client, ClientRequest request, RemoteCommandStreams) {
  auto socket = CO_TRY(co_await connect_websocket(client, std::move(request), {"v5.channel.k8s.io", "v4.channel.k8s.io"}));
  co_return std::unique_ptr<RemoteCommandClient>(std::make_unique<WebSocketClientSession>(std::move(socket)));
}

}  // namespace estiba::io
