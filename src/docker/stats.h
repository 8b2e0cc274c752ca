// GET /containers/{id}/stats: samples of a container's use of the machine, as Docker's clients compute with them.
#pragma once
#include <map>
#include <optional>
#include <string>

#include "base/result.h"
#include "engine/network_counters.h"
#include "engine/spec.h"

namespace estiba::docker {

using engine::network_counters;
using engine::NetworkCounters;

/// The machine's own part of a sample.
struct HostUsage {
  uint64_t cpu_ns = 0;  ///< of all CPUs since boot, idle time included
  unsigned cpus = 0;
  uint64_t memory_bytes = 0;
};

struct Sample {
  WallTime at{};
  engine::ContainerStats container;
  HostUsage host;
  std::map<std::string, NetworkCounters> networks;  ///< by interface, without lo
};

/// Of /proc/stat (proc_stat(5)) and /proc/meminfo. Blocking, but short.
Result<HostUsage> host_usage();
HostUsage parse_proc_stat(std::string_view text);

/// One StatsResponse. Without a sample (a container that does not run) it holds zeros; without `before`, precpu_stats does.
std::string print_stats(std::string_view id, std::string_view name, const std::optional<Sample>& sample,
                        const std::optional<Sample>& before);

}  // namespace estiba::docker
