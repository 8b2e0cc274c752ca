#include "node/resources.h"

#include <unistd.h>

#include <algorithm>
#include <functional>

#include "model/codec.h"
#include "model/quantity.h"
#include "node/machine.h"

namespace estiba::node {

using namespace model::core_v1;

namespace {

using List = std::map<std::string, std::string>;
using Requirements = model::Opt<ResourceRequirements>;

int64_t milli_cpus(const List& list) {
  const auto found = list.find("cpu");
  return found == list.end() ? 0 : model::quantity_to_milli(found->second);
}
int64_t bytes(const List& list) {
  const auto found = list.find("memory");
  return found == list.end() ? 0 : model::quantity_to_int64(found->second);
}

const List& part(const Requirements& resources, bool limits) {
  static const List none;
  return !resources ? none : limits ? resources->limits : resources->requests;
}
// A limit without a request stands for both.
int64_t asked_bytes(const Requirements& resources) {
  return part(resources, false).contains("memory") ? bytes(part(resources, false)) : bytes(part(resources, true));
}

engine::Resources resources_of(int64_t cpu_request, int64_t cpu_limit, int64_t memory_limit) {
  engine::Resources out;
  out.cpu_shares = uint64_t(std::clamp<int64_t>(cpu_request * 1024 / 1000, 2, 262144));
  if (cpu_limit > 0) {
    out.cpu_period_us = 100'000;
    out.cpu_quota_us = std::max<int64_t>(cpu_limit * 100, 1000);
  }
  if (memory_limit > 0) out.memory_bytes = out.memory_swap_bytes = memory_limit;
  return out;
}

// Whether a limit holds for the pod as a whole: its own, or one of every container.
bool limited(const Pod& pod, int64_t (*amount)(const List&)) {
  if (amount(part(pod.spec.resources, true)) > 0) return true;
  const auto has = [&](const Container& container) { return amount(part(container.resources, true)) > 0; };
  return std::ranges::all_of(pod.spec.containers, has) && std::ranges::all_of(pod.spec.initContainers, has);
}

bool same_amount(const std::string& a, const std::string& b) {
  if (a == b) return true;
  const auto one = model::Quantity::parse(a), other = model::Quantity::parse(b);
  return one && other && *one == *other;
}

int64_t amount_of(const model::ResourceList& list, std::string_view name, bool milli) {
  const auto found = list.find(name);
  return found == list.end() ? 0 : milli ? found->second.to_milli() : found->second.to_int64();
}

// What the pod asks for beyond its containers, for each of them.
int64_t spare_bytes(const Pod& pod) {
  const int64_t whole = bytes(part(pod.spec.resources, false));
  if (whole == 0) return 0;
  Pod without;
  without.spec.containers = pod.spec.containers;
  without.spec.initContainers = pod.spec.initContainers;
  const int64_t count = int64_t(pod.spec.containers.size() + pod.spec.initContainers.size());
  return (whole - amount_of(whole_pod(without, "requests"), "memory", false)) / std::max<int64_t>(count, 1);
}

}  // namespace

std::string qos_class(const Pod& pod) {
  if (!pod.status.qosClass.empty()) return pod.status.qosClass;
  bool any = false, guaranteed = true;
  const auto look = [&](const Requirements& resources) {
    for (const char* name : {"cpu", "memory"}) {
      const auto request = part(resources, false).find(name), limit = part(resources, true).find(name);
      const bool asks = request != part(resources, false).end(), is_limited = limit != part(resources, true).end();
      any |= asks || is_limited;
      guaranteed &= is_limited && (!asks || same_amount(request->second, limit->second));
    }
  };
  if (pod.spec.resources && !(pod.spec.resources->requests.empty() && pod.spec.resources->limits.empty())) {
    look(pod.spec.resources);
  } else {
    for (const Container& container : pod.spec.initContainers) look(container.resources);
    for (const Container& container : pod.spec.containers) look(container.resources);
  }
  return !any ? "BestEffort" : guaranteed ? "Guaranteed" : "Burstable";
}

model::ResourceList whole_pod(const Pod& pod, std::string_view which) {
  const auto document = json::Document::parse(model::encode(pod.spec));
  return document ? model::pod_resources(document->root(), which, true) : model::ResourceList{};
}

namespace {

// "2MB", "1GB", "64KB": how the kernel names sizes in files of the hugetlb controller (mem_fmt() in mm/hugetlb_cgroup.c).
std::string controller_name(uint64_t page_bytes) {
  if (page_bytes >= 1 << 30) return std::to_string(page_bytes >> 30) + "GB";
  if (page_bytes >= 1 << 20) return std::to_string(page_bytes >> 20) + "MB";
  return std::to_string(page_bytes >> 10) + "KB";
}

// A size that is not asked for is none (GetHugepageLimitsFromResources in the kubelet).
void limit_huge_pages(engine::Resources& out, const std::function<int64_t(const std::string&)>& limit) {
  static const std::vector<HugePages> sizes = huge_pages();  // which ones there are never changes
  for (const HugePages& size : sizes)
    out.huge_pages.emplace_back(controller_name(size.page_bytes),
                                uint64_t(std::max<int64_t>(limit(huge_page_resource(size.page_bytes)), 0)));
}

bool uses_huge_pages(const Pod& pod) {
  const auto asks = [](const Requirements& resources) {
    return std::ranges::any_of(part(resources, true), [](const auto& entry) { return entry.first.starts_with("hugepages-"); });
  };
  return asks(pod.spec.resources) || std::ranges::any_of(pod.spec.containers, asks, &Container::resources) ||
         std::ranges::any_of(pod.spec.initContainers, asks, &Container::resources);
}

}  // namespace

engine::Resources container_resources(const Pod& pod, const Container& container) {
  const List &requests = part(container.resources, false), &limits = part(container.resources, true),
             &of_pod = part(pod.spec.resources, true);
  const int64_t cpu_limit = milli_cpus(limits) > 0 ? milli_cpus(limits) : milli_cpus(of_pod);
  const int64_t memory_limit = bytes(limits) > 0 ? bytes(limits) : bytes(of_pod);
  engine::Resources out = resources_of(requests.contains("cpu") ? milli_cpus(requests) : cpu_limit, cpu_limit, memory_limit);
  // In a pod without any its own group says so for all of them.
  if (uses_huge_pages(pod))
    limit_huge_pages(out, [&](const std::string& name) {
      for (const List* list : {&limits, &of_pod})
        if (const auto found = list->find(name); found != list->end()) return model::quantity_to_int64(found->second);
      return int64_t(0);
    });
  static const int64_t machine = int64_t(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  out.oom_score_adj = oom_score_adj(pod, container, machine);
  return out;
}

engine::Resources pod_resources(const Pod& pod) {
  engine::Resources out;
  model::ResourceList limits;
  if (qos_class(pod) == "BestEffort") {
    out = resources_of(0, 0, 0);
  } else {
    const model::ResourceList requests = whole_pod(pod, "requests");
    limits = whole_pod(pod, "limits");
    out = resources_of(amount_of(requests, "cpu", true), limited(pod, milli_cpus) ? amount_of(limits, "cpu", true) : 0,
                       limited(pod, bytes) ? amount_of(limits, "memory", false) : 0);
  }
  limit_huge_pages(out, [&](const std::string& name) { return amount_of(limits, name, false); });
  return out;
}

ResourceRequirements shown_resources(const Pod& pod) {
  ResourceRequirements out;
  const auto shown = [](const std::string& name) { return name == "cpu" || name == "memory" || name.starts_with("hugepages-"); };
  for (const auto& [name, quantity] : whole_pod(pod, "requests"))
    if (shown(name) && !quantity.is_zero()) out.requests[name] = quantity.print();
  for (const auto& [name, quantity] : whole_pod(pod, "limits"))
    if (shown(name) && !quantity.is_zero() && (name != "cpu" || limited(pod, milli_cpus)) && (name != "memory" || limited(pod, bytes)))
      out.limits[name] = quantity.print();
  return out;
}

int oom_score_adj(const Pod& pod, const Container& container, int64_t machine_bytes) {
  if (pod.spec.priorityClassName == "system-node-critical") return -997;
  const std::string qos = qos_class(pod);
  if (qos == "Guaranteed") return -997;
  if (qos == "BestEffort") return 1000;
  const int64_t spare = spare_bytes(pod);
  const auto score = [&](int64_t asked) { return 1000 - 1000 * (asked + spare) / std::max<int64_t>(machine_bytes, 1); };
  int64_t adjust = score(asked_bytes(container.resources));
  const bool sidecar = container.restartPolicy == "Always" &&
                       std::ranges::any_of(pod.spec.initContainers, [&](const Container& init) { return init.name == container.name; });
  if (sidecar) {
    int64_t least = INT64_MAX;
    for (const Container& other : pod.spec.containers) least = std::min(least, asked_bytes(other.resources));
    if (!pod.spec.containers.empty()) adjust = std::min(adjust, score(least));
  }
  return int(std::clamp<int64_t>(adjust, 3, 999));
}

}  // namespace estiba::node
