// Extension points of a decision. A plugin is one file in plugins/ and one line in table.cpp.
//
//   prepare → what a filter works out once about the pod; it may refuse it, or have nothing to say to it
//   check   → which nodes can take the pod, and why the others cannot
//   score   → which of them is best
//   reserve → Cluster::assume: the place is taken before it is written (undone when binding fails)
//   bind    → the placement is written
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "client/client.h"
#include "scheduler/cluster.h"
#include "scheduler/plugin_args.h"

namespace estiba::scheduler {

enum class Verdict : uint8_t {
  fits,
  unschedulable,  ///< it would if other pods went
  unresolvable,   ///< whoever goes, it does not
};

/// Why nodes cannot take a pod, worded as Kubernetes does, with the number of nodes.
class Reasons {
 public:
  void add(std::string_view reason, int64_t nodes = 1);
  /// What was said of one node holds for so many.
  void add(const Reasons& of_one, int64_t nodes);
  bool operator==(const Reasons&) const = default;
  /// "1 Insufficient cpu, 2 Too many pods", sorted as text.
  std::string print() const;

 private:
  std::vector<std::pair<std::string, int64_t>> counts_;
};

/// What a filter has worked out about the pod of one decision.
class PluginState {
 public:
  virtual ~PluginState() = default;
  /// For trying out what would be if pods were elsewhere.
  virtual std::unique_ptr<PluginState> copy() const = 0;
  /// As if `other` were on the node (`by` = 1) or no longer there (-1).
  virtual void change(const Demand& other, const NodeState& node, int by) = 0;
  /// Whether it refuses no node as things are.
  virtual bool refuses_none() const { return false; }
};

struct Prepared {
  bool skip = false;                             ///< the filter has nothing to say about this pod
  std::unique_ptr<PluginState> state;            ///< may be null
  std::optional<std::vector<std::string>> only;  ///< no other nodes come into question
  std::string refusal;                           ///< when not empty: no node can take the pod, and this is why
};

struct FilterPlugin {
  std::string_view name;
  /// Whether the node can take the pod. When not, and `why` is not null, the reasons are added.
  Verdict (*check)(const Demand& pod, const PluginState* state, const NodeState& node, Reasons* why);
  Prepared (*prepare)(const Cluster& cluster, const Demand& pod, const PluginArgs& args) = nullptr;
  /// What it says depends on nothing but the node and the pod's shape (verdicts.h): it stands until the node changes.
  bool local = false;
};

/// How good each of the nodes is: 0 … 100, into `scores`. False when it makes no difference to this pod.
struct ScorePlugin {
  std::string_view name;
  int64_t weight;
  bool (*score)(const Cluster& cluster, const Demand& pod, const PluginArgs& args, std::span<const NodeState* const> nodes,
                std::span<int64_t> scores);
  bool local = false;  ///< as FilterPlugin's
};
/// The best has 100, in proportion.
void scale_to_best(std::span<int64_t> scores);
/// What speaks against nodes becomes what speaks for them: the worst has 0, in proportion.
void scale_from_worst(std::span<int64_t> scores);

/// Writes the placement.
struct BindPlugin {
  std::string_view name;
  Task<Result<void>> (*bind)(client::Client& client, DemandPtr pod, std::string node);
};

/// The plugins that run for some pods, in Kubernetes' order: the first that refuses a node says why.
struct Profile {
  std::string name;  ///< serves the pods whose spec.schedulerName is this
  std::vector<FilterPlugin> filters;
  std::vector<ScorePlugin> scores;
  BindPlugin bind;
  PluginArgs args{};
  int percent_to_score = 0;   ///< of the nodes that fit, so many are compared; 0: by the cluster's size
  bool preempts = true;       ///< DefaultPreemption
  bool binds_volumes = true;  ///< VolumeBinding
  bool binds_claims = true;   ///< DynamicResources
};
/// All plugins (table.cpp), as Kubernetes has them when nothing is configured.
const Profile& default_profile();

}  // namespace estiba::scheduler
