// One session of kubectl exec or attach, whatever carries it: WebSocket (v5, v4 and unversioned channel.k8s.io, and their
// base64 forms) or SPDY/3.1 (v4 to v1). The node serves it, the API server proxies the bytes, a client can drive it.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/task.h"
#include "io/http_client.h"
#include "io/http_server.h"

namespace estiba::io {

/// Which streams take part; from the query (stdin, stdout, stderr, tty).
struct RemoteCommandStreams {
  bool in = false, out = true, err = true, tty = false;  ///< with tty, err has no stream
  static RemoteCommandStreams from_query(const Query& query);
};

struct TerminalSize {
  uint16_t width = 0, height = 0;
};

/// The server's side: this process runs the command.
class RemoteCommandServer {
 public:
  virtual ~RemoteCommandServer() = default;
  /// Bytes for the command's standard input; empty: the client has closed it. An error: the client has gone.
  virtual Task<Result<std::string>> read_stdin() = 0;
  virtual Task<Result<void>> write_stdout(std::string_view bytes) = 0;
  virtual Task<Result<void>> write_stderr(std::string_view bytes) = 0;
  /// The next size of the client's terminal; nullopt: no more will come.
  virtual Task<std::optional<TerminalSize>> next_resize() = 0;
  /// Waits until the client has gone.
  virtual Task<void> gone() = 0;
  /// Tells how the command ended and closes the session. `exit_code` 0 is success; the status follows metav1.Status with
  /// reason NonZeroExitCode.
  virtual Task<Result<void>> finish(int exit_code) = 0;
  /// Tells that it could not run or broke, in a Status with reason InternalError.
  virtual Task<Result<void>> finish_error(std::string message) = 0;
};

/// Accepts the upgrade and waits for the client's streams. Answers 400 or 403 itself when the request does not fit.
Task<Result<std::unique_ptr<RemoteCommandServer>>> accept_remote_command(Request& request, Response& response,
                                                                         RemoteCommandStreams streams);

/// The client's side: somebody else runs the command.
class RemoteCommandClient {
 public:
  virtual ~RemoteCommandClient() = default;
  struct Output {
    enum class From : uint8_t { out, err, status } from;  ///< status: `data` is the metav1.Status JSON, the last of all
    std::string data;
  };
  /// nullopt: the session has ended.
  virtual Task<Result<std::optional<Output>>> read() = 0;
  virtual Task<Result<void>> write_stdin(std::string_view bytes) = 0;
  virtual Task<Result<void>> close_stdin() = 0;
  virtual Task<Result<void>> resize(TerminalSize size) = 0;
};
/// By WebSocket v5 or v4.
Task<Result<std::unique_ptr<RemoteCommandClient>>> connect_remote_command(HttpClient& client, ClientRequest request,
                                                                          RemoteCommandStreams streams);

}  // namespace estiba::io
