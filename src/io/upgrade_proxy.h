// A proxy for upgraded connections: repeats a client's upgrade request to a backend and copies bytes both ways. The API
// server passes exec, attach and port-forward on to the node with it.
#pragma once
#include "base/task.h"
#include "io/http_client.h"
#include "io/http_server.h"

namespace estiba::io {

/// Asks `url` for the same upgrade that `request` asks for (its Upgrade, Sec-WebSocket-* and X-Stream-Protocol-Version
/// headers), answers the client what the backend answered, refusals with their body included, and copies until both are
/// done. An error: the backend could not be reached, and nothing was answered yet.
Task<Result<void>> proxy_upgrade(Request& request, Response& response, HttpClient& client, std::string url, Headers extra = {});

}  // namespace estiba::io
