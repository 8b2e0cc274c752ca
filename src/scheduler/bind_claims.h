// Writes what a decision means for a pod's device claims, and waits until their devices are ready (the reserve, prebind and unreserve steps
// of Kubernetes' DynamicResources).
#pragma once
#include <map>
#include <string>

#include "base/task.h"
#include "client/client.h"
#include "scheduler/devices/devices.h"

namespace estiba::scheduler {

class ClaimWriter {
 public:
  ClaimWriter(client::Client& client, Executor& executor, devices::Devices& devices)
      : client_(client), executor_(executor), devices_(devices) {}

  /// The plan counts for further decisions from now on; call `write` next.
  void reserve(const devices::DevicePlan& plan);
  /// Done when every claim is allocated and reserved for the pod, and what has to be done to its devices first is done. Fails when a write
  /// does, when a device cannot be made ready, and when it is not after `longest`.
  Task<Result<void>> write(devices::DevicePlan plan, model::ObjectRef pod, Duration longest);
  /// The pod is not bound after all: others may have what was reserved for it. Devices that were not made ready are given back.
  Task<void> release(devices::DevicePlan plan, model::ObjectRef pod);
  /// Takes a claim's devices back, so that it may get others where its pod can go.
  Task<Result<void>> deallocate(devices::ClaimPtr claim);
  /// A claim has changed.
  void changed();

 private:
  Task<Result<void>> bind(devices::DevicePlan::Entry entry, model::ObjectRef pod);
  Task<Result<void>> wait_ready(std::vector<devices::DevicePlan::Entry> entries, Duration longest);
  Result<bool> ready(const std::vector<devices::DevicePlan::Entry>& entries) const;

  client::Client& client_;
  Executor& executor_;
  devices::Devices& devices_;
  std::map<int, Event*> waiting_;
  int next_ = 0;
};

}  // namespace estiba::scheduler
