// Which containers have CPUs for themselves: the kubelet's CPU manager policies none and static
// (https://kubernetes.io/docs/tasks/administer-cluster/cpu-management-policies/, pkg/kubelet/cm/cpumanager/policy_static.go). With static,
// containers of Guaranteed pods that ask for whole CPUs get that many, and all other containers share the rest.
//
// Pure bookkeeping; Placement keeps it in a file.
#pragma once
#include <map>
#include <optional>
#include <string>

#include "model/json.h"
#include "model/types/core_v1.h"
#include "node/placement/cpu_choice.h"
#include "node/placement/hints.h"

namespace estiba::client {
class JsonWriter;
}

namespace estiba::node {

struct CpuOptions {
  bool exclusive = false;           ///< policy static
  bool whole_cores = false;         ///< full-pcpus-only
  bool strict_reservation = false;  ///< strict-cpu-reservation: the reserved ones are nobody's
  CpuSpread spread = CpuSpread::packed;
  CpuSet reserved;            ///< never given to one container
  size_t reserved_count = 0;  ///< so many, when `reserved` is empty
};

class Cpus {
 public:
  /// Errors (invalid): reserved CPUs that are none, or none reserved with the policy static.
  static Result<Cpus> make(const Topology& topology, CpuOptions options);

  bool exclusive() const { return options_.exclusive; }
  /// Those of all containers without CPUs of their own.
  const CpuSet& shared() const { return shared_; }
  /// Those that containers may have for themselves.
  CpuSet allocatable() const { return topology_.all() - options_.reserved; }
  std::optional<CpuSet> given(const std::string& pod, const std::string& container) const;
  bool has(const std::string& pod) const { return given_.contains(pod); }
  std::vector<std::string> pods() const;

  /// How many a container is to have for itself; 0: it shares.
  size_t wanted(const model::core_v1::Pod& pod, const model::core_v1::Container& container) const;

  /// Where so many could be; `reusable` are those of init containers that have ended by then.
  std::vector<Hint> hints(size_t count, const CpuSet& reusable) const;
  /// Gives a container so many, on `nodes` as far as they are there. Errors carry the reason SMTAlignmentError where whole cores are
  /// wanted and cannot be; Code::exhausted when too few are free.
  Result<CpuSet> give(const std::string& pod, const std::string& container, size_t count, const std::optional<NumaNodes>& nodes,
                      const CpuSet& reusable);
  /// Whether anything was the pod's.
  bool release(const std::string& pod);

  /// {"policy": "static", "shared": "0,2-3", "given": {POD: {CONTAINER: "1"}}}
  void save(client::JsonWriter& json) const;
  /// Errors say what differs from the machine and the flags.
  Result<void> load(const json::Node& saved);

 private:
  Cpus(const Topology& topology, CpuOptions options) : topology_(topology), options_(std::move(options)) {}
  CpuSet all_shared() const { return options_.strict_reservation ? allocatable() : topology_.all(); }
  CpuSet free() const { return shared_ - options_.reserved; }
  Result<void> check_cores(size_t count) const;

  Topology topology_;
  CpuOptions options_;
  CpuSet shared_;
  std::map<std::string, std::map<std::string, CpuSet>> given_;  // pod's uid → container
};

/// The kubelet's --cpu-manager-policy-options, "full-pcpus-only=true,…", into the options. Errors name what is wrong.
Result<void> read_cpu_policy_options(std::string_view text, CpuOptions& options);

}  // namespace estiba::node
