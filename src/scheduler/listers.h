// What else of the cluster decisions look at, as it is at the moment.
#pragma once
#include "client/informer.h"

namespace estiba::scheduler {

/// Null where a test knows of none. All in the thread of the scheduler.
struct Listers {
  client::Informer* services = nullptr;
  client::Informer* replication_controllers = nullptr;
  client::Informer* replica_sets = nullptr;
  client::Informer* stateful_sets = nullptr;
  client::Informer* claims = nullptr;
  client::Informer* volumes = nullptr;
  client::Informer* classes = nullptr;
  client::Informer* csi_nodes = nullptr;
  client::Informer* csi_drivers = nullptr;
  client::Informer* capacities = nullptr;
  client::Informer* attachments = nullptr;
};

}  // namespace estiba::scheduler
