#include "scheduler/preempt.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "base/time.h"
#include "client/selectors.h"
#include "model/types/policy_v1.h"
#include "scheduler/verdicts.h"

namespace estiba::scheduler {

using model::policy_v1::PodDisruptionBudget;

namespace {

std::string_view started(const Demand& pod) {
  const std::string& at = pod.typed().status.startTime;
  return at.empty() ? std::string_view(pod.pod.meta().creation_timestamp) : std::string_view(at);
}

/// Higher priority, then longer running: times in UTC compare as text.
bool more_important(const DemandPtr& a, const DemandPtr& b) {
  if (a->priority != b->priority) return a->priority > b->priority;
  return started(*a) < started(*b);
}

/// How many more disruptions each budget stands, while victims are chosen on one node.
class Budgets {
 public:
  explicit Budgets(client::Informer& budgets) : budgets_(budgets), by_namespace_(budgets.namespace_index()) {}

  /// Takes the pod from its budgets; whether one of them does not allow it.
  bool take(const Demand& pod) {
    bool violates = false;
    budgets_.each(by_namespace_, pod.pod.meta().ns, [&](const model::ObjectRef& object) {
      const auto& budget = object.as<PodDisruptionBudget>();
      if (!budget.spec.selector || !client::matches(*budget.spec.selector, pod.pod.meta().labels)) return;
      const auto [left, fresh] = left_.try_emplace(object.meta().uid, budget.status.disruptionsAllowed.value_or(0));
      violates |= --left->second < 0;
    });
    return violates;
  }

 private:
  client::Informer& budgets_;
  const client::Informer::Index by_namespace_;
  std::map<std::string, int64_t> left_;
};

void weigh(Candidate& candidate, size_t violations) {
  const auto& victims = candidate.victims;
  int64_t sum = 0;
  // Priorities are moved above zero, so that more victims always cost more.
  for (const DemandPtr& victim : victims) sum += int64_t(victim->priority) + (int64_t(1) << 31);
  const int64_t highest = victims.empty() ? INT64_MIN : victims[0]->priority;
  candidate.cost = {violations, highest, sum, victims.size()};
  if (!victims.empty()) candidate.oldest = started(*victims[0]);
}

Candidate try_node(const Cycle& cycle, const NodeState& node, client::Informer& informer) {
  Candidate candidate{.node = &node, .why = {}, .victims = {}};
  std::vector<DemandPtr> lower;
  for (const DemandPtr& other : node.placed)
    if (other->priority < cycle.pod().priority) lower.push_back(other);
  if (lower.empty()) {
    candidate.why.add("No preemption victims found for incoming pod");
    return candidate;
  }
  NodeState without = node;
  Cycle then = cycle.copy();
  for (const DemandPtr& other : lower) {
    without.take_off(*other);
    then.change(*other, node, -1);
  }
  candidate.helps = then.check(without, &candidate.why) == Verdict::fits;
  if (!candidate.helps) return candidate;
  std::ranges::sort(lower, more_important);

  Budgets budgets(informer);
  std::vector<DemandPtr> violating, others;
  size_t violations = 0;
  for (const DemandPtr& other : lower) (budgets.take(*other) ? violating : others).push_back(other);
  // Whoever may stay, stays.
  const auto spare = [&](const std::vector<DemandPtr>& pods, bool violation) {
    for (const DemandPtr& other : pods) {
      without.put_on(other);
      then.change(*other, node, 1);
      if (then.check(without, nullptr) == Verdict::fits) continue;
      without.take_off(*other);
      then.change(*other, node, -1);
      candidate.victims.push_back(other);
      violations += violation;
    }
  };
  spare(violating, true);
  spare(others, false);
  std::ranges::sort(candidate.victims, more_important);
  weigh(candidate, violations);
  return candidate;
}

}  // namespace

bool may_preempt(const Cluster& cluster, const Demand& pod) {
  const auto& typed = pod.typed();
  if (typed.spec.preemptionPolicy == "Never") return false;
  const std::string& promised = typed.status.nominatedNodeName;
  if (promised.empty()) return true;
  const NodeState* node = cluster.find(promised);
  return !node || std::ranges::none_of(node->placed, [&](const DemandPtr& other) {
    return other->priority < pod.priority && !other->pod.meta().deletion_timestamp.empty();
  });
}

Preemption find_victims(const Cycle& cycle, const std::vector<const NodeState*>& nodes, client::Informer& budgets, uint64_t turn,
                        Verdicts* known) {
  const PreemptionArgs& args = cycle.profile().args.preemption;
  const size_t enough = std::max<size_t>(nodes.size() * size_t(args.least_percent) / 100, size_t(args.least));
  const Candidate* best = nullptr;
  Candidate fresh, kept;  // where nothing is remembered: the one being looked at, and the best
  Reasons why;
  size_t found = 0;
  for (size_t i = 0; i < nodes.size(); ++i) {
    const NodeState& node = *nodes[(i + turn) % nodes.size()];
    Candidate& candidate = known ? known->candidate(node) : fresh;
    if (!known || !candidate.node) candidate = try_node(cycle, node, budgets);
    if (!candidate.helps) {
      why.add(candidate.why, 1);
      continue;
    }
    ++found;
    if (!best || candidate.cost < best->cost || (candidate.cost == best->cost && candidate.oldest > best->oldest))
      best = known ? &candidate : &(kept = std::move(fresh));
    if (found >= enough && std::get<0>(best->cost) == 0) break;
  }
  if (best) return {best->node, best->victims, {}};
  const size_t all = cycle.cluster().nodes().size();
  if (all > nodes.size()) why.add("Preemption is not helpful for scheduling", int64_t(all - nodes.size()));
  return {nullptr, {}, "preemption: 0/" + std::to_string(all) + " nodes are available: " + why.print() + "."};
}

}  // namespace estiba::scheduler
