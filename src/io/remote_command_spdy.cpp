// exec and attach over SPDY/3.1: one SPDY stream a channel, told apart by their "streamType" header.
#include <algorithm>

#include "base/strings.h"
#include "io/remote_command_impl.h"
#include "io/spdy.h"

namespace estiba::io {

using namespace std::chrono_literals;

bool is_spdy_request(const Request& request) { return request.wants_upgrade() && request.headers.has_token("Upgrade", "SPDY/3.1"); }

Result<std::string> negotiate_spdy_protocol(Request& request, Response& response, const std::vector<std::string>& ours) {
  if (!is_spdy_request(request)) {
    response.send(400, {{"Content-Type", "text/plain"}}, "the request must ask for an upgrade to websocket or SPDY/3.1\n");
    return fail(Code::malformed, "the request asks for no upgrade that is known");
  }
  auto offered = request.headers.list("X-Stream-Protocol-Version");
  if (offered.empty()) return ours.back();
  for (const std::string& protocol : ours)
    if (std::ranges::find(offered, protocol) != offered.end()) return protocol;
  Headers headers{{"Content-Type", "text/plain"}};
  for (const std::string& protocol : ours) headers.add("X-Accepted-Stream-Protocol-Versions", protocol);
  response.send(403, std::move(headers),
                "unable to upgrade: none of the client's protocols is supported; supported are " + join(ours, ", ") + "\n");
  return fail(Code::invalid, "none of the client's stream protocols is supported");
}

Task<Result<StreamPtr>> upgrade_to_spdy(Response& response, std::string protocol) {
  Headers headers{{"Connection", "Upgrade"}, {"Upgrade", "SPDY/3.1"}, {"X-Stream-Protocol-Version", std::move(protocol)}};
  auto stream = co_await response.upgrade(101, std::move(headers));
  if (!stream && !response.begun()) response.send(400, {{"Content-Type", "text/plain"}}, stream.error().message + "\n");
  co_return stream;
}

namespace {

class SpdyServerSession final : public RemoteCommandServer {
 public:
  SpdyServerSession(StreamPtr stream, RemoteCommandStreams streams, int version)
      : session_(std::move(stream), true), streams_(streams), version_(version) {}

  /// Waits for the streams that the client opens.
  Task<Result<void>> gather() {
    bool resize = streams_.tty && version_ >= 3;
    size_t expected = 1 + streams_.in + streams_.out + streams_.err + resize;
    for (size_t i = 0; i < expected; ++i) {
      auto next = co_await with_timeout(30s, session_.accept());
      if (!next)
        co_return fail(Code::timeout,
                       "exec: the client opened " + std::to_string(i) + " of " + std::to_string(expected) + " streams within 30 s");
      if (!*next) co_return fail(Code::unavailable, "exec: the client left before it opened its streams");
      SpdyStreamPtr* slot = slot_for((*next)->headers().get("streamType"));
      if (!slot || *slot)
        co_return fail(Code::malformed, "exec: the client opened a stream of type " + quoted((*next)->headers().get("streamType")));
      *slot = std::move(*next);
    }
    if (!error_ || (streams_.in && !in_) || (streams_.out && !out_) || (streams_.err && !err_))
      co_return fail(Code::malformed, "exec: the client left out a stream that it announced");
    co_return {};
  }

  Task<Result<std::string>> read_stdin() override {
    if (!in_) co_return std::string();
    std::string buffer(16 * 1024, '\0');
    size_t got = CO_TRY(co_await in_->read(buffer.data(), buffer.size()));
    buffer.resize(got);
    co_return buffer;
  }
  Task<Result<void>> write_stdout(std::string_view bytes) override { return write(out_.get(), bytes); }
  Task<Result<void>> write_stderr(std::string_view bytes) override { return write(err_.get(), bytes); }
  Task<std::optional<TerminalSize>> next_resize() override {
    while (resize_) {
      if (size_t end = sizes_.find('}'); end != sizes_.npos) {
        auto size = parse_terminal_size(std::string_view(sizes_).substr(0, end + 1));
        sizes_.erase(0, end + 1);
        if (size) co_return size;
        continue;
      }
      char buffer[256];
      auto got = co_await resize_->read(buffer, sizeof buffer);
      if (!got || *got == 0 || sizes_.size() > 4096) break;
      sizes_.append(buffer, *got);
    }
    co_return std::nullopt;
  }
  Task<void> gone() override { return session_.ended(); }
  Task<Result<void>> finish(int exit_code) override {
    if (version_ >= 4) return end(exit_code == 0 ? success_status() : exit_status(exit_code));
    return end(exit_code == 0 ? "" : "command terminated with exit code " + std::to_string(exit_code));
  }
  Task<Result<void>> finish_error(std::string message) override {
    return end(version_ >= 4 ? failure_status(message) : std::move(message));
  }

 private:
  SpdyStreamPtr* slot_for(std::string_view type) {
    if (type == "error") return &error_;
    if (type == "stdin") return &in_;
    if (type == "stdout") return &out_;
    if (type == "stderr") return &err_;
    if (type == "resize") return &resize_;
    return nullptr;
  }
  static Task<Result<void>> write(SpdyStream* stream, std::string_view bytes) {
    if (!stream) co_return fail(Code::invalid, "exec: the client asked for no such stream");
    co_return co_await stream->write(bytes);
  }
  // Every stream ends, because kubectl reads each to its end before it exits.
  Task<Result<void>> end(std::string last) {
    for (SpdyStream* stream : {out_.get(), err_.get()})
      if (stream) CO_TRY(co_await stream->shutdown_write());
    if (!last.empty()) CO_TRY(co_await error_->write(last));
    CO_TRY(co_await error_->shutdown_write());
    co_await session_.close();
    co_return {};
  }

  SpdySession session_;
  RemoteCommandStreams streams_;
  int version_;
  SpdyStreamPtr error_, in_, out_, err_, resize_;
  std::string sizes_;
};

}  // namespace

Task<Result<std::unique_ptr<RemoteCommandServer>>> accept_remote_command_spdy(Request& request, Response& response,
                                                                              RemoteCommandStreams streams) {
  std::string protocol =
      CO_TRY(negotiate_spdy_protocol(request, response, {"v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"}));
  StreamPtr stream = CO_TRY(co_await upgrade_to_spdy(response, protocol));
  int version = protocol[0] == 'v' ? protocol[1] - '0' : 1;
  auto session = std::make_unique<SpdyServerSession>(std::move(stream), streams, version);
  CO_TRY(co_await session->gather());
  co_return std::unique_ptr<RemoteCommandServer>(std::move(session));
}

}  // namespace estiba::io
