#include "autoscale/estimate.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "scheduler/verdicts.h"

namespace estiba::autoscale {

using scheduler::DemandPtr;
using scheduler::NodeState;

void sort_for_packing(std::vector<DemandPtr>& pods) {
  // A core counts as much as 4 GiB.
  const auto size = [](const DemandPtr& pod) { return double(pod->request.cpu) / 1000 + double(pod->request.memory) / double(4ll << 30); };
  std::ranges::stable_sort(pods, [&](const DemandPtr& a, const DemandPtr& b) {
    if (a->priority != b->priority) return a->priority > b->priority;
    return size(a) > size(b);
  });
}

static double waste_of(Simulation& simulation, const std::vector<std::string>& nodes) {
  double cpu = 0, memory = 0, used_cpu = 0, used_memory = 0;
  for (const std::string& name : nodes) {
    const NodeState& node = *simulation.cluster().find(name);
    cpu += double(node.allocatable.cpu);
    memory += double(node.allocatable.memory);
    used_cpu += double(node.used.cpu);
    used_memory += double(node.used.memory);
  }
  return (cpu > 0 ? 1 - used_cpu / cpu : 1) + (memory > 0 ? 1 - used_memory / memory : 1);
}

// Pods of one shape are refused alike while nodes only fill up. Empty for a pod that looks at others, or at volumes: what comes may help
// it.
static std::string shape_of(const DemandPtr& pod) {
  const auto& spec = pod->typed().spec;
  if (pod->affinity || !pod->claims.empty() || !spec.topologySpreadConstraints.empty()) return {};
  const model::Meta& meta = pod->pod.meta();
  std::string out = spec.schedulerName + ";" + meta.ns + ";";  // the labels: other pods may want to be apart from such ones
  for (const auto& [key, value] : meta.labels) out.append(key).append("=").append(value).append(",");
  return out + scheduler::shape_of(*pod);
}

void place_all(Simulation& simulation, std::vector<DemandPtr>& pods) {
  std::set<std::string> hopeless;
  std::erase_if(pods, [&](const DemandPtr& pod) {
    const std::string shape = shape_of(pod);
    if (hopeless.contains(shape)) return false;
    if (simulation.place(pod)) return true;
    if (!shape.empty()) hopeless.insert(shape);
    return false;
  });
}

std::optional<Option> estimate(Simulation& simulation, const NodeGroup& group, int64_t most, std::vector<DemandPtr> pods,
                               const std::vector<model::ObjectRef>& daemon_sets, Refusals& refusals) {
  sort_for_packing(pods);
  const size_t before = simulation.mark();
  Option option{.group = &group};
  std::vector<std::string> nodes;
  std::map<std::string, std::string> hopeless;  // by shape: what an empty node says to such pods
  for (const DemandPtr& pod : pods) {
    const std::string& uid = pod->pod.meta().uid;
    if (!nodes.empty() && simulation.place_on(pod, nodes, nullptr)) {
      option.pods.push_back(pod);
      continue;
    }
    const std::string shape = shape_of(pod);
    if (const auto known = hopeless.find(shape); known != hopeless.end()) {
      refusals[uid].push_back(known->second);
      continue;
    }
    if (option.nodes >= most) {
      refusals[uid].emplace_back("max node group size reached");
      continue;
    }
    const std::string name = "template-node-for-" + group.name + "-" + std::to_string(nodes.size());
    const size_t without = simulation.mark();
    simulation.add_node(template_node(group, name), daemon_sets);
    std::string why;
    if (simulation.place_on(pod, {name}, &why)) {
      nodes.push_back(name);
      option.pods.push_back(pod);
      ++option.nodes;
      continue;
    }
    simulation.undo_to(without);
    if (!shape.empty()) hopeless[shape] = why;
    refusals[uid].push_back(std::move(why));
  }
  if (!nodes.empty()) option.waste = waste_of(simulation, nodes);
  simulation.undo_to(before);
  if (option.pods.empty()) return std::nullopt;
  return option;
}

const Option& best_of(const std::vector<Option>& options) {
  return *std::ranges::min_element(options, [](const Option& a, const Option& b) {
    if (std::abs(a.waste - b.waste) > 1e-9) return a.waste < b.waste;
    if (a.group->priority != b.group->priority) return a.group->priority > b.group->priority;
    if (a.pods.size() != b.pods.size()) return a.pods.size() > b.pods.size();
    return a.group->name < b.group->name;
  });
}

std::string count_reasons(const std::vector<std::string>& reasons) {
  scheduler::Reasons counts;
  for (const std::string& reason : reasons) counts.add(reason);
  return counts.print();
}

}  // namespace estiba::autoscale
