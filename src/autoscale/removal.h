// How a node goes: no pod comes to it any more, its pods are evicted, and then its machine and its Node are removed.
#pragma once
#include <string>

#include "autoscale/fleet.h"

namespace estiba::autoscale {

struct RemovalParts {
  client::Client& client;
  Executor& executor;
  World& world;
  Fleet& fleet;
  const ScaleDown& settings;
  client::EventRecorder& events;
  client::EventTarget status;
};

/// Removes the member, which is marked `going`; events say how it goes. When it cannot be, the node takes pods again and is left alone for
/// a while. `reason` is "empty", "underutilized" or "unready". The parts outlive it.
Task<void> remove_node(const RemovalParts* parts, std::string name, std::string reason);

/// Takes the taint of a node that is going away again. A Node that is gone is no error.
Task<Result<void>> unmark_going(const RemovalParts* parts, std::string name);

}  // namespace estiba::autoscale
