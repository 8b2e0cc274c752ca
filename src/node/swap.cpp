#include "node/swap.h"

#include <algorithm>

#include "base/log.h"
#include "engine/files.h"
#include "model/quantity.h"
#include "node/machine.h"
#include "node/resources.h"
#include "node/static_manifest.h"
#include "os/cgroup.h"
#include "os/mount.h"

namespace estiba::node {

using namespace model::core_v1;

namespace {

int64_t memory_of(const std::map<std::string, std::string>& list) {
  const auto found = list.find("memory");
  return found == list.end() ? 0 : model::quantity_to_int64(found->second);
}

constexpr int32_t system_priority = 2'000'000'000;

// Static, its mirror's pod or of a system priority, as the kubelet's IsCriticalPod().
bool is_critical(const Pod& pod) {
  const auto& notes = pod.metadata.annotations;
  const auto source = notes.find(std::string(source_annotation));
  const bool from_api = source == notes.end() || source->second == "api";
  return !from_api || notes.contains(std::string(mirror_annotation)) || pod.spec.priority.value_or(0) >= system_priority;
}

int64_t asked_memory(const Container& container) { return container.resources ? memory_of(container.resources->requests) : 0; }

bool restarts_for_memory(const Container& container) {
  return std::ranges::any_of(container.resizePolicy, [](const ContainerResizePolicy& policy) {
    return policy.resourceName == "memory" && policy.restartPolicy == "RestartContainer";
  });
}

}  // namespace

bool may_swap(const Pod& pod, const Container& container) {
  if (is_critical(pod) || qos_class(pod) != "Burstable" || !container.resources) return false;
  return memory_of(container.resources->requests) != memory_of(container.resources->limits);
}

int64_t share_of_swap(int64_t asked, uint64_t memory, uint64_t swap) {
  if (asked <= 0 || memory == 0 || uint64_t(asked) > memory) return 0;
  return int64_t(double(asked) / double(memory) * double(swap));
}

void limit_swap(engine::Resources& resources, const Options& options, const Pod& pod, const Container& container) {
  resources.swap_bytes = 0;
  if (!options.limited_swap || !may_swap(pod, container)) return;
  const MachineMemory machine = machine_memory();
  resources.swap_bytes = share_of_swap(asked_memory(container), machine.total, machine.swap_total);
}

void limit_swap_of_pod(engine::Resources& resources, const Options& options) {
  if (options.limited_swap) resources.swap_bytes = -1;
}

bool resizes_swap(const Pod& before, const Pod& after) {
  for (const auto list : {&PodSpec::containers, &PodSpec::initContainers})
    for (const Container& now : after.spec.*list)
      for (const Container& then : before.spec.*list)
        if (now.name == then.name && asked_memory(now) != asked_memory(then) && !restarts_for_memory(now) &&
            (may_swap(before, then) || may_swap(after, now)))
          return true;
  return false;
}

static void keep_from_swap(const std::string& dir) {
  if (machine_memory().swap_total == 0) return;
  const auto told = [&](std::string_view why) {
    log::warn("node", "the machine has swap, and what is in memory for pods, their Secrets too, may get there",
              {{"dir", dir}, {"why", why}});
  };
  if (auto there = os::is_mount_point(dir); there && *there) return;
  // What running containers have mounted must stay where it is.
  if (!engine::list_names(dir).value_or(std::vector<std::string>()).empty()) return told("pods were here before; a reboot mends it");
  auto made = engine::make_dirs(dir, 0711);
  if (made) made = os::mount("tmpfs", dir, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=711,noswap");
  if (!made) told(made.error().message);
}

void prepare_for_swap(const Options& options) {
  if (options.limited_swap) {
    const auto group = os::Cgroup::at(options.cgroup_root);
    if (auto made = group ? group->create() : std::unexpected(group.error()); !made)
      log::warn("node", "the pods' control group is not made", {{"error", made.error()}});
  }
  keep_from_swap(options.run_dir + "/volumes");
}

}  // namespace estiba::node
