// The CRI beside Docker's engine in `estiba engine`: sandboxes with a pod network of this machine's own, without a cluster of ours.
#pragma once
#include <memory>
#include <string>

#include "cri/server.h"
#include "docker/daemon.h"

namespace estiba::server {

struct LoneCriOptions {
  std::string socket;  ///< empty: the CRI is not served
  std::string pod_cidr = "10.42.0.0/24", service_cidr = "10.43.0.0/16";
};

class LoneCri {
 public:
  LoneCri(LoneCriOptions options, docker::Daemon& daemon) : options_(std::move(options)), daemon_(daemon) {}
  /// After the daemon's start; does nothing without a socket.
  Task<Result<void>> start();
  /// Before the daemon's stop. Containers go on.
  Task<void> stop();

 private:
  LoneCriOptions options_;
  docker::Daemon& daemon_;
  std::unique_ptr<client::Client> client_;
  std::unique_ptr<network::Network> network_;
  std::unique_ptr<cri::Server> server_;
};

}  // namespace estiba::server
