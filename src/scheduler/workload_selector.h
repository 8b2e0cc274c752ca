// Which pods are of one kind with a pod: those of its services and of its controller.
#pragma once
#include "model/selector.h"
#include "scheduler/demand.h"
#include "scheduler/listers.h"

namespace estiba::scheduler {

/// What the services that select the pod, and the ReplicaSet, StatefulSet or ReplicationController that controls it, all select. Empty
/// when there are none.
model::LabelSelector workload_selector(const Listers& listers, const Demand& pod);

}  // namespace estiba::scheduler
