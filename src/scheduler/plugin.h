// Extension points of a decision. A plugin is one file in plugins/ and one line in table.cpp.
//
//   filter  → which nodes can take the pod, and why the others cannot
//   score   → which of them is best
//   reserve → Cluster::assume: the place is taken before it is written (undone when binding fails)
//   bind    → the placement is written
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "client/client.h"
#include "scheduler/cluster.h"

namespace estiba::scheduler {

/// Whether the node can take the pod. When not, and `why` is not null, the reasons are appended, worded as Kubernetes does.
struct FilterPlugin {
  std::string_view name;
  bool (*fits)(const Demand& pod, const NodeState& node, std::vector<std::string>* why);
};

/// How good the node is. `scale` says how raw scores become 0 … 100 over all candidates.
struct ScorePlugin {
  enum class Scale : uint8_t {
    as_is,       ///< already 0 … 100
    to_best,     ///< the best candidate has 100
    from_worst,  ///< raw scores count what speaks against a node: the worst candidate has 0
  };
  std::string_view name;
  int64_t weight;
  Scale scale;
  int64_t (*score)(const Demand& pod, const NodeState& node);
};

/// Writes the placement.
struct BindPlugin {
  std::string_view name;
  Task<Result<void>> (*bind)(client::Client& client, DemandPtr pod, std::string node);
};

struct Profile {
  std::span<const FilterPlugin> filters;
  std::span<const ScorePlugin> scores;
  BindPlugin bind;
};
/// All plugins (table.cpp), cheap filters first.
const Profile& default_profile();

}  // namespace estiba::scheduler
