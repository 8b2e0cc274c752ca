// The table of the CRI's methods: what gRPC calls, and what answers.
#pragma once
#include "cri/runtime.h"
#include "io/grpc_server.h"

namespace estiba::cri {

/// RuntimeService and ImageService of runtime.v1. `runtime` outlives the server of these methods.
io::GrpcServer::Methods methods(Runtime& runtime);

}  // namespace estiba::cri
