// What nodes have answered to pods of one shape. A Deployment's pods all ask the same, so a node's answer to one of them is its answer to
// the next, until the node changes: of thousands of nodes only those are asked again. Where filters look at more than the node itself
// (other pods, volumes), nothing is remembered.
#pragma once
#include <list>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "scheduler/decide.h"

namespace estiba::scheduler {

/// A node at which a pod could be placed if others went, or why not even then.
struct Candidate {
  const NodeState* node = nullptr;
  bool helps = false;
  Reasons why;                     ///< when it does not help
  std::vector<DemandPtr> victims;  ///< the most important first
  /// What is lost, the worst first: violations of disruption budgets, the highest priority, the sum of priorities, the number of pods.
  std::tuple<size_t, int64_t, int64_t, size_t> cost{};
  std::string oldest;  ///< when the longest-running of the most important victims started; a later time is less of a loss
};

class Verdicts {
 public:
  /// Drops the answers of nodes that have changed since. Before anything else is asked; the cluster's nodes() are in order.
  void refresh(const Cluster& cluster);

  bool fits(const Cycle& cycle, const NodeState& node);
  /// Whether all have been asked and none fits. While none does, the few that have changed since are asked for it.
  bool none_fits(const Cycle& cycle);
  /// Adds the reasons of the nodes that do not fit.
  void explain(const Cycle& cycle, Reasons& reasons);
  /// After explain(): the nodes that would fit if other pods went. Valid until the next refresh().
  const std::vector<const NodeState*>& may_preempt() const { return unschedulable_; }
  /// Adds what plugins that look at the node alone think of each node, by their weights.
  void add_scores(const Cycle& cycle, std::span<const NodeState* const> nodes, std::span<int64_t> sums);
  /// What was worked out about preemption at the node, one of may_preempt(); to be filled while it names no node. It stays where it is
  /// until the next refresh().
  Candidate& candidate(const NodeState& node);
  void forget_candidates() { candidates_.clear(); }

 private:
  enum class Known : uint8_t { nothing, fits, refuses, unschedulable, unresolvable };  // the last two with reasons
  struct Answer {
    Known known = Known::nothing;
    uint16_t reasons = 0;  // place in said_
  };
  struct Said {
    Reasons reasons;
    int64_t nodes = 0;  // that say so
  };
  void forget(int32_t position);
  void ask(const Cycle& cycle, const NodeState& node, Reasons* reasons);
  uint16_t place_of(Reasons reasons);

  static constexpr size_t few_ = 64;

  uint64_t order_ = 0, seen_ = 0;
  std::vector<Answer> answers_;  // by position
  size_t unasked_ = 0, fitting_ = 0;
  std::vector<int32_t> unexplained_;  // positions of all that do not fit, as far as is known, and give no reasons; others too
  std::vector<int32_t> fleeting_;     // positions whose answers are good for one pod only
  std::vector<Said> said_;
  std::vector<const NodeState*> unschedulable_;
  std::vector<int32_t> doubtful_;      // positions in unschedulable_ of nodes that have changed since; a few
  std::vector<int64_t> scores_;        // for add_scores(), by position, -1: not known; empty until the first is asked for
  bool complete_ = false;              // but for those, unschedulable_ is what it should be
  std::vector<Candidate> candidates_;  // by position, since hundreds are compared for a pod; empty until the first is asked for
};

class VerdictCache {
 public:
  /// In smaller clusters remembering costs more than asking.
  explicit VerdictCache(size_t least_nodes = 100) : least_nodes_(least_nodes) {}

  /// Refreshed; null when the cycle's answers cannot be remembered. Valid until the next call.
  Verdicts* of(const Cycle& cycle);
  /// Disruption budgets have changed.
  void forget_candidates();

 private:
  struct Entry {
    const Profile* profile;
    std::string shape;
    Verdicts verdicts;
  };
  const size_t least_nodes_;
  std::list<Entry> entries_;  // the one used last first
};

/// All of a pod that plugins which look at the node alone read, and its priority: pods of equal shape are answered equally.
std::string shape_of(const Demand& pod);

}  // namespace estiba::scheduler
