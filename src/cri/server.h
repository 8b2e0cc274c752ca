// The Container Runtime Interface, runtime.v1, on a unix socket: for crictl, and for a kubelet that is not ours.
#pragma once
#include <memory>

#include "cri/options.h"
#include "cri/runtime.h"
#include "io/grpc_server.h"
#include "io/loop.h"

namespace estiba::cri {

class Server {
 public:
  /// On the engine's loop. The parts outlive the server; the engine has recovered.
  Server(Options options, io::Loop& loop, Parts parts);
  ~Server();

  /// Takes up what an earlier server left, and listens.
  Task<Result<void>> start();
  /// Stops listening and lets go; containers go on.
  Task<void> stop();

 private:
  Options options_;
  io::Loop& loop_;
  Runtime runtime_;
  io::GrpcServer grpc_;
  std::unique_ptr<io::HttpServer> http_;
};

}  // namespace estiba::cri
