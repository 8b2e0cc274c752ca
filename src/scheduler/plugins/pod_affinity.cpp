// Pod affinity and anti-affinity, of the pod that is placed and of those that are (Kubernetes' InterPodAffinity).
#include <algorithm>

#include "scheduler/plugins/plugins.h"

namespace estiba::scheduler {

namespace {

/// Pods by domain, with changes that are only tried out.
struct Count {
  size_t topology;
  const DomainCounts* pods = nullptr;  ///< null: none
  const Carried* carried = nullptr;    ///< whose they are, of terms of placed pods
  std::vector<std::pair<int32_t, int32_t>> changes{};

  bool any_at(const NodeState& node) const {
    const int32_t domain = node.domains[topology];
    int32_t count = pods ? pods->at(domain) : 0;
    for (const auto& [key, by] : changes) count += key == domain ? by : 0;
    return domain >= 0 && count > 0;
  }
};

class AffinityState : public PluginState {
 public:
  AffinityState(const Cluster& cluster, const Demand& pod) : tallies_(cluster.tallies()), pod_(pod) {
    const model::Meta& meta = pod.pod.meta();
    tallies_.carried(meta, [&](const Carried& carried) {
      if (carried.kind == Carried::Kind::required_anti) existing_.push_back({carried.topology, &carried.pods, &carried});
    });
    if (!pod.affinity) return;
    for (const TermPtr& term : pod.affinity->required) {
      const Tally& tally = tallies_.count(pod.affinity->required, term->topology_key);
      wanted_.push_back({tally.topology, &tally.pods});
      total_ += tally.total;
    }
    for (const TermPtr& term : pod.affinity->required_anti) {
      const Tally& tally = tallies_.count({term}, term->topology_key);
      unwanted_.push_back({tally.topology, &tally.pods});
    }
    first_may_come_ = all_match(meta);
  }

  Verdict check(const NodeState& node, Reasons* why) const {
    if (!near_wanted(node)) return refuse(why, Verdict::unresolvable, "node(s) didn't match pod affinity rules");
    const auto there = [&](const Count& count) { return count.any_at(node); };
    if (std::ranges::any_of(unwanted_, there)) return refuse(why, Verdict::unschedulable, "node(s) didn't match pod anti-affinity rules");
    if (std::ranges::any_of(existing_, there))
      return refuse(why, Verdict::unschedulable, "node(s) didn't satisfy existing pods anti-affinity rules");
    return Verdict::fits;
  }

  std::unique_ptr<PluginState> copy() const override { return std::make_unique<AffinityState>(*this); }
  bool refuses_none() const override { return existing_.empty() && wanted_.empty() && unwanted_.empty(); }

  void change(const Demand& other, const NodeState& node, int by) override {
    const model::Meta &ours = pod_.pod.meta(), &theirs = other.pod.meta();
    if (pod_.affinity) {
      if (!wanted_.empty() && all_match(theirs))
        for (Count& count : wanted_) total_ += note(count, node, by);
      for (size_t i = 0; i < unwanted_.size(); ++i)
        if (pod_.affinity->required_anti[i]->matches(theirs, tallies_.namespaces())) note(unwanted_[i], node, by);
    }
    if (!other.affinity) return;
    for (const TermPtr& term : other.affinity->required_anti)
      if (term->matches(ours, tallies_.namespaces())) note(existing_count(*term), node, by);
  }

 private:
  bool all_match(const model::Meta& meta) const {
    return std::ranges::all_of(pod_.affinity->required, [&](const TermPtr& term) { return term->matches(meta, tallies_.namespaces()); });
  }

  // Pods that all want to be together have to begin somewhere: where nobody is whom the pod wants, and it wants its own like, any domain
  // will do.
  bool near_wanted(const NodeState& node) const {
    bool all = true;
    for (const Count& count : wanted_) {
      if (node.domains[count.topology] < 0) return false;
      all &= count.any_at(node);
    }
    return all || (total_ == 0 && first_may_come_);
  }

  // Returns by how much the number of pods in domains has changed.
  static int note(Count& count, const NodeState& node, int by) {
    const int32_t domain = node.domains[count.topology];
    if (domain < 0) return 0;
    count.changes.emplace_back(domain, by);
    return by;
  }

  // A term that only pods have which are tried out is new here.
  Count& existing_count(const Term& term) {
    const size_t topology = tallies_.topology(term.topology_key);
    for (Count& count : existing_)
      if (count.topology == topology && count.carried && count.carried->term->text == term.text) return count;
    existing_.push_back({topology});
    return existing_.back();
  }

  Tallies& tallies_;
  const Demand& pod_;
  std::vector<Count> existing_;           // pods that cannot bear this one
  std::vector<Count> wanted_, unwanted_;  // whom it wants (a term each, of pods that match all) and cannot bear
  int64_t total_ = 0;                     // over all of wanted_
  bool first_may_come_ = false;
};

struct Weighted {
  size_t topology;
  const DomainCounts* pods;
  int64_t weight;
};

}  // namespace

Prepared prepare_pod_affinity(const Cluster& cluster, const Demand& pod, const PluginArgs&) {
  // Never skipped: pods that are expected on a node may keep this one away though none that is there does.
  return {.state = std::make_unique<AffinityState>(cluster, pod)};
}

Verdict check_pod_affinity(const Demand&, const PluginState* state, const NodeState& node, Reasons* why) {
  return static_cast<const AffinityState*>(state)->check(node, why);
}

bool score_pod_affinity(const Cluster& cluster, const Demand& pod, const PluginArgs& args, Nodes nodes, std::span<int64_t> scores) {
  if (args.pod_affinity.ignores_preferences && (!pod.affinity || pod.affinity->preferred.empty())) return false;
  const int64_t required_weight = args.pod_affinity.hard_weight;
  Tallies& tallies = cluster.tallies();
  std::vector<Weighted> counts;
  if (pod.affinity) {
    for (const auto& [term, weight] : pod.affinity->preferred) {
      const Tally& tally = tallies.count({term}, term->topology_key);
      if (tally.total > 0) counts.push_back({tally.topology, &tally.pods, weight});
    }
  }
  tallies.carried(pod.pod.meta(), [&](const Carried& carried) {
    if (carried.kind == Carried::Kind::required && required_weight > 0)
      counts.push_back({carried.topology, &carried.pods, required_weight});
    if (carried.kind == Carried::Kind::preferred) counts.push_back({carried.topology, &carried.pods, carried.weight});
  });
  if (counts.empty()) return false;
  for (size_t i = 0; i < nodes.size(); ++i) {
    scores[i] = 0;
    for (const Weighted& count : counts) scores[i] += count.weight * count.pods->at(nodes[i]->domains[count.topology]);
  }
  const auto [least, most] = std::ranges::minmax(std::span<const int64_t>(scores));
  for (int64_t& score : scores) score = most > least ? int64_t(100.0 * (double(score - least) / double(most - least))) : 0;
  return true;
}

}  // namespace estiba::scheduler
