// Runtime: what containers and sandboxes use of the machine.
#include "cri/runtime.h"
#include "engine/network_counters.h"

namespace estiba::cri {

namespace {

uint64_t at(const std::map<std::string, uint64_t>& stat, const char* name) {
  auto found = stat.find(name);
  return found == stat.end() ? 0 : found->second;
}

void add(std::optional<uint64_t>& sum, const std::optional<uint64_t>& part) { sum = sum.value_or(0) + part.value_or(0); }

v1::NetworkUsage network_of(int pid, int64_t now) {
  v1::NetworkUsage out;
  out.timestamp = now;
  for (const auto& [name, count] : engine::network_counters(pid)) {
    v1::NetworkInterfaceUsage usage{name, count.rx_bytes, count.rx_errors, count.tx_bytes, count.tx_errors};
    if (name == "eth0") out.default_interface = std::move(usage);
    else out.interfaces.push_back(std::move(usage));
  }
  return out;
}

}  // namespace

// Over the time since the last asking, if that is long enough to say anything.
uint64_t Runtime::nano_cores(const std::string& id, WallTime at, uint64_t cpu_ns) {
  CpuReading& past = cpu_[id];
  const auto passed = std::chrono::duration_cast<std::chrono::nanoseconds>(at - past.at).count();
  if (past.at != WallTime{} && passed < 1'000'000'000) return past.nano_cores;
  const bool known = past.at != WallTime{} && cpu_ns >= past.cpu_ns;
  past = {at, cpu_ns, known ? uint64_t(double(cpu_ns - past.cpu_ns) * 1e9 / double(passed)) : 0};
  return past.nano_cores;
}

Task<Result<v1::ContainerStats>> Runtime::read_stats(ContainerRecord container) {
  v1::ContainerStats out;
  out.attributes = {container.id, container.config.metadata, container.config.labels, container.config.annotations};
  auto stats = CO_TRY(co_await parts_.engine.stats(container.id));
  const int64_t now = nanoseconds(stats.at);
  out.cpu.timestamp = out.memory.timestamp = out.swap.timestamp = out.writable_layer.timestamp = now;
  out.cpu.usage_core_nano_seconds = stats.cpu_ns;
  out.cpu.usage_nano_cores = nano_cores(container.id, stats.at, stats.cpu_ns);
  out.memory.usage_bytes = stats.memory_bytes;
  out.memory.working_set_bytes = stats.working_set_bytes;
  out.memory.rss_bytes = stats.rss_bytes;
  out.memory.available_bytes = stats.memory_limit_bytes > stats.working_set_bytes ? stats.memory_limit_bytes - stats.working_set_bytes : 0;
  out.memory.page_faults = at(stats.memory_stat, "pgfault");
  out.memory.major_page_faults = at(stats.memory_stat, "pgmajfault");
  out.swap.swap_usage_bytes = at(stats.memory_stat, "swap");
  out.writable_layer.fs_id.mountpoint = options_.data_dir;
  out.writable_layer.used_bytes = stats.rootfs_bytes;
  out.writable_layer.inodes_used = stats.rootfs_inodes;
  co_return out;
}

Task<v1::PodSandboxStats> Runtime::read_stats(SandboxRecord sandbox) {
  v1::PodSandboxStats out;
  out.attributes = {sandbox.id, sandbox.config.metadata, sandbox.config.labels, sandbox.config.annotations};
  auto& sum = out.linux;
  const int64_t now = now_ns();
  sum.cpu.timestamp = sum.memory.timestamp = sum.process.timestamp = now;
  for (auto* zero : {&sum.cpu.usage_core_nano_seconds, &sum.cpu.usage_nano_cores, &sum.memory.usage_bytes, &sum.memory.working_set_bytes,
                     &sum.memory.rss_bytes, &sum.memory.available_bytes, &sum.memory.page_faults, &sum.memory.major_page_faults,
                     &sum.process.process_count})
    *zero = 0;
  for (ContainerRecord& container : containers_of(sandbox.id)) {
    const std::string id = container.id;
    auto stats = co_await read_stats(std::move(container));
    if (!stats) continue;  // it does not run
    add(sum.cpu.usage_core_nano_seconds, stats->cpu.usage_core_nano_seconds);
    add(sum.cpu.usage_nano_cores, stats->cpu.usage_nano_cores);
    add(sum.memory.usage_bytes, stats->memory.usage_bytes);
    add(sum.memory.working_set_bytes, stats->memory.working_set_bytes);
    add(sum.memory.rss_bytes, stats->memory.rss_bytes);
    add(sum.memory.available_bytes, stats->memory.available_bytes);
    add(sum.memory.page_faults, stats->memory.page_faults);
    add(sum.memory.major_page_faults, stats->memory.major_page_faults);
    if (auto processes = co_await parts_.engine.top(id)) add(sum.process.process_count, uint64_t(processes->size()));
    sum.containers.push_back(std::move(*stats));
  }
  // The host's own traffic is no pod's.
  if (!sandbox.host_network())
    if (auto status = parts_.engine.sandbox(sandbox.id)) sum.network = network_of(status->shim_pid, now);
  co_return out;
}

Task<Result<v1::ContainerStatsResponse>> Runtime::container_stats(v1::ContainerStatsRequest request) {
  co_return v1::ContainerStatsResponse{CO_TRY(co_await read_stats(CO_TRY(known_container(request.container_id))))};
}

Task<Result<v1::ListContainerStatsResponse>> Runtime::list_container_stats(v1::ListContainerStatsRequest request) {
  v1::ListContainersRequest wanted;
  wanted.filter = {request.filter.id, request.filter.pod_sandbox_id, v1::ContainerState::running, request.filter.label_selector};
  v1::ListContainerStatsResponse out;
  for (const v1::Container& item : CO_TRY(co_await list_containers(std::move(wanted))).containers) {
    const ContainerRecord* container = records_.container(item.id);
    if (!container) continue;
    if (auto stats = co_await read_stats(ContainerRecord(*container))) out.stats.push_back(std::move(*stats));
  }
  co_return out;
}

Task<Result<v1::PodSandboxStatsResponse>> Runtime::pod_sandbox_stats(v1::PodSandboxStatsRequest request) {
  co_return v1::PodSandboxStatsResponse{co_await read_stats(CO_TRY(known_sandbox(request.pod_sandbox_id)))};
}

Task<Result<v1::ListPodSandboxStatsResponse>> Runtime::list_pod_sandbox_stats(v1::ListPodSandboxStatsRequest request) {
  v1::ListPodSandboxRequest wanted;
  wanted.filter = {request.filter.id, v1::PodSandboxState::ready, request.filter.label_selector};
  v1::ListPodSandboxStatsResponse out;
  for (const v1::PodSandbox& item : CO_TRY(co_await list_pod_sandbox(std::move(wanted))).items)
    if (const SandboxRecord* sandbox = records_.sandbox(item.id)) out.stats.push_back(co_await read_stats(SandboxRecord(*sandbox)));
  co_return out;
}

}  // namespace estiba::cri
