// The directories of persistent volumes that live on this node:
//
//   <data-dir>/persistent-volumes/<volumeHandle>
//
// A pod's mount makes one (node/claims.h). When its volume is deleted, the directory goes first, if the reclaim policy says so, and
// then the finalizer that held the volume.
#pragma once
#include "base/task.h"
#include "client/informer.h"
#include "node/context.h"

namespace estiba::node {

/// Where the volume with this handle lies.
std::string local_volume_path(const Options& options, std::string_view handle);

class LocalVolumes {
 public:
  explicit LocalVolumes(const Context& context);
  LocalVolumes(const LocalVolumes&) = delete;

  /// Begins to listen; what was deleted while this node was away is found at once.
  void start();

 private:
  void look_at(const model::ObjectRef& volume);
  static Task<void> let_go(LocalVolumes* self, model::ObjectRef volume);
  Task<Result<void>> remove(model::ObjectRef volume);

  const Context& context_;
  TaskGroup tasks_;
};

}  // namespace estiba::node
