// Takes an HTTP connection over for a session, as Docker's clients expect it: 101 with Upgrade for those that ask for it, 200
// for older ones; or a WebSocket.
#pragma once
#include <memory>

#include "base/result.h"
#include "base/task.h"
#include "docker/streams/multiplex.h"
#include "io/http_server.h"

namespace estiba::docker {

/// Read the request's body first. `tty`: raw bytes; else frames. Clients before API 1.42 are told of raw-stream either way.
Task<Result<std::shared_ptr<Client>>> hijack(io::Request& request, io::Response& response, bool tty, bool name_multiplexed);

/// A WebSocket's messages are input, and its binary messages output, unframed. Answers a wrong handshake itself.
Task<Result<std::shared_ptr<Client>>> accept_websocket_client(io::Request& request, io::Response& response);

/// The body of a streamed answer, which was started. Its client sends nothing. `response` outlives it.
std::shared_ptr<Client> answer_client(io::Response& response, bool multiplexed);

}  // namespace estiba::docker
