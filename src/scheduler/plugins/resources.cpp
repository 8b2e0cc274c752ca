// Resources: what is asked for must be free; of the nodes that have it, the emptier (or the fuller, as the profile says) and the more
// evenly used is better.
#include <algorithm>
#include <cmath>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "scheduler/plugins/plugins.h"

namespace estiba::scheduler {

bool FitArgs::ignores(std::string_view resource) const {
  // Only extended resources: neither huge pages nor kubernetes.io/… can be ignored.
  if (!resource.contains('/') || resource.contains("kubernetes.io/")) return false;
  return std::ranges::contains(ignored, resource) || std::ranges::contains(ignored_groups, resource.substr(0, resource.find('/')));
}

Prepared prepare_resources(const Cluster&, const Demand&, const PluginArgs& args) {
  if (args.fit.ignored.empty() && args.fit.ignored_groups.empty()) return {};
  return {.state = std::make_unique<ArgsState>(args)};
}

Verdict check_resources(const Demand& pod, const PluginState* state, const NodeState& node, Reasons* why) {
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
  for (const auto& [name, amount] : asked.others) {
    if (amount <= 0 || (state && static_cast<const ArgsState*>(state)->args.fit.ignores(name))) continue;
    if (amount > has.other(name) - used.other(name)) lacks("Insufficient " + name, amount <= has.other(name));
  }
  return verdict;
}

namespace {

// A resource that counts for a score, and what the pod asks of it: found once, not for each node.
struct Wanted {
  enum class Kind : uint8_t { cpu, memory, ephemeral, other } kind;
  const std::string* name;
  int64_t weight, asked;
};

// What a node has of a resource, and what would be used of it with the pod.
struct Use {
  int64_t has = 0, before = 0, with = 0;
};

// `scored`: with what containers count for that ask for nothing. Null for what is extended and the pod does not ask for: it counts neither
// way.
std::optional<Wanted> wanted_of(const std::string& name, int64_t weight, const Demand& pod, bool scored) {
  using enum Wanted::Kind;
  const Amounts& asked = pod.request;
  if (name == "cpu") return Wanted{cpu, &name, weight, scored ? pod.scored_cpu : asked.cpu};
  if (name == "memory") return Wanted{memory, &name, weight, scored ? pod.scored_memory : asked.memory};
  if (name == "ephemeral-storage") return Wanted{ephemeral, &name, weight, asked.ephemeral};
  if (const int64_t amount = asked.other(name); amount != 0) return Wanted{other, &name, weight, amount};
  return {};
}

template <bool scored>
Use use_of(const Wanted& wanted, const NodeState& node) {
  using enum Wanted::Kind;
  const auto made = [&](int64_t has, int64_t before) { return Use{has, before, before + wanted.asked}; };
  const Amounts &has = node.allocatable, &used = node.used;
  switch (wanted.kind) {
    case cpu: return made(has.cpu, scored ? node.scored_cpu : used.cpu);
    case memory: return made(has.memory, scored ? node.scored_memory : used.memory);
    case ephemeral: return made(has.ephemeral, used.ephemeral);
    case other: break;
  }
  return made(has.other(*wanted.name), used.other(*wanted.name));
}

// Straight from point to point, and level outside of them.
int64_t on_shape(const std::vector<FitArgs::Point>& shape, int64_t utilization) {
  const auto next = std::ranges::find_if(shape, [&](const FitArgs::Point& point) { return utilization <= point.utilization; });
  if (next == shape.end()) return shape.back().score;
  if (next == shape.begin()) return shape.front().score;
  const FitArgs::Point& last = *(next - 1);
  return last.score + (next->score - last.score) * (utilization - last.utilization) / (next->utilization - last.utilization);
}

int64_t fit_score(const FitArgs& fit, const std::vector<Wanted>& resources, const NodeState& node) {
  using enum FitArgs::Strategy;
  int64_t sum = 0, weights = 0;
  for (const Wanted& wanted : resources) {
    const Use use = use_of<true>(wanted, node);
    if (use.has <= 0) continue;
    int64_t score = 0;
    if (fit.strategy == least_allocated) score = use.with > use.has ? 0 : (use.has - use.with) * 100 / use.has;
    else if (fit.strategy == most_allocated) score = std::min(use.with, use.has) * 100 / use.has;
    else score = on_shape(fit.shape, use.with > use.has ? 100 : use.with * 100 / use.has);
    // In Kubernetes a resource that scores nothing on the shape has no weight either.
    if (fit.strategy == requested_to_capacity && score == 0) continue;
    sum += score * wanted.weight;
    weights += wanted.weight;
  }
  if (weights == 0) return 0;
  return fit.strategy == requested_to_capacity ? std::llround(double(sum) / double(weights)) : sum / weights;
}

// 100 where all resources are used to the same part; less by the standard deviation of the parts.
int64_t balance(std::span<const double> parts) {
  double deviation = 0;
  if (parts.size() == 2) {
    deviation = std::abs(parts[0] - parts[1]) / 2;
  } else if (parts.size() > 2) {
    double sum = 0, squares = 0;
    for (const double part : parts) sum += part;
    const double mean = sum / double(parts.size());
    for (const double part : parts) squares += (part - mean) * (part - mean);
    deviation = std::sqrt(squares / double(parts.size()));
  }
  return int64_t((1 - deviation) * 100);
}

}  // namespace

bool score_resources(const Cluster&, const Demand& pod, const PluginArgs& args, Nodes nodes, std::span<int64_t> scores) {
  std::vector<Wanted> resources;
  for (const ResourceWeight& each : args.fit.resources)
    if (const auto wanted = wanted_of(each.name, each.weight, pod, true)) resources.push_back(*wanted);
  for (size_t i = 0; i < nodes.size(); ++i) scores[i] = fit_score(args.fit, resources, *nodes[i]);
  return true;
}

bool score_balanced(const Cluster&, const Demand& pod, const PluginArgs& args, Nodes nodes, std::span<int64_t> scores) {
  std::vector<Wanted> resources;
  for (const std::string& each : args.balanced)
    if (const auto wanted = wanted_of(each, 1, pod, false)) resources.push_back(*wanted);
  if (std::ranges::none_of(resources, [](const Wanted& wanted) { return wanted.asked > 0; })) return false;
  std::vector<double> before(resources.size()), with(resources.size());
  for (size_t i = 0; i < nodes.size(); ++i) {
    size_t parts = 0;
    for (const Wanted& wanted : resources) {
      const Use use = use_of<false>(wanted, *nodes[i]);
      if (use.has <= 0) continue;
      before[parts] = std::min(1.0, double(use.before) / double(use.has));
      with[parts++] = std::min(1.0, double(use.with) / double(use.has));
    }
    // By how much the pod makes it better: 75 where it changes nothing.
    scores[i] = 50 + (50 + balance({with.data(), parts}) - balance({before.data(), parts})) / 2;
  }
  return true;
}

}  // namespace estiba::scheduler
