#include "node/usage.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include "base/strings.h"
#include "base/time.h"
#include "client/json_writer.h"
#include "engine/files.h"
#include "node/machine.h"

namespace estiba::node {

using client::JsonWriter;
using model::ObjectRef;
using namespace std::chrono_literals;

namespace {

constexpr Duration rate_window = 10s;

std::string seconds_text(uint64_t ns) {
  std::string text = std::to_string(ns / 1'000'000'000) + "." + std::to_string(1'000'000'000 + ns % 1'000'000'000).substr(1);
  return text;
}

std::string milliseconds_text(WallTime at) {
  return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch()).count());
}

uint64_t number(std::string_view text) { return parse_number<uint64_t>(trim(text)).value_or(0); }

}  // namespace

Usage::Reading Usage::PodReading::total() const {
  Reading sum;
  for (const ContainerReading& container : containers) {
    sum.at = std::max(sum.at, container.use.at);
    sum.cpu_ns += container.use.cpu_ns;
    sum.nanocores += container.use.nanocores;
    sum.memory += container.use.memory;
    sum.working_set += container.use.working_set;
    sum.rss += container.use.rss;
    for (auto part : {&Reading::swap, &Reading::swap_available})
      if (container.use.*part) sum.*part = (sum.*part).value_or(0) + *(container.use.*part);
  }
  return sum;
}

uint64_t Usage::rate(const std::string& key, Reading& reading) {
  Past& past = past_[key];
  past.seen = true;
  if (past.base_at == WallTime{} || reading.cpu_ns < past.base_cpu) past = {.base_at = reading.started, .seen = true};
  if (past.last_at != WallTime{} && reading.at - past.last_at >= rate_window) {
    past.base_at = past.last_at;
    past.base_cpu = past.last_cpu;
  }
  const auto passed = std::chrono::duration_cast<std::chrono::nanoseconds>(reading.at - past.base_at).count();
  const uint64_t used = reading.cpu_ns - past.base_cpu;
  if (past.last_at == WallTime{} || reading.at - past.last_at >= rate_window) {
    past.last_at = reading.at;
    past.last_cpu = reading.cpu_ns;
  }
  return passed > 0 ? uint64_t(double(used) * 1e9 / double(passed)) : 0;
}

/// What is no longer there needs no past.
void Usage::forget() {
  std::erase_if(past_, [](auto& row) { return !std::exchange(row.second.seen, false); });
}

Usage::Reading Usage::read_machine() {
  Reading out{.at = node_.context().loop.wall_now()};
  const std::string stat = engine::read_file("/proc/stat").value_or(std::string());
  const uint64_t tick_ns = 1'000'000'000 / uint64_t(::sysconf(_SC_CLK_TCK));
  for (std::string_view line : split(stat, '\n')) {
    if (line.starts_with("btime ")) out.started = WallTime(std::chrono::seconds(number(line.substr(6))));
    if (!line.starts_with("cpu ")) continue;
    size_t field = 0;
    for (std::string_view word : split(line.substr(4), ' ')) {
      if (word.empty()) continue;
      // user, nice, system, (idle, iowait,) irq, softirq, steal
      if (field < 8 && field != 3 && field != 4) out.cpu_ns += number(word) * tick_ns;
      ++field;
    }
  }
  const MachineMemory memory = machine_memory();
  out.memory = memory.used;
  out.working_set = memory.working_set;
  out.available = memory.available();
  out.rss = memory.anonymous;
  out.swap = memory.swap_total - memory.swap_free;
  out.swap_available = memory.swap_free;
  out.nanocores = rate("", out);
  return out;
}

// Only control groups that count swap tell of it.
void Usage::read_swap(const std::map<std::string, uint64_t>& memory, Reading& use) {
  const auto used = memory.find("swap"), limit = memory.find("swap_limit");
  if (used == memory.end()) return;
  use.swap = used->second;
  if (limit != memory.end()) use.swap_available = limit->second - std::min(limit->second, used->second);
}

