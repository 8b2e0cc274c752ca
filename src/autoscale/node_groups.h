// Groups of nodes that come and go with what pods need, and how they are told of: `estiba server --node-groups FILE`
// (docs/autoscaling-nodes.md).
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/result.h"
#include "model/types/core_v1.h"

namespace estiba::autoscale {

/// The label by which a group's nodes can be told; handed to the provider with the group's own labels.
inline constexpr std::string_view group_label = "estiba.io/node-group";

/// What a node of a group will be like, before there is one.
struct NodeTemplate {
  std::map<std::string, std::string> allocatable;  ///< as in a Node's status: at least cpu, memory and pods
  std::map<std::string, std::string> labels;
  std::vector<model::core_v1::Taint> taints;
};

/// A program that makes and removes nodes.
struct ExecProgram {
  std::vector<std::string> command;  ///< the first is an absolute path
  std::map<std::string, std::string> env;
  Duration timeout = std::chrono::minutes(1);
};

struct NodeGroup {
  std::string name;
  int64_t min = 0, max = 0;
  int64_t priority = 0;  ///< of groups that would waste as much, the one with the highest is taken
  NodeTemplate node;
  ExecProgram exec;
};

/// When nodes go. The defaults are those of Kubernetes' cluster-autoscaler.
struct ScaleDown {
  bool enabled = true;
  double threshold = 0.5;                              ///< of cpu or memory, whichever is more, that pods ask for
  Duration unneeded = std::chrono::minutes(10);        ///< so long a node must have been unneeded
  Duration unready = std::chrono::minutes(20);         ///< the same for a node that is not ready
  Duration after_add = std::chrono::minutes(10);       ///< no node goes so soon after one was added
  Duration after_failure = std::chrono::minutes(3);    ///< a node that could not be removed is left alone for so long
  Duration eviction_limit = std::chrono::minutes(2);   ///< so long evictions that are refused are tried again
  Duration longest_grace = std::chrono::minutes(10);   ///< so long evicted pods may take to end
  bool skip_local_storage = true, skip_system = true;  ///< pods with such volumes, or of kube-system without a budget, keep their node
};

struct NodeGroups {
  std::vector<NodeGroup> groups;
  ScaleDown scale_down;
  Duration provision_limit = std::chrono::minutes(15);                                           ///< a node must be ready by then
  Duration first_backoff = std::chrono::minutes(5), longest_backoff = std::chrono::minutes(30);  ///< of a group that failed
  Duration scan = std::chrono::seconds(10);  ///< while something is waited for, it is looked at so often

  const NodeGroup* find(std::string_view name) const;
};

/// Reads a text in YAML or JSON. Invalid when it is none, has an unknown field, or a value that makes no sense: every fault is named by its
/// field, "groups[0].max: Invalid value: 0: must be at least 1".
Result<NodeGroups> parse_node_groups(std::string_view text);

}  // namespace estiba::autoscale
