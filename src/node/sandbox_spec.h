// From a pod to the engine's sandbox.
#pragma once
#include <string>
#include <vector>

#include "engine/spec.h"
#include "model/types/core_v1.h"
#include "network/pod_net.h"
#include "node/context.h"

namespace estiba::node {

/// The ports of the node that the pod's containers ask for.
std::vector<network::HostPort> host_ports(const model::core_v1::Pod& pod);

/// `netns` is empty for the host's network.
Result<engine::SandboxSpec> sandbox_spec(const Options& options, const model::core_v1::Pod& pod, const std::string& netns,
                                         const std::vector<std::string>& ips, const std::string& dns_address);

/// "/var/log/pods/<ns>_<name>_<uid>"
std::string log_directory(const Options& options, const model::core_v1::Pod& pod);

/// The pod's /etc/hosts.
std::string hosts_file(const model::core_v1::Pod& pod, const std::vector<std::string>& ips, const std::string& cluster_domain,
                       const std::string& host_file);

}  // namespace estiba::node
