// What is wrong with a machine's network for pods and services: a look at the kernel, which changes nothing.
#pragma once
#include <string>
#include <vector>

#include "network/address.h"
#include "os/nft_chains.h"
#include "os/rtnl.h"

namespace estiba::network {

struct Finding {
  enum class Grade : uint8_t { good, warning, problem };
  Grade grade = Grade::good;
  std::string subject;  ///< "forwarding", "subnets", "modules", "firewall", "connections"
  std::string message;
  std::string remedy;  ///< what to do; empty when there is nothing to do
};

struct DoctorOptions {
  std::string bridge = "estiba0";
  std::vector<Prefix> pod_cidrs, service_cidrs;  ///< one, or one of each family
};

/// Everything, in the network namespace of the caller; at least one finding a subject.
std::vector<Finding> examine_network(const DoctorOptions& options);

// The parts that decide, for tests.
/// Networks of this machine, reached by links that are not ours, that have addresses of pods or services.
std::vector<Finding> find_clashes(const std::vector<os::rtnl::Route>& routes, const std::vector<os::rtnl::Link>& links,
                                  const DoctorOptions& options);
/// Chains of others that drop packets of pods by their policy; `v6`: pods have IPv6 addresses.
std::vector<Finding> find_barriers(const std::vector<os::nft::BaseChain>& chains, const std::string& bridge, bool v6 = false);

}  // namespace estiba::network
