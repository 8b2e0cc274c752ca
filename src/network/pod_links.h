// How pods get their networks: a slot of our own bridge (pod_network.h), or a chain of CNI plugins (cni/pods.h). All calls block; they are
// made on as many threads as the implementation says.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/result.h"
#include "network/pod_net.h"

namespace estiba::network {

class PodLinks {
 public:
  virtual ~PodLinks() = default;

  /// Adopts what an earlier run left and is whole; the rest goes, now or at the next sweep().
  virtual Result<void> start() = 0;
  /// The pod's network, or a new one.
  virtual Result<PodNet> attach(const PodRequest& pod) = 0;
  /// For all others it is gone at once; what it has in the kernel may be left to sweep().
  virtual Result<void> detach(const std::string& uid) = 0;
  /// Removes what was detached. False when there was nothing to remove.
  virtual Result<bool> sweep() = 0;
  /// Makes one network ahead of need if some are wanted; false when there are enough.
  virtual Result<bool> refill() { return false; }
  /// Everything goes.
  virtual Result<void> remove_all() = 0;

  /// Whether pods could be attached now; the error says what is missing.
  virtual Result<void> status() { return {}; }
  /// What belongs to none of the pods goes: called once, when it is known which pods live.
  virtual Result<void> collect_garbage() { return {}; }

  virtual std::vector<PodRequest> pods() const = 0;
  virtual std::optional<PodNet> find(std::string_view uid) const = 0;
  /// Whether the pod's host ports are led to it by this, so that nobody else needs to.
  virtual bool maps_ports(std::string_view) const { return false; }

  /// How many threads may call at once.
  virtual int threads() const { return 1; }
  /// When a sweep that has failed is to be tried again; nothing: with the next one.
  virtual std::optional<Duration> try_again() const { return {}; }
};

}  // namespace estiba::network
