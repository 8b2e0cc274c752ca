#include "io/websocket.h"

#include <openssl/evp.h>

#include <algorithm>

#include "base/strings.h"

namespace estiba::io {

using namespace std::chrono_literals;

namespace {

enum Opcode : uint8_t { continuation = 0, text_frame = 1, binary_frame = 2, close_frame = 8, ping_frame = 9, pong_frame = 10 };

// Sec-WebSocket-Accept (RFC 6455, 4.2.2).
std::string accept_key(std::string_view key) {
  std::string text = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha1(), nullptr);
  return base64_encode({reinterpret_cast<char*>(digest), size});
}

void apply_mask(char* bytes, size_t size, const char* mask) {
  for (size_t i = 0; i < size; ++i) bytes[i] ^= mask[i & 3];
}

std::string close_payload(uint16_t code, std::string_view reason) {
  std::string payload{char(code >> 8), char(code & 255)};
  payload += reason.substr(0, 123);
  return payload;
}

}  // namespace

WebSocket::WebSocket(StreamPtr stream, Options options) : stream_(std::move(stream)), options_(std::move(options)), lock_(*stream_) {}

// --- reading -----------------------------------------------------------------------------------------------------------------

// Makes at least `bytes` bytes available.
Task<Result<void>> WebSocket::fill(size_t bytes) {
  if (in_.empty()) {
    in_.release();
    co_await stream_->readable();
  }
  while (in_.bytes().size() < bytes)
    if (CO_TRY(co_await in_.fill(*stream_)) == 0)
      co_return fail(Code::unavailable, "the WebSocket's connection ended without a close frame");
  co_return {};
}

Task<Result<void>> WebSocket::fail_connection(uint16_t code, std::string reason) {
  std::string message = "WebSocket: " + reason;
  co_await close(code, std::move(reason));
  co_return fail(code == 1009 ? Code::too_large : Code::malformed, std::move(message));
}

Task<Result<WebSocket::Frame>> WebSocket::read_frame() {
  CO_TRY(co_await fill(2));
  auto byte = [&](size_t i) { return uint8_t(in_.bytes()[i]); };
  Frame frame{.opcode = uint8_t(byte(0) & 15), .final = bool(byte(0) & 0x80)};
  bool masked = byte(1) & 0x80;
  bool control = frame.opcode & 8;
  uint64_t size = byte(1) & 0x7f;
  bool wrong = (byte(0) & 0x70) || masked == options_.client || (control && (!frame.final || size > 125));
  if (wrong) CO_TRY(co_await fail_connection(1002, "a frame breaks the protocol"));
  size_t head = 2;
  if (size >= 126) {
    size_t length_bytes = size == 126 ? 2 : 8;
    CO_TRY(co_await fill(2 + length_bytes));
    size = 0;
    for (size_t i = 0; i < length_bytes; ++i) size = size << 8 | byte(2 + i);
    head += length_bytes;
  }
  if (size > options_.max_message)
    CO_TRY(co_await fail_connection(1009, "a message is larger than " + std::to_string(options_.max_message) + " bytes"));
  size_t mask_bytes = masked ? 4 : 0;
  CO_TRY(co_await fill(head + mask_bytes + size));
  frame.payload = in_.bytes().substr(head + mask_bytes, size);
  if (masked) apply_mask(frame.payload.data(), frame.payload.size(), in_.bytes().data() + head);
  in_.consume(head + mask_bytes + size);
  co_return frame;
}

// Answers a control frame.
Task<Result<void>> WebSocket::control(const Frame& frame) {
  if (frame.opcode == ping_frame) co_return co_await write_frame(pong_frame, frame.payload, {});
  if (frame.opcode != close_frame) co_return {};
  close_received_ = true;
  if (!std::exchange(close_sent_, true)) co_await write_frame(close_frame, frame.payload.substr(0, 2), {});
  co_return {};
}

