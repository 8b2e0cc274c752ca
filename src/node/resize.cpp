#include "node/resize.h"

#include <algorithm>

#include "model/quantity.h"
#include "node/status.h"

namespace estiba::node {

using namespace model::core_v1;

ResourceRequirements given_resources(const Container& container) {
  ResourceRequirements out;
  if (!container.resources) return out;
  out.requests = container.resources->requests;
  out.limits = container.resources->limits;
  return out;
}

bool same_resources(const ResourceRequirements& a, const ResourceRequirements& b) {
  return a.requests == b.requests && a.limits == b.limits;
}

bool resize_restarts(const Container& container, const ResourceRequirements& before) {
  const ResourceRequirements now = given_resources(container);
  auto differs = [](const auto& a, const auto& b, const std::string& name) {
    auto left = a.find(name), right = b.find(name);
    if (left == a.end() || right == b.end()) return (left == a.end()) != (right == b.end());
    return left->second != right->second;
  };
  for (const auto& policy : container.resizePolicy) {
    if (policy.restartPolicy != "RestartContainer") continue;
    if (differs(now.requests, before.requests, policy.resourceName) || differs(now.limits, before.limits, policy.resourceName)) return true;
  }
  return false;
}

std::string infeasible(const Pod& pod, int64_t node_milli_cpus, int64_t node_memory_bytes) {
  int64_t cpu = 0, memory = 0;
  auto add = [&](const Container& container) {
    if (!container.resources) return;
    auto amount = [&](const std::string& name) -> std::optional<model::Quantity> {
      auto found = container.resources->requests.find(name);
      if (found == container.resources->requests.end()) return std::nullopt;
      auto parsed = model::Quantity::parse(found->second);
      return parsed ? std::optional(*parsed) : std::nullopt;
    };
    if (auto value = amount("cpu")) cpu += value->to_milli();
    if (auto value = amount("memory")) memory += value->to_int64();
  };
  for (const Container& container : pod.spec.containers) add(container);
  for (const Container& container : pod.spec.initContainers)
    if (is_sidecar(container)) add(container);
  auto told = [](std::string_view what, int64_t wanted, int64_t there) {
    return "Node didn't have enough capacity: " + std::string(what) + ", requested: " + std::to_string(wanted) +
           ", capacity: " + std::to_string(there);
  };
  if (cpu > node_milli_cpus) return told("cpu", cpu, node_milli_cpus);
  if (memory > node_memory_bytes) return told("memory", memory, node_memory_bytes);
  return {};
}

engine::Resources larger(const engine::Resources& a, const engine::Resources& b) {
  engine::Resources out = b;
  out.cpu_shares = std::max(a.cpu_shares.value_or(2), b.cpu_shares.value_or(2));
  out.cpu_quota_us = a.cpu_quota_us && b.cpu_quota_us ? std::optional(std::max(*a.cpu_quota_us, *b.cpu_quota_us)) : std::nullopt;
  out.memory_bytes = a.memory_bytes && b.memory_bytes ? std::optional(std::max(*a.memory_bytes, *b.memory_bytes)) : std::nullopt;
  out.memory_swap_bytes = out.memory_bytes;
  return with_unlimited(out);
}

engine::Resources with_unlimited(engine::Resources resources) {
  if (!resources.cpu_quota_us) {
    resources.cpu_quota_us = -1;
    resources.cpu_period_us = 100'000;
  }
  if (!resources.memory_bytes) resources.memory_bytes = resources.memory_swap_bytes = -1;
  return resources;
}

}  // namespace estiba::node
