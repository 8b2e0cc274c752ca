// What a build's RUNs are connected to: the Docker networks.
#pragma once
#include "build/solve/builder.h"

namespace estiba::docker {

class Daemon;

class DockerBuildNetworks final : public build::BuildNetworks {
 public:
  explicit DockerBuildNetworks(Daemon& daemon) : daemon_(daemon) {}
  Task<Result<build::NetworkLease>> attach(std::string container_id, std::string mode, std::vector<std::string> extra_hosts) override;
  Task<void> release(std::string container_id) override;

 private:
  Daemon& daemon_;
};

}  // namespace estiba::docker