Task<std::vector<Usage::PodReading>> Usage::read_pods() {
  std::vector<PodReading> out;
  struct Place {
    std::string id;
    WallTime started;
  };
  // First the names: a worker may go while a reading is awaited.
  std::vector<std::vector<Place>> places;
  for (const auto& [uid, worker] : node_.workers()) {
    PodReading pod{.pod = worker->pod()};
    std::vector<Place> of_pod;
    const auto& spec = pod.pod.as<model::core_v1::Pod>().spec;
    for (const auto* list : {&spec.initContainers, &spec.containers}) {
      for (const auto& container : *list) {
        const auto status = worker->container(container.name);
        if (!status || status->state != engine::ContainerState::running) continue;
        pod.containers.push_back({container.name, {}});
        of_pod.push_back({status->id, status->started});
      }
    }
    if (of_pod.empty()) continue;
    out.push_back(std::move(pod));
    places.push_back(std::move(of_pod));
  }
  for (size_t i = 0; i < out.size(); ++i) {
    for (size_t k = 0; k < places[i].size(); ++k) {
      auto stats = co_await node_.context().engine.stats(places[i][k].id, false);
      if (!stats) continue;  // it has ended meanwhile
      Reading& use = out[i].containers[k].use;
      use = {.at = stats->at,
             .started = places[i][k].started,
             .cpu_ns = stats->cpu_ns,
             .memory = stats->memory_bytes,
             .working_set = stats->working_set_bytes,
             .rss = stats->rss_bytes};
      read_swap(stats->memory_stat, use);
      use.nanocores = rate(places[i][k].id, use);
    }
    std::erase_if(out[i].containers, [](const ContainerReading& container) { return container.use.at == WallTime{}; });
  }
  std::erase_if(out, [](const PodReading& pod) { return pod.containers.empty(); });
  co_return out;
}

static void put_use(JsonWriter& json, WallTime at, uint64_t nanocores, uint64_t cpu_ns) {
  json.object("cpu").field("time", format_rfc3339(at)).field("usageNanoCores", nanocores).field("usageCoreNanoSeconds", cpu_ns).end();
}

static void put_memory(JsonWriter& json, WallTime at, std::optional<uint64_t> available, uint64_t usage, uint64_t working_set,
                       uint64_t rss) {
  json.object("memory").field("time", format_rfc3339(at));
  if (available) json.field("availableBytes", *available);
  json.field("usageBytes", usage).field("workingSetBytes", working_set).field("rssBytes", rss).end();
}

static void put_swap(JsonWriter& json, WallTime at, std::optional<uint64_t> available, std::optional<uint64_t> used) {
  if (!used) return;
  json.object("swap").field("time", format_rfc3339(at));
  if (available) json.field("swapAvailableBytes", *available);
  json.field("swapUsageBytes", *used).end();
}

static void put_disk(JsonWriter& json, WallTime at, const std::string& path) {
  struct statvfs disk{};
  if (statvfs(path.c_str(), &disk) != 0) return;
  const uint64_t size = uint64_t(disk.f_blocks) * disk.f_frsize, free = uint64_t(disk.f_bfree) * disk.f_frsize;
  json.object("fs").field("time", format_rfc3339(at)).field("availableBytes", uint64_t(disk.f_bavail) * disk.f_frsize);
  json.field("capacityBytes", size).field("usedBytes", size - free);
  json.field("inodesFree", uint64_t(disk.f_ffree))
      .field("inodes", uint64_t(disk.f_files))
      .field("inodesUsed", uint64_t(disk.f_files - disk.f_ffree))
      .end();
}

Task<std::string> Usage::summary() {
  const Options& options = node_.context().options;
  const Reading machine = read_machine();
  const std::vector<PodReading> pods = co_await read_pods();
  const std::vector<VolumeStats::Entry> volumes = co_await volumes_.read();
  forget();
  JsonWriter json;
  json.object().object("node").field("nodeName", options.node_name).field("startTime", format_rfc3339(machine.started));
  put_use(json, machine.at, machine.nanocores, machine.cpu_ns);
  put_memory(json, machine.at, machine.available, machine.memory, machine.working_set, machine.rss);
  put_swap(json, machine.at, machine.swap_available, machine.swap);
  put_disk(json, machine.at, options.data_dir);
  json.end().array("pods");
  for (const PodReading& pod : pods) {
    const model::Meta& meta = pod.pod.meta();
    json.object().object("podRef").field("name", meta.name).field("namespace", meta.ns).field("uid", meta.uid).end();
    json.field("startTime", pod.pod.as<model::core_v1::Pod>().status.startTime).array("containers");
    for (const ContainerReading& container : pod.containers) {
      const Reading& use = container.use;
      json.object().field("name", container.name).field("startTime", format_rfc3339(use.started));
      put_use(json, use.at, use.nanocores, use.cpu_ns);
      put_memory(json, use.at, {}, use.memory, use.working_set, use.rss);
      put_swap(json, use.at, use.swap_available, use.swap);
      json.end();
    }
    const Reading all = pod.total();
    json.end();
    put_use(json, all.at, all.nanocores, all.cpu_ns);
    put_memory(json, all.at, {}, all.memory, all.working_set, all.rss);
    put_swap(json, all.at, all.swap_available, all.swap);
    put_volumes(json, volumes, meta.uid);
    json.end();
  }
  json.end().end();
  co_return json.take();
}

