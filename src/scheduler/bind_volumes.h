// Writes what a decision means for a pod's claims, and waits until they are bound (the prebind step of Kubernetes' VolumeBinding).
#pragma once
#include <map>
#include <string>

#include "base/task.h"
#include "client/client.h"
#include "scheduler/volumes.h"

namespace estiba::scheduler {

class VolumeWriter {
 public:
  VolumeWriter(client::Client& client, Executor& executor, Cluster& cluster) : client_(client), executor_(executor), cluster_(cluster) {}

  /// The plan counts for further decisions from now on; call `write` next.
  void reserve(const VolumePlan& plan, const std::string& node);
  /// Done when every claim of the plan is bound. Fails when a write does, when a provisioner gives the claim back, when the pod is gone
  /// (`pods` does not have it), and after `longest`.
  Task<Result<void>> write(VolumePlan plan, std::string node, client::Informer* pods, model::ObjectRef pod, Duration longest);
  /// A claim, a volume or a pod has changed.
  void changed();

 private:
  static Task<Result<void>> bind(VolumeWriter* self, VolumePlan plan, std::string node, client::Informer* pods, model::ObjectRef pod,
                                 Duration longest);
  Result<bool> bound(const VolumePlan& plan, const std::string& node) const;
  void release(const VolumePlan& plan);

  client::Client& client_;
  Executor& executor_;
  Cluster& cluster_;
  std::map<int, Event*> waiting_;
  int next_ = 0;
};

}  // namespace estiba::scheduler
