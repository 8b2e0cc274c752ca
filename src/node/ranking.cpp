#include "node/ranking.h"

#include <algorithm>

#include "model/quantity.h"
#include "model/types/core_v1.h"
#include "node/static_manifest.h"

namespace estiba::node {

namespace {

constexpr int32_t system_priority = 2'000'000'000;

bool counts_bytes(Signal signal) { return resource_of(signal) == "memory" || resource_of(signal) == "ephemeral-storage"; }

std::string print(int64_t amount, bool binary) {
  return model::Quantity::of(amount, binary ? model::Quantity::Format::binary : model::Quantity::Format::decimal).print();
}

struct Figures {
  int64_t use, request;
};

Figures figures(const PodUse& pod, Signal signal) {
  const std::string_view resource = resource_of(signal);
  if (resource == "memory") return {pod.memory, pod.memory_request};
  if (resource == "ephemeral-storage") return {pod.disk, pod.disk_request};
  if (resource == "inodes") return {pod.inodes, 0};
  return {pod.processes, 0};
}

}  // namespace

int32_t priority_of(const model::ObjectRef& pod) { return pod.as<model::core_v1::Pod>().spec.priority.value_or(0); }

bool is_critical(const model::ObjectRef& pod) { return is_static(pod.meta()) || priority_of(pod) >= system_priority; }

void rank(std::vector<PodUse>& pods, Signal signal) {
  const bool by_requests = signal != Signal::pid_available;
  std::ranges::stable_sort(pods, [&](const PodUse& a, const PodUse& b) {
    if (by_requests && a.known != b.known) return !a.known;
    const auto [a_use, a_request] = figures(a, signal);
    const auto [b_use, b_request] = figures(b, signal);
    if (by_requests && (a_use > a_request) != (b_use > b_request)) return a_use > a_request;
    const int32_t a_priority = priority_of(a.pod), b_priority = priority_of(b.pod);
    if (a_priority != b_priority) return a_priority < b_priority;
    if (a.known != b.known) return !a.known;
    return a_use - a_request > b_use - b_request;
  });
}

std::string eviction_message(const PodUse& pod, Signal signal, const std::vector<Threshold>& acting, const Observations& seen) {
  const std::string resource(resource_of(signal));
  std::string out = "The node was low on resource: " + resource + ". ";
  for (const Threshold& threshold : acting) {
    const auto found = seen.find(threshold.signal);
    if (resource_of(threshold.signal) != resource || found == seen.end()) continue;
    const auto& value = threshold.value;
    const std::string line = value.quantity ? model::canonical_quantity(value.text) : print(value.of(found->second.capacity), true);
    out += "Threshold quantity: " + line + ", available: " + print(found->second.available, counts_bytes(threshold.signal)) + ". ";
    break;
  }
  if (!counts_bytes(signal)) return out;
  const bool memory = resource == "memory";
  for (const ContainerUse& container : pod.containers) {
    const int64_t use = memory ? container.memory : container.disk, request = memory ? container.memory_request : container.disk_request;
    if (use > request)
      out += "Container " + container.name + " was using " + print(use, true) + ", request is " + print(request, true) +
             ", has larger consumption of " + resource + ". ";
  }
  return out;
}

}  // namespace estiba::node
