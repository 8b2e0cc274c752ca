// The pieces of remote_command.h. Internal to io/.
#pragma once
#include <deque>

#include "io/remote_command.h"

namespace estiba::io {

/// What the error channel says at the end, in the form of the session's protocol.
std::string success_status();
std::string exit_status(int exit_code);
std::string failure_status(std::string_view message);
/// {"Width":80,"Height":24}, any order.
std::optional<TerminalSize> parse_terminal_size(std::string_view json);
std::string print_terminal_size(TerminalSize size);

/// Bytes or sizes on their way from the connection's reader to whoever runs the command.
class InputQueue {
 public:
  static constexpr size_t most = 1024 * 1024;
  /// Waits while too much is unread.
  Task<void> push(std::string_view bytes);
  void end();
  void fail() {
    failed_ = true;
    end();
  }
  /// Empty: the end.
  Task<Result<std::string>> take();

 private:
  std::string bytes_;
  bool ended_ = false, failed_ = false;
  Event came_, taken_;
};

class ResizeQueue {
 public:
  void push(TerminalSize size) {
    latest_ = size;
    came_.set();
  }
  void end() {
    ended_ = true;
    came_.set();
  }
  Task<std::optional<TerminalSize>> take();

 private:
  std::optional<TerminalSize> latest_;  // older sizes do not matter any more
  bool ended_ = false;
  Event came_;
};

Task<Result<std::unique_ptr<RemoteCommandServer>>> accept_remote_command_websocket(Request& request, Response& response,
                                                                                   RemoteCommandStreams streams);
Task<Result<std::unique_ptr<RemoteCommandServer>>> accept_remote_command_spdy(Request& request, Response& response,
                                                                              RemoteCommandStreams streams);
/// Whether the request asks for SPDY/3.1.
bool is_spdy_request(const Request& request);
/// Picks the first of `ours` that the client offers in X-Stream-Protocol-Version; nothing offered picks the last. Answers 403
/// and fails when nothing fits.
Result<std::string> negotiate_spdy_protocol(Request& request, Response& response, const std::vector<std::string>& ours);
/// Answers 101 for SPDY/3.1 with the protocol.
Task<Result<StreamPtr>> upgrade_to_spdy(Response& response, std::string protocol);

}  // namespace estiba::io
