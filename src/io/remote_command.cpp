#include "io/remote_command.h"

#include "base/strings.h"
#include "io/remote_command_impl.h"
#include "io/websocket.h"

namespace estiba::io {

RemoteCommandStreams RemoteCommandStreams::from_query(const Query& query) {
  RemoteCommandStreams streams{
      .in = query.flag("stdin"), .out = query.flag("stdout"), .err = query.flag("stderr"), .tty = query.flag("tty")};
  if (streams.tty) streams.err = false;  // a terminal has one output
  return streams;
}

// --- the last word -------------------------------------------------------------------------------------------------------------

static std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (unsigned char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += char(c);
    } else if (c < 0x20) {
      char escape[8];
      snprintf(escape, sizeof escape, "\\u%04x", c);
      out += escape;
    } else {
      out += char(c);
    }
  }
  return out + "\"";
}

std::string success_status() { return R"({"metadata":{},"status":"Success"})"; }

std::string exit_status(int exit_code) {
  std::string code = std::to_string(exit_code);
  return R"({"metadata":{},"status":"Failure","message":"command terminated with non-zero exit code: exit status )" + code +
         R"(","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":")" + code + R"("}]}})";
}

std::string failure_status(std::string_view message) {
  return R"({"metadata":{},"status":"Failure","message":)" + json_string("Internal error occurred: " + std::string(message)) +
         R"(,"reason":"InternalError","details":{"causes":[{"message":)" + json_string(message) + R"(}]},"code":500})";
}

std::optional<TerminalSize> parse_terminal_size(std::string_view json) {
  auto number = [&](std::string_view key) -> std::optional<uint16_t> {
    size_t at = json.find(key);
    if (at == json.npos) return std::nullopt;
    at = json.find_first_not_of(": \t\"", at + key.size());
    if (at == json.npos) return std::nullopt;
    return parse_number<uint16_t>(json.substr(at, json.find_first_not_of("0123456789", at) - at));
  };
  auto width = number("\"Width"), height = number("\"Height");
  if (!width || !height) return std::nullopt;
  return TerminalSize{*width, *height};
}

std::string print_terminal_size(TerminalSize size) {
  return "{\"Width\":" + std::to_string(size.width) + ",\"Height\":" + std::to_string(size.height) + "}\n";
}

// --- queues ----------------------------------------------------------------------------------------------------------------------

Task<void> InputQueue::push(std::string_view bytes) {
  while (bytes_.size() > most && !ended_) {
    taken_.reset();
    co_await taken_.wait();
  }
  bytes_ += bytes;
  came_.set();
}

void InputQueue::end() {
  ended_ = true;
  came_.set();
  taken_.set();
}

Task<Result<std::string>> InputQueue::take() {
  while (bytes_.empty() && !ended_) {
    came_.reset();
    co_await came_.wait();
  }
  if (bytes_.empty() && failed_) co_return estiba::fail(Code::unavailable, "the client has gone");
  taken_.set();
  co_return std::exchange(bytes_, {});
}

Task<std::optional<TerminalSize>> ResizeQueue::take() {
  while (!latest_ && !ended_) {
    came_.reset();
    co_await came_.wait();
  }
  co_return std::exchange(latest_, std::nullopt);
}

// --- which carrier ---------------------------------------------------------------------------------------------------------------

Task<Result<std::unique_ptr<RemoteCommandServer>>> accept_remote_command(Request& request, Response& response,
                                                                         RemoteCommandStreams streams) {
  if (!streams.in && !streams.out && !streams.err) {
    response.send(400, {{"Content-Type", "text/plain"}}, "you must specify at least 1 of stdin, stdout, stderr\n");
    co_return fail(Code::invalid, "exec: none of stdin, stdout and stderr is asked for");
  }
  if (is_websocket_request(request)) co_return co_await accept_remote_command_websocket(request, response, streams);
  co_return co_await accept_remote_command_spdy(request, response, streams);
}

}  // namespace estiba::io