Task<Result<std::optional<WebSocket::Message>>> WebSocket::read() {
  Message message;
  bool begun = false;
  for (;;) {
    if (close_received_) co_return std::nullopt;
    Frame frame = CO_TRY(co_await read_frame());
    if (frame.opcode & 8) {
      CO_TRY(co_await control(frame));
      continue;
    }
    if (frame.opcode > binary_frame || (frame.opcode == continuation) != begun)
      CO_TRY(co_await fail_connection(1002, "a frame breaks the protocol"));
    if (!begun) message.text = frame.opcode == text_frame;
    begun = true;
    if (message.data.size() + frame.payload.size() > options_.max_message)
      CO_TRY(co_await fail_connection(1009, "a message is larger than " + std::to_string(options_.max_message) + " bytes"));
    if (message.data.empty()) {
      message.data = std::move(frame.payload);
    } else {
      message.data += frame.payload;
    }
    if (frame.final) co_return std::optional<Message>(std::move(message));
  }
}

// --- writing -----------------------------------------------------------------------------------------------------------------

Task<Result<void>> WebSocket::write_frame(uint8_t opcode, std::string_view first, std::string_view second) {
  size_t size = first.size() + second.size();
  std::string head{char(0x80 | opcode)};
  char mask_bit = options_.client ? char(0x80) : 0;
  if (size < 126) {
    head += char(mask_bit | char(size));
  } else {
    int length_bytes = size < 65536 ? 2 : 8;
    head += char(mask_bit | (length_bytes == 2 ? 126 : 127));
    for (int i = length_bytes - 1; i >= 0; --i) head += char(uint64_t(size) >> (8 * i));
  }
  auto turn = co_await lock_.take();
  if (!options_.client) co_return co_await turn.write(head, first, second);
  std::string mask = random_bytes(4), masked;
  masked.reserve(size);
  masked += first;
  masked += second;
  apply_mask(masked.data(), size, mask.data());
  co_return co_await turn.write(head, mask, masked);
}

Task<Result<void>> WebSocket::write(std::string_view data, bool text) { return write(data, {}, text); }

Task<Result<void>> WebSocket::write(std::string_view first, std::string_view second, bool text) {
  if (close_sent_) co_return fail(Code::unavailable, "the WebSocket is closed");
  co_return co_await write_frame(text ? text_frame : binary_frame, first, second);
}

Task<Result<void>> WebSocket::ping(std::string data) {
  data.resize(std::min<size_t>(data.size(), 125));
  co_return co_await write_frame(ping_frame, data, {});
}

Task<void> WebSocket::close(uint16_t code, std::string reason) {
  if (!std::exchange(close_sent_, true)) {
    std::string payload = close_payload(code, reason);
    auto sent = co_await with_timeout(2s, write_frame(close_frame, payload, {}));
    if (!sent || !*sent) co_return stream_->close();
  }
  struct Wait {
    static Task<bool> go(WebSocket* self) {
      while (!self->close_received_) {
        auto frame = co_await self->read_frame();
        if (!frame) break;
        if (frame->opcode == close_frame) self->close_received_ = true;
      }
      co_return true;
    }
  };
  // After a breach of the protocol nothing sensible can be expected any more.
  if (code != 1002 && code != 1009) co_await with_timeout(1s, Wait::go(this));
  stream_->close();
}

// --- handshakes --------------------------------------------------------------------------------------------------------------

bool is_websocket_request(const Request& request) { return request.wants_upgrade() && request.headers.has_token("Upgrade", "websocket"); }

