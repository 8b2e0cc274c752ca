#include "node/resize.h"

#include <algorithm>

#include "base/strings.h"
#include "client/json_writer.h"
#include "model/codec.h"

namespace estiba::node {

using namespace model::core_v1;

ResourceRequirements given_resources(const model::Opt<ResourceRequirements>& resources) {
  ResourceRequirements out;
  if (!resources) return out;
  out.requests = resources->requests;
  out.limits = resources->limits;
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

std::string memory_in_the_way(const std::vector<MemoryChange>& changes) {
  std::vector<std::string> problems;
  for (const MemoryChange& change : changes) {
    const bool sinks = change.limit > 0 && (change.before <= 0 || change.limit < change.before);
    if (!sinks || change.used < uint64_t(change.limit)) continue;
    problems.push_back("attempting to set " + (change.container.empty() ? "pod" : "container " + quoted(change.container)) +
                       " memory limit (" + std::to_string(change.limit) + ") below current usage (" + std::to_string(change.used) + ")");
  }
  if (problems.empty()) return {};
  return "cannot decrease memory limits: " + (problems.size() == 1 ? problems[0] : "[" + join(problems, ", ") + "]");
}

std::string resize_message(std::string_view what, const Pod& pod, int64_t generation, std::string_view error) {
  client::JsonWriter json;
  json.object();
  const auto list = [&](const char* name, const std::vector<Container>& containers) {
    if (containers.empty()) return;
    json.array(name);
    for (const Container& container : containers)
      json.object().field("name", container.name).raw("resources", model::encode(given_resources(container))).end();
    json.end();
  };
  list("initContainers", pod.spec.initContainers);
  list("containers", pod.spec.containers);
  json.field("generation", generation);
  if (!error.empty()) json.field("error", error);
  json.end();
  return "Pod resize " + std::string(what) + ": " + json.take();
}

}  // namespace estiba::node
