// kubectl port-forward, the server's side: SPDY/3.1 (portforward.k8s.io) directly, or inside a WebSocket
// (SPDY/3.1+portforward.k8s.io, "v2" in Kubernetes' KEP 4006).
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "base/task.h"
#include "io/http_server.h"

namespace estiba::io {

/// Serves the session until the client leaves. `dial` connects to a port of the pod, once for each connection kubectl
/// makes; its error is told to kubectl. Answers 400 itself when the request does not fit. Dropping the task ends it all.
using PortDialer = std::function<Task<Result<StreamPtr>>(uint16_t port)>;
Task<Result<void>> serve_port_forward(Request& request, Response& response, PortDialer dial);

}  // namespace estiba::io
