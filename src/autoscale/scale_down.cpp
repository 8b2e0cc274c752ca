#include "autoscale/scale_down.h"

#include <algorithm>
#include <optional>
#include <set>

namespace estiba::autoscale {

using model::ObjectRef;
using scheduler::DemandPtr;
using scheduler::NodeState;
using Verdict = Drainability::Verdict;

static constexpr std::string_view stays_annotation = "cluster-autoscaler.kubernetes.io/scale-down-disabled";

double utilization_of(const NodeState& node) {
  const auto part = [](int64_t used, int64_t all) { return all > 0 ? double(used) / double(all) : 0.0; };
  return std::max(part(node.used.cpu, node.allocatable.cpu), part(node.used.memory, node.allocatable.memory));
}

namespace {

struct Planner {
  Simulation& simulation;
  const World& world;
  Fleet& fleet;
  const ScaleDown& settings;
  const Instant now;
  Budgets budgets{*world.budgets};
  std::set<std::string> receiving{};  // nodes that others' pods would go to: they stay
  std::map<const NodeGroup*, int64_t> taken{};
  std::vector<Unneeded> unneeded{};

  /// Why it must stay, by what can be told without moving pods.
  std::optional<std::string> stays(const Member& member, const ObjectRef& node, const NodeState& state) const {
    if (now < member.left_alone_until) return "RecentlyUnremovable";
    if (node.meta().annotation(stays_annotation) == "true") return "ScaleDownDisabledAnnotation";
    const auto gone = taken.find(member.group);
    if (fleet.size(*member.group) - (gone == taken.end() ? 0 : gone->second) <= member.group->min) return "NodeGroupMinSizeReached";
    if (is_ready(node) && utilization_of(state) >= settings.threshold) return "NotUnderutilized";
    if (receiving.contains(member.name)) return "NotUnneededOtherReason";
    return std::nullopt;
  }

  /// Takes it out, or says why not; the simulation is changed only when it is taken out.
  std::optional<std::string> take(const Member& member) {
    const NodeState* state = simulation.cluster().find(member.name);
    if (!state) return "NotAutoscaled";
    const ObjectRef node = state->node;
    if (auto why = stays(member, node, *state)) return why;
    std::vector<DemandPtr> moving;
    for (const DemandPtr& pod : state->placed) {
      // What waits was put there by this very simulation: the node is needed.
      if (pod->typed().spec.nodeName.empty()) return "NotUnneededOtherReason";
      const Drainability told = drainability_of(pod->pod, settings, world.owners, budgets);
      if (told.verdict == Verdict::blocks) return "BlockedByPod";
      if (told.verdict == Verdict::moves) moving.push_back(pod);
    }
    const size_t before = simulation.mark();
    std::set<std::string> places;
    simulation.take_node(member.name);
    for (const DemandPtr& pod : moving) {
      const NodeState* place = simulation.place(pod);
      if (place) places.insert(place->name);
      if (place && !is_unneeded(place->name)) continue;
      simulation.undo_to(before);
      return "NoPlaceToMovePods";
    }
    std::vector<ObjectRef> pods;
    for (const DemandPtr& pod : moving) pods.push_back(pod->pod);
    if (!budgets.take(pods)) {
      simulation.undo_to(before);
      return "BlockedByPod";
    }
    receiving.merge(places);
    ++taken[member.group];
    unneeded.push_back({member.name, moving.empty(), is_ready(node)});
    return std::nullopt;
  }

  bool is_unneeded(const std::string& node) const { return std::ranges::find(unneeded, node, &Unneeded::node) != unneeded.end(); }
};

}  // namespace

DownPlan plan_scale_down(Simulation& simulation, const World& world, Fleet& fleet, const ScaleDown& settings,
                         const std::map<std::string, Instant>& since, Instant now) {
  const size_t before = simulation.mark();
  std::vector<const Member*> candidates;
  for (const Member* member : fleet.members())
    if (member->up && !member->going && !member->given_up && !member->asked) candidates.push_back(member);
  const auto rank = [&](const Member* member) {
    const auto known = since.find(member->name);
    const NodeState* state = simulation.cluster().find(member->name);
    return std::tuple(known == since.end() ? Instant::max() : known->second, state ? utilization_of(*state) : 0.0);
  };
  std::ranges::stable_sort(candidates, {}, rank);
  Planner planner{simulation, world, fleet, settings, now};
  DownPlan plan;
  for (const Member* member : candidates)
    if (const auto why = planner.take(*member)) ++plan.staying[*why];
  plan.unneeded = std::move(planner.unneeded);
  simulation.undo_to(before);
  return plan;
}

}  // namespace estiba::autoscale
