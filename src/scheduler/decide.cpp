#include "scheduler/decide.h"

#include <algorithm>
#include <ranges>

#include "scheduler/verdicts.h"

namespace estiba::scheduler {

void Reasons::add(std::string_view reason, int64_t nodes) {
  for (auto& [text, count] : counts_) {
    if (text != reason) continue;
    count += nodes;
    return;
  }
  counts_.emplace_back(reason, nodes);
}

void Reasons::add(const Reasons& of_one, int64_t nodes) {
  for (const auto& [reason, count] : of_one.counts_) add(reason, count * nodes);
}

std::string Reasons::print() const {
  std::vector<std::string> parts;
  for (const auto& [reason, count] : counts_) parts.push_back(std::to_string(count) + " " + reason);
  std::ranges::sort(parts);
  std::string out;
  for (const std::string& part : parts) out.append(out.empty() ? "" : ", ").append(part);
  return out;
}

void scale_to_best(std::span<int64_t> scores) {
  const int64_t most = scores.empty() ? 0 : *std::ranges::max_element(scores);
  if (most == 0) return;
  for (int64_t& score : scores) score = score * 100 / most;
}

void scale_from_worst(std::span<int64_t> scores) {
  scale_to_best(scores);
  for (int64_t& score : scores) score = 100 - score;
}

Cycle::Cycle(const Profile& profile, const Cluster& cluster, const Demand& pod) : profile_(profile), cluster_(cluster), pod_(pod) {
  for (const FilterPlugin& filter : profile.filters) {
    Prepared prepared;
    if (filter.prepare) prepared = filter.prepare(cluster, pod, profile.args);
    if (!prepared.refusal.empty()) {
      refusal_ = std::move(prepared.refusal);
      return;
    }
    if (prepared.only) {
      only_ = std::move(prepared.only);
      only_by_ = filter.name;
    }
    if (!prepared.skip) active_.push_back({&filter, std::move(prepared.state)});
  }
}

bool Cycle::is_local() const {
  return std::ranges::all_of(active_,
                             [](const Active& active) { return active.filter->local || (active.state && active.state->refuses_none()); });
}

Cycle Cycle::copy() const {
  Cycle out(*this, Bare{});
  for (const Active& active : active_) out.active_.push_back({active.filter, active.state ? active.state->copy() : nullptr});
  return out;
}

void Cycle::change(const Demand& other, const NodeState& node, int by) {
  for (Active& active : active_)
    if (active.state) active.state->change(other, node, by);
}

Verdict Cycle::pass(const NodeState& node, Reasons* why) const {
  if (!why) {
    // The last ones read a few numbers, and are those that refuse the most nodes where there are many.
    for (const Active& active : active_ | std::views::reverse)
      if (const Verdict verdict = active.filter->check(pod_, active.state.get(), node, why); verdict != Verdict::fits) return verdict;
    return Verdict::fits;
  }
  for (const Active& active : active_) {
    const Verdict verdict = active.filter->check(pod_, active.state.get(), node, why);
    if (verdict != Verdict::fits) return verdict;
  }
  return Verdict::fits;
}

Verdict Cycle::check(const NodeState& node, Reasons* why) const {
  if (node.nominated.empty()) return pass(node, why);
  std::vector<DemandPtr> expected;
  for (const DemandPtr& other : node.nominated)
    if (other->priority >= pod_.priority && other->pod.meta().uid != pod_.pod.meta().uid) expected.push_back(other);
  if (!expected.empty()) {
    Cycle then = copy();
    for (const DemandPtr& other : expected) then.change(*other, node, 1);
    NodeState later = node;  // now: a change may bring a topology
    for (const DemandPtr& other : expected) later.put_on(other);
    const Verdict verdict = then.pass(later, why);
    if (verdict != Verdict::fits) return verdict;
  }
  return pass(node, why);
}

// Kubernetes' percentageOfNodesToScore: unless it is given, half of the nodes, less in larger clusters, never less than a twentieth. Always
// at least a hundred.
static size_t enough(size_t nodes, int given) {
  constexpr size_t least = 100;
  if (nodes < least) return nodes;
  const size_t percent = given > 0 ? size_t(given) : nodes / 125 > 45 ? 5 : 50 - nodes / 125;
  return std::max(least, nodes * percent / 100);
}

static void explain(const Cycle& cycle, const std::vector<NodeState*>& nodes, Verdicts* known, Decision& decision) {
  const size_t all = cycle.cluster().nodes().size();
  if (all == 0) {
    decision.message = "no nodes available to schedule pods";
    return;
  }
  decision.message = "0/" + std::to_string(all) + " nodes are available: ";
  if (!cycle.refusal().empty()) {
    decision.message += cycle.refusal() + ".";
    return;
  }
  Reasons reasons;
  if (known) {
    known->explain(cycle, reasons);
  } else {
    for (const NodeState* node : nodes)
      if (cycle.check(*node, &reasons) == Verdict::unschedulable) decision.may_preempt.push_back(node);
  }
  if (all > nodes.size())
    reasons.add("node(s) didn't satisfy plugin(s) [" + std::string(cycle.only_by()) + "]", int64_t(all - nodes.size()));
  decision.message += reasons.print() + ".";
}

static const NodeState* best_of(const Cycle& cycle, const std::vector<const NodeState*>& candidates, Verdicts* known) {
  if (candidates.size() == 1) return candidates[0];
  std::vector<int64_t> sums(candidates.size()), scores(candidates.size());
  if (known) known->add_scores(cycle, candidates, sums);
  for (const ScorePlugin& plugin : cycle.profile().scores) {
    if (known && plugin.local) continue;
    if (!plugin.score(cycle.cluster(), cycle.pod(), cycle.profile().args, candidates, scores)) continue;
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += plugin.weight * scores[i];
  }
  return candidates[size_t(std::ranges::max_element(sums) - sums.begin())];
}

Decision decide(const Cycle& cycle, uint64_t turn, Verdicts* known) {
  Decision decision;
  const Cluster& cluster = cycle.cluster();
  if (!cycle.refusal().empty()) {
    explain(cycle, {}, nullptr, decision);
    return decision;
  }
  // Where it was promised room it most likely fits.
  const std::string& promised = cycle.pod().typed().status.nominatedNodeName;
  if (!promised.empty()) {
    const NodeState* node = cluster.find(promised);
    const auto& only = cycle.only();
    if (node && (!only || std::ranges::find(*only, promised) != only->end()) && cycle.check(*node, nullptr) == Verdict::fits)
      return {.node = node, .looked_at = 1};
  }
  std::vector<NodeState*> named;
  if (cycle.only())
    for (const std::string& name : *cycle.only())
      if (NodeState* node = cluster.find(name)) named.push_back(node);
  const std::vector<NodeState*>& nodes = cycle.only() ? named : cluster.nodes();
  std::vector<const NodeState*> candidates;
  const size_t most = enough(nodes.size(), cycle.profile().percent_to_score), first = nodes.empty() ? 0 : turn % nodes.size();
  if (known && known->none_fits(cycle)) decision.looked_at = nodes.size();
  while (decision.looked_at < nodes.size() && candidates.size() < most) {
    const size_t i = first + decision.looked_at++;
    const NodeState* node = nodes[i < nodes.size() ? i : i - nodes.size()];
    if (known ? known->fits(cycle, *node) : cycle.check(*node, nullptr) == Verdict::fits) candidates.push_back(node);
  }
  if (candidates.empty()) explain(cycle, nodes, known, decision);
  else decision.node = best_of(cycle, candidates, known);
  return decision;
}

Decision decide(const Profile& profile, const Cluster& cluster, const Demand& pod, uint64_t turn) {
  return decide(Cycle(profile, cluster, pod), turn);
}

}  // namespace estiba::scheduler
