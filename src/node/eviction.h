// Evictions: keeps the node usable (kubelet's pkg/kubelet/eviction). Every ten seconds it reads what is left of memory, disks, inodes and
// processes, which is a handful of system calls; pods are looked at only when something is short, or when they have limits of local
// storage. What the node can do without goes first (ended containers, unused images), then one pod at a time.
//
// Lives on the node's thread.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/task.h"
#include "node/admission.h"
#include "node/context.h"
#include "node/directory_sizes.h"
#include "node/layer_sizes.h"
#include "node/ranking.h"
#include "node/thresholds.h"

namespace estiba::node {

class ImageCollector;
class PodWorker;

class Evictions {
 public:
  struct Parts {
    std::function<std::vector<PodWorker*>()> workers;
    std::function<PodWorker*(const std::string& uid)> worker;  ///< null when it is gone
    ImageCollector* images;
    std::function<void(const std::vector<std::string_view>& conditions)> tell;  ///< the node's conditions have changed
  };
  Evictions(const Context& context, Parts parts);

  void start();
  /// Whether the node is too short of something to take the pod.
  std::optional<Refusal> refusal_of(const model::ObjectRef& pod) const;

 private:
  static Task<void> run(Evictions* self);
  Task<std::optional<std::string>> look();
  Task<std::optional<std::string>> make_room(std::vector<Threshold> acting, Observations seen, Instant seen_at);
  Task<void> reclaim(Signal signal);
  Task<std::optional<std::string>> over_limits();
  std::set<std::string> paths_of(const PodWorker& worker) const;
  struct Excess {
    const char* signal;  ///< by which evictions are counted
    std::string message;
  };
  std::optional<Excess> excess_of(const PodWorker& worker) const;
  Task<std::vector<PodUse>> read_pods(Signal signal);
  Task<PodUse> read_pod(std::string uid, Signal signal);
  Task<image::Usage> size_of(std::string path) { return sizes_.of(std::move(path)); }
  Task<void> wait_for_end(std::string uid);
  std::vector<std::string> active() const;

  const Context& context_;
  Parts parts_;
  Pressure pressure_;
  LayerSizes sizes_;        // by path; of pods that may have to go
  DirectorySizes limited_;  // of pods with limits
  std::vector<std::string_view> told_;
  std::string acted_;  // what was short at the last look: told once
  Job job_;
};

}  // namespace estiba::node
