// ConfigMap kube-system/cluster-autoscaler-status: how things are, in the form that cluster-autoscaler writes.
#pragma once
#include <map>
#include <string>

#include "autoscale/fleet.h"

namespace estiba::autoscale {

inline const client::EventTarget status_target{
    .api_version = "v1", .kind = "ConfigMap", .ns = "kube-system", .name = "cluster-autoscaler-status"};

/// What is told beside the machines themselves.
struct Findings {
  std::map<std::string, Instant> unneeded;  ///< nodes, and since when
  bool complete = true;                     ///< every group is known
};

/// YAML without times: it changes when something happens.
std::string status_text(Fleet& fleet, const World& world, const NodeGroups& groups, const Findings& findings);

/// Writes the map when its text has changed since the last call.
class StatusWriter {
 public:
  StatusWriter(client::Client& client, Executor& executor) : client_(client), executor_(executor) {}
  Task<Result<void>> write(std::string text);

 private:
  client::Client& client_;
  Executor& executor_;
  std::string last_;
};

}  // namespace estiba::autoscale