Task<std::string> Usage::resource_metrics() {
  const Reading machine = read_machine();
  const std::vector<PodReading> pods = co_await read_pods();
  forget();
  std::string out;
  const auto family = [&](std::string_view name, std::string_view type, std::string_view help, std::string_view stage = " [STABLE] ") {
    out.append("# HELP ").append(name).append(stage).append(help).append("\n# TYPE ").append(name).append(" ").append(type).append("\n");
  };
  const auto row = [&](std::string_view name, const std::string& labels, const std::string& value, WallTime at) {
    out.append(name);
    if (!labels.empty()) out.append("{").append(labels).append("}");
    out.append(" ").append(value).append(" ").append(milliseconds_text(at)).append("\n");
  };
  const auto labels_of = [](const ObjectRef& pod) { return "namespace=\"" + pod.meta().ns + "\",pod=\"" + pod.meta().name + "\""; };
  const auto each_container = [&](std::string_view name, auto value) {
    for (const PodReading& pod : pods)
      for (const ContainerReading& container : pod.containers)
        row(name, "container=\"" + container.name + "\"," + labels_of(pod.pod), value(container.use), container.use.at);
  };
  const auto each_pod = [&](std::string_view name, auto value) {
    for (const PodReading& pod : pods) row(name, labels_of(pod.pod), value(pod.total()), pod.total().at);
  };
  const auto cpu = [](const Reading& use) { return seconds_text(use.cpu_ns); };
  const auto memory = [](const Reading& use) { return std::to_string(use.working_set); };
  family("container_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the container in core-seconds");
  each_container("container_cpu_usage_seconds_total", cpu);
  family("container_memory_working_set_bytes", "gauge", "Current working set of the container in bytes");
  each_container("container_memory_working_set_bytes", memory);
  family("container_start_time_seconds", "gauge", "Start time of the container since unix epoch in seconds");
  each_container("container_start_time_seconds", [](const Reading& use) {
    return seconds_text(uint64_t(std::chrono::duration_cast<std::chrono::nanoseconds>(use.started.time_since_epoch()).count()));
  });
  family("node_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the node in core-seconds");
  row("node_cpu_usage_seconds_total", "", cpu(machine), machine.at);
  family("node_memory_working_set_bytes", "gauge", "Current working set of the node in bytes");
  row("node_memory_working_set_bytes", "", memory(machine), machine.at);
  family("pod_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the pod in core-seconds");
  each_pod("pod_cpu_usage_seconds_total", cpu);
  family("pod_memory_working_set_bytes", "gauge", "Current working set of the pod in bytes");
  each_pod("pod_memory_working_set_bytes", memory);
  const auto swap = [](const Reading& use) { return use.swap; };
  const auto swap_limit = [](const Reading& use) {
    return use.swap_available ? std::optional(*use.swap_available + use.swap.value_or(0)) : std::nullopt;
  };
  const auto swap_of = [&](std::string_view name, std::string_view help, auto value, bool of_pods) {
    bool begun = false;
    const auto put = [&](const std::string& labels, const Reading& use) {
      const std::optional<uint64_t> bytes = value(use);
      if (!bytes) return;
      if (!std::exchange(begun, true)) family(name, "gauge", help, " [ALPHA] ");
      row(name, labels, std::to_string(*bytes), use.at);
    };
    for (const PodReading& pod : pods) {
      if (of_pods) put(labels_of(pod.pod), pod.total());
      else
        for (const ContainerReading& container : pod.containers)
          put("container=\"" + container.name + "\"," + labels_of(pod.pod), container.use);
    }
  };
  swap_of("container_swap_usage_bytes", "Current amount of the container swap usage in bytes. Reported only on non-windows systems", swap,
          false);
  swap_of("container_swap_limit_bytes", "Current amount of the container swap limit in bytes. Reported only on non-windows systems",
          swap_limit, false);
  swap_of("pod_swap_usage_bytes", "Current amount of the pod swap usage in bytes. Reported only on non-windows systems", swap, true);
  family("node_swap_usage_bytes", "gauge", "Current swap usage of the node in bytes. Reported only on non-windows systems", " [ALPHA] ");
  row("node_swap_usage_bytes", "", std::to_string(machine.swap.value_or(0)), machine.at);
  family("resource_scrape_error", "gauge", "1 if there was an error while getting container metrics, 0 otherwise");
  row("resource_scrape_error", "", "0", machine.at);
  co_return out;
}

}  // namespace estiba::node
