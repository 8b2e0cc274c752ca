// The flags of where a node's containers run: the kubelet's CPU and topology managers.
#pragma once
#include <string>
#include <vector>

#include "cli/flags.h"
#include "model/quota.h"
#include "node/placement/placement.h"

namespace estiba::server {

struct PlacementFlags {
  std::string cpu_policy = "none", cpu_options, reserved_cpus;
  std::string memory_policy = "None";
  std::vector<std::string> reserved_memory;
  std::string topology_policy = "none", topology_scope = "container", topology_options;

  void declare(cli::Flags& flags);
  /// `reserved`: what --system-reserved and --kube-reserved keep together. Errors name the flag.
  Result<node::PlacementOptions> read(const model::ResourceList& reserved) const;
};

}  // namespace estiba::server
