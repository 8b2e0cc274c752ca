// Resources: what is asked for must be free; of the nodes that have it, the emptier and the more evenly used is better.
#include <cmath>

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

// Resources that a node does not have count neither way.
static int64_t mean(int64_t cpu, bool has_cpu, int64_t memory, bool has_memory) {
  const int64_t resources = int64_t(has_cpu) + int64_t(has_memory);
  return resources == 0 ? 0 : (cpu + memory) / resources;
}

static int64_t free_percent(int64_t has, int64_t used) { return has <= 0 || used > has ? 0 : (has - used) * 100 / has; }

bool score_least_allocated(const Cluster&, const Demand& pod, Nodes nodes, std::span<int64_t> scores) {
  for (size_t i = 0; i < nodes.size(); ++i) {
    const NodeState& node = *nodes[i];
    const Amounts& has = node.allocatable;
    scores[i] = mean(free_percent(has.cpu, node.scored_cpu + pod.scored_cpu), has.cpu > 0,
                     free_percent(has.memory, node.scored_memory + pod.scored_memory), has.memory > 0);
  }
  return true;
}

// 100 where both resources are used to the same part, 50 where one is used up and the other not at all.
static int64_t balance(const Amounts& has, int64_t cpu, int64_t memory) {
  if (has.cpu <= 0 || has.memory <= 0) return 100;
  const double cpu_part = std::min(1.0, double(cpu) / double(has.cpu)), memory_part = std::min(1.0, double(memory) / double(has.memory));
  return int64_t((1 - std::abs(cpu_part - memory_part) / 2) * 100);
}

bool score_balanced(const Cluster&, const Demand& pod, Nodes nodes, std::span<int64_t> scores) {
  if (pod.request.cpu == 0 && pod.request.memory == 0) return false;
  for (size_t i = 0; i < nodes.size(); ++i) {
    const Amounts &has = nodes[i]->allocatable, &used = nodes[i]->used;
    // By how much the pod makes it better: 75 where it changes nothing.
    const int64_t with = balance(has, used.cpu + pod.request.cpu, used.memory + pod.request.memory);
    scores[i] = 50 + (50 + with - balance(has, used.cpu, used.memory)) / 2;
  }
  return true;
}

}  // namespace estiba::scheduler