Task<Result<std::unique_ptr<WebSocket>>> accept_websocket(Request& request, Response& response, std::vector<std::string> protocols,
                                                          size_t max_message) {
  auto refuse = [&](int status, std::string why) {
    response.send(status, {{"Content-Type", "text/plain"}}, why + "\n");
    return fail(Code::invalid, "WebSocket handshake: " + why);
  };
  std::string_view key = request.headers.get("Sec-WebSocket-Key");
  if (request.method != "GET" || !is_websocket_request(request))
    co_return refuse(400, "the request does not ask for an upgrade to websocket");
  if (request.headers.get("Sec-WebSocket-Version") != "13") co_return refuse(400, "Sec-WebSocket-Version must be 13");
  auto nonce = base64_decode(key);
  if (!nonce || nonce->size() != 16) co_return refuse(400, "Sec-WebSocket-Key must be 16 bytes in base64");
  Headers headers{{"Upgrade", "websocket"}, {"Connection", "Upgrade"}, {"Sec-WebSocket-Accept", accept_key(key)}};
  WebSocket::Options options{.max_message = max_message};
  auto offered = request.headers.list("Sec-WebSocket-Protocol");
  for (const std::string& protocol : protocols) {
    if (protocol.empty() || std::ranges::find(offered, protocol) == offered.end()) continue;
    options.protocol = protocol;
    headers.add("Sec-WebSocket-Protocol", protocol);
    break;
  }
  bool unnamed_allowed = protocols.empty() || std::ranges::find(protocols, "") != protocols.end();
  if (options.protocol.empty() && !(unnamed_allowed && offered.empty()) && !protocols.empty())
    co_return refuse(403, "none of the offered subprotocols is supported; supported are " + join(protocols, ", "));
  auto stream = co_await response.upgrade(101, std::move(headers));
  if (!stream) co_return refuse(400, stream.error().message);
  co_return std::make_unique<WebSocket>(std::move(*stream), std::move(options));
}

static Code code_of_status(int status) {
  switch (status) {
    case 400:
      return Code::malformed;
    case 401:
      return Code::unauthorized;
    case 403:
      return Code::forbidden;
    case 404:
      return Code::not_found;
    case 409:
      return Code::conflict;
    default:
      return status >= 500 ? Code::unavailable : Code::invalid;
  }
}

Task<Result<std::unique_ptr<WebSocket>>> connect_websocket(HttpClient& client, ClientRequest request, std::vector<std::string> protocols) {
  std::string key = base64_encode(random_bytes(16));
  if (request.url.starts_with("ws")) request.url.replace(0, 2, "http");
  request.headers.set("Connection", "Upgrade");
  request.headers.set("Upgrade", "websocket");
  request.headers.set("Sec-WebSocket-Version", "13");
  request.headers.set("Sec-WebSocket-Key", key);
  if (!protocols.empty()) request.headers.set("Sec-WebSocket-Protocol", join(protocols, ", "));
  std::string url = request.url;
  auto result = CO_TRY(co_await client.upgrade(std::move(request)));
  if (!result.stream)
    co_return fail(code_of_status(result.status),
                   "WebSocket " + url + ": the server answered " + std::to_string(result.status) + ": " + result.refusal);
  if (result.headers.get("Sec-WebSocket-Accept") != accept_key(key))
    co_return fail(Code::malformed, "WebSocket " + url + ": the server's Sec-WebSocket-Accept is wrong");
  WebSocket::Options options{.client = true, .protocol = std::string(result.headers.get("Sec-WebSocket-Protocol"))};
  co_return std::make_unique<WebSocket>(std::move(result.stream), std::move(options));
}

// --- as a stream ---------------------------------------------------------------------------------------------------------------

namespace {

class WebSocketStream final : public Stream {
 public:
  explicit WebSocketStream(std::unique_ptr<WebSocket> socket) : socket_(std::move(socket)) {}
  Task<Result<size_t>> read(char* to, size_t size) override {
    while (at_ == message_.size()) {
      auto next = CO_TRY(co_await socket_->read());
      if (!next) co_return 0;
      message_ = std::move(next->data);
      at_ = 0;
    }
    size = std::min(size, message_.size() - at_);
    memcpy(to, message_.data() + at_, size);
    at_ += size;
    co_return size;
  }
  Task<Result<void>> write(std::string_view bytes) override { return socket_->write(bytes); }
  Task<Result<void>> write_parts(std::span<const std::string_view> parts) override {
    std::string all;
    for (std::string_view part : parts) all += part;
    co_return co_await socket_->write(all);
  }
  Task<Result<void>> shutdown_write() override {
    co_await socket_->close();
    co_return {};
  }
  void close() override { socket_->abort(); }
  const Peer& peer() const override { return socket_->peer(); }

 private:
  std::unique_ptr<WebSocket> socket_;
  std::string message_;
  size_t at_ = 0;
};

}  // namespace

StreamPtr stream_over_websocket(std::unique_ptr<WebSocket> socket) { return std::make_unique<WebSocketStream>(std::move(socket)); }

}  // namespace estiba::io
