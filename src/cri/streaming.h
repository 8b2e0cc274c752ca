// The streaming server: Exec, Attach and PortForward answer with a URL here, which a client (the kubelet's proxy, crictl) then opens by
// SPDY or WebSocket, as kubectl does. A URL holds a random token that is good for one request within a minute.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/task.h"
#include "engine/engine.h"
#include "io/http_server.h"
#include "io/loop.h"
#include "io/remote_command.h"

namespace estiba::cri {

class Streaming {
 public:
  Streaming(engine::Engine& engine, Executor& executor) : engine_(engine), executor_(executor) {}

  /// Listens on a free port of `host`, an address of this machine.
  Result<void> listen(io::Loop& loop, const std::string& host);
  Task<void> stop();

  /// What a token stands for.
  struct Ticket {
    enum class Kind : uint8_t { exec, attach, port_forward } kind = Kind::exec;
    std::string id;  ///< of the container, or of the sandbox
    std::vector<std::string> command;
    io::RemoteCommandStreams streams;
    Instant until{};
  };
  /// The URL for it. Exhausted when too many wait to be opened.
  Result<std::string> url(Ticket ticket);

 private:
  static Task<void> handle(Streaming* self, io::Request& request, io::Response& response);
  Task<void> serve_session(io::Request& request, io::Response& response, Ticket ticket);
  void forget_old();

  engine::Engine& engine_;
  Executor& executor_;
  std::string base_;  // "http://127.0.0.1:4711"
  std::map<std::string, Ticket, std::less<>> tickets_;
  std::unique_ptr<io::HttpServer> server_;
};

}  // namespace estiba::cri
