// Resources: what is asked for must be free; of the nodes that have it, the emptier and the more evenly used is better.
#include "scheduler/plugins/plugins.h"

namespace estiba::scheduler {

Verdict check_resources(const Demand& pod, const PluginState*, const NodeState& node, Reasons* why) {
  Verdict verdict = Verdict::fits;
  const auto lacks = [&](std::string_view reason, bool ever) {
    if (verdict != Verdict::unresolvable) verdict = ever ? Verdict::unschedulable : Verdict::unresolvable;
    if (why) why->add(reason);
  };
  const Amounts &asked = pod.request, &has = node.allocatable, &used = node.used;
  if (node.pods + 1 > node.allocatable_pods) lacks("Too many pods", true);
  if (asked.cpu > 0 && asked.cpu > has.cpu - used.cpu) lacks("Insufficient cpu", asked.cpu <= has.cpu);
  if (asked.memory > 0 && asked.memory > has.memory - used.memory) lacks("Insufficient memory", asked.memory <= has.memory);
  if (asked.ephemeral > 0 && asked.ephemeral > has.ephemeral - used.ephemeral)
    lacks("Insufficient ephemeral-storage", asked.ephemeral <= has.ephemeral);
  for (const auto& [name, amount] : asked.others)
    if (amount > 0 && amount > has.other(name) - used.other(name)) lacks("Insufficient " + name, amount <= has.other(name));
  return verdict;
}

static int64_t free_percent(int64_t has, int64_t used) { return has <= 0 || used > has ? 0 : (has - used) * 100 / has; }

bool score_least_allocated(const Cluster&, const Demand& pod, Nodes nodes, std::span<int64_t> scores) {
  for (size_t i = 0; i < nodes.size(); ++i) {
    const NodeState& node = *nodes[i];
    scores[i] = (free_percent(node.allocatable.cpu, node.scored_cpu + pod.scored_cpu) +
                 free_percent(node.allocatable.memory, node.scored_memory + pod.scored_memory)) /
                2;
  }
  return true;
}

static double fraction(int64_t has, int64_t used) { return has <= 0 ? 1.0 : std::min(1.0, double(used) / double(has)); }

bool score_balanced(const Cluster&, const Demand& pod, Nodes nodes, std::span<int64_t> scores) {
  for (size_t i = 0; i < nodes.size(); ++i) {
    const NodeState& node = *nodes[i];
    const double cpu = fraction(node.allocatable.cpu, node.used.cpu + pod.request.cpu);
    const double memory = fraction(node.allocatable.memory, node.used.memory + pod.request.memory);
    const double deviation = (cpu > memory ? cpu - memory : memory - cpu) / 2;
    scores[i] = int64_t((1 - deviation) * 100);
  }
  return true;
}

}  // namespace estiba::scheduler
