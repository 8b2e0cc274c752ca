// What the node, its pods and their containers use of the machine, by the control groups: GET /stats/summary (the kubelet's
// stats/v1alpha1 Summary) and GET /metrics/resource (KEP 727). Read when somebody asks; nothing runs in between.
#pragma once
#include <map>
#include <optional>
#include <string>

#include "node/node.h"
#include "node/volume_stats.h"

namespace estiba::node {

class Usage {
 public:
  explicit Usage(Node& node) : node_(node), volumes_(node.context()) {}

  /// JSON. CPU as nanoseconds since the start and as nanocores over the last ten seconds or more (since the start when nobody has asked
  /// before), memory in bytes; the working set is what the kernel cannot drop without a fight.
  Task<std::string> summary();
  /// Prometheus' text form: CPU in seconds since the start, working sets in bytes.
  Task<std::string> resource_metrics();
  /// The same of volumes, as far as their drivers tell.
  Task<std::string> volume_metrics() { return volumes_.metrics(); }

 private:
  struct Reading {
    WallTime at{}, started{};
    uint64_t cpu_ns = 0;
    uint64_t nanocores = 0;
    uint64_t memory = 0, working_set = 0, rss = 0;
    uint64_t available = 0;                        ///< memory; of the machine only
    std::optional<uint64_t> swap, swap_available;  ///< where it is counted; where there is a limit
  };
  struct ContainerReading {
    std::string name;
    Reading use;
  };
  struct PodReading {
    model::ObjectRef pod;
    std::vector<ContainerReading> containers;
    Reading total() const;
  };
  // Of what a rate is computed: the newest reading, and the one that is old enough to compare with.
  struct Past {
    WallTime last_at{}, base_at{};
    uint64_t last_cpu = 0, base_cpu = 0;
    bool seen = false;
  };

  Task<std::vector<PodReading>> read_pods();
  Reading read_machine();
  static void read_swap(const std::map<std::string, uint64_t>& memory, Reading& use);
  uint64_t rate(const std::string& key, Reading& reading);
  void forget();

  Node& node_;
  VolumeStats volumes_;
  std::map<std::string, Past> past_;  // by container id; "" is the machine
};

}  // namespace estiba::node
