// The ids of pods' user namespaces (hostUsers: false): each pod has a range that no other pod on the node has, and so no file or process of
// one that escapes is another's. As in the kubelet (KEP-127, pkg/kubelet/userns): ranges are multiples of their size, from the subordinate
// ids of the user `kubelet` when there is one and getsubids(1) tells them, else from the first multiple on.
//
//   <data-dir>/pods/<uid>/userns   {"uidMappings": [{"hostId", "containerId", "length"}], "gidMappings": [the same]}
//
// The file is written before anything has the ids, and goes with the pod's directory, so that a restart and a reboot find them again. Calls
// block; any thread.
#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "base/result.h"

namespace estiba::node {

struct IdPool {
  uint64_t first = 0, count = 0;  ///< multiples of the size of a pod's range
};

/// Code::invalid unless it is a multiple of 65536 of which there are two at least among all ids.
Result<void> check_ids_per_pod(int64_t per_pod);
/// The pool of this machine for ranges of `per_pod` ids; an error when what getsubids(1) says cannot be used.
Result<IdPool> find_id_pool(uint32_t per_pod);
/// From the output of `getsubids kubelet`: "0: kubelet 65536 7208960".
Result<IdPool> parse_subordinate_ids(const std::string& text, uint32_t per_pod);

class UserIds {
 public:
  struct Range {
    uint32_t first = 0, size = 0;
  };
  UserIds(std::string data_dir, uint32_t per_pod) : data_dir_(std::move(data_dir)), per_pod_(per_pod) {}

  /// Finds the pool, tries it out, and reads what pods have. An error is kept: take() tells it to every pod.
  Result<void> open(const std::string& run_dir);
  /// The same with a pool that is given, and without a trial.
  Result<void> open(IdPool pool);
  /// The pod's range: the one that it has, else the lowest that is free. Errors name spec.hostUsers; Code::exhausted when all are taken.
  Result<Range> take(const std::string& uid);
  /// When nothing of the pod is left. Without a range it is fine.
  void release(const std::string& uid);
  /// Whether pods can have user namespaces here.
  bool offered() const;

 private:
  std::string file(const std::string& uid) const { return data_dir_ + "/pods/" + uid + "/userns"; }
  Result<void> load();
  Result<Range> read(const std::string& uid) const;
  Result<void> write(const std::string& uid, Range range) const;
  bool is_free(Range range) const;

  const std::string data_dir_;
  const uint32_t per_pod_;
  mutable std::mutex mutex_;
  Result<IdPool> pool_ = fail(Code::unsupported, "not looked at yet");  // guarded by mutex_
  std::map<std::string, Range> taken_;                                  // guarded by mutex_; by the pod's uid
};

}  // namespace estiba::node
