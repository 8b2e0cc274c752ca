// Resources: what is asked for must be free; of the nodes that have it, the emptier and the more evenly used is better.
#include "scheduler/plugins/plugins.h"

namespace estiba::scheduler {

bool filter_resources(const Demand& pod, const NodeState& node, std::vector<std::string>* why) {
  bool fits = true;
  const auto lacks = [&](std::string reason) {
    fits = false;
    if (why) why->push_back(std::move(reason));
  };
  const Amounts &asked = pod.request, &has = node.allocatable, &used = node.used;
  if (node.pods + 1 > node.allocatable_pods) lacks("Too many pods");
  if (asked.cpu > 0 && asked.cpu > has.cpu - used.cpu) lacks("Insufficient cpu");
  if (asked.memory > 0 && asked.memory > has.memory - used.memory) lacks("Insufficient memory");
  if (asked.ephemeral > 0 && asked.ephemeral > has.ephemeral - used.ephemeral) lacks("Insufficient ephemeral-storage");
  for (const auto& [name, amount] : asked.others)
    if (amount > 0 && amount > has.other(name) - used.other(name)) lacks("Insufficient " + name);
  return fits;
}

static int64_t free_percent(int64_t has, int64_t used) { return has <= 0 || used > has ? 0 : (has - used) * 100 / has; }

int64_t score_least_allocated(const Demand& pod, const NodeState& node) {
  return (free_percent(node.allocatable.cpu, node.scored_cpu + pod.scored_cpu) + free_percent(node.allocatable.memory, node.scored_memory + pod.scored_memory)) / 2;
}

static double fraction(int64_t has, int64_t used) { return has <= 0 ? 1.0 : std::min(1.0, double(used) / double(has)); }

int64_t score_balanced(const Demand& pod, const NodeState& node) {
  const double cpu = fraction(node.allocatable.cpu, node.used.cpu + pod.request.cpu);
  const double memory = fraction(node.allocatable.memory, node.used.memory + pod.request.memory);
  const double deviation = (cpu > memory ? cpu - memory : memory - cpu) / 2;
  return int64_t((1 - deviation) * 100);
}

}  // namespace estiba::scheduler
