#include "docker/stats.h"

#include <unistd.h>

#include "base/strings.h"
#include "base/time.h"
#include "docker/json_writer.h"
#include "os/file.h"

namespace estiba::docker {

namespace {

uint64_t number(std::string_view text) { return parse_number<uint64_t>(text).value_or(0); }

void put_cpu(JsonWriter& json, std::string_view key, const std::optional<Sample>& sample) {
  const Sample none;
  const Sample& from = sample ? *sample : none;
  const engine::ContainerStats& stats = from.container;
  json.object(key).object("cpu_usage").put("total_usage", stats.cpu_ns);
  if (!stats.cpu_each_ns.empty()) json.put_list("percpu_usage", stats.cpu_each_ns);
  json.put("usage_in_kernelmode", stats.cpu_system_ns).put("usage_in_usermode", stats.cpu_user_ns).end();
  if (sample) json.put("system_cpu_usage", from.host.cpu_ns).put("online_cpus", from.host.cpus);
  json.object("throttling_data").put("periods", stats.cpu_periods).put("throttled_periods", stats.cpu_throttled_periods);
  json.put("throttled_time", stats.cpu_throttled_ns).end().end();
}

void put_io(JsonWriter& json, const engine::ContainerStats& stats) {
  json.object("blkio_stats");
  if (stats.io.empty()) {
    json.put_null("io_service_bytes_recursive").put_null("io_serviced_recursive");
  } else {
    const bool counted = !stats.cpu_each_ns.empty();  // cgroup v1 tells operations apart from bytes, as dockerd passes on
    for (bool bytes : {true, false}) {
      if (!bytes && !counted) {
        json.put_null("io_serviced_recursive");
        continue;
      }
      json.array(bytes ? "io_service_bytes_recursive" : "io_serviced_recursive");
      for (const auto& io : stats.io)
        json.object().put("major", io.major).put("minor", io.minor).put("op", io.operation).put("value", bytes ? io.bytes : io.count).end();
      json.end();
    }
  }
  for (const char* key : {"io_queue_recursive", "io_service_time_recursive", "io_wait_time_recursive", "io_merged_recursive",
                          "io_time_recursive", "sectors_recursive"})
    json.put_null(key);
  json.end();
}

void put_memory(JsonWriter& json, const Sample& sample) {
  const engine::ContainerStats& stats = sample.container;
  json.object("memory_stats").put("usage", stats.memory_bytes);
  if (stats.memory_max_bytes) json.put("max_usage", stats.memory_max_bytes);
  json.put_map("stats", stats.memory_stat);
  if (stats.memory_failures) json.put("failcnt", stats.memory_failures);
  const uint64_t most = sample.host.memory_bytes;
  json.put("limit", stats.memory_limit_bytes && stats.memory_limit_bytes < most ? stats.memory_limit_bytes : most).end();
}

}  // namespace

HostUsage parse_proc_stat(std::string_view text) {
  HostUsage out;
  const uint64_t tick_ns = 1'000'000'000 / uint64_t(::sysconf(_SC_CLK_TCK));
  for (std::string_view line : split(text, '\n')) {
    if (!line.starts_with("cpu")) continue;
    const auto fields = words(line);
    if (fields[0] != "cpu") {
      ++out.cpus;
      continue;
    }
    // user, nice, system, idle, iowait, irq, softirq: what dockerd adds up, so that percentages agree.
    for (size_t i = 1; i < fields.size() && i <= 7; ++i) out.cpu_ns += number(fields[i]) * tick_ns;
  }
  return out;
}

Result<HostUsage> host_usage() {
  HostUsage out = parse_proc_stat(TRY(os::read_file("/proc/stat")));
  static const uint64_t memory = uint64_t(::sysconf(_SC_PHYS_PAGES)) * uint64_t(::sysconf(_SC_PAGESIZE));
  out.memory_bytes = memory;
  return out;
}

std::string print_stats(std::string_view id, std::string_view name, const std::optional<Sample>& sample,
                        const std::optional<Sample>& before) {
  constexpr std::string_view never = "0001-01-01T00:00:00Z";
  auto time = [&](const std::optional<Sample>& from) { return from ? format_rfc3339_nano(from->at) : std::string(never); };
  const Sample none;
  const Sample& now = sample ? *sample : none;
  JsonWriter json;
  json.object().put("read", time(sample)).put("preread", time(before));
  json.object("pids_stats");
  if (sample) {
    json.put("current", now.container.pids);
    // Docker's word for no limit is the largest number.
    json.put("limit", now.container.pids_limit ? now.container.pids_limit : UINT64_MAX);
  }
  json.end();
  put_io(json, now.container);
  json.put("num_procs", 0).object("storage_stats").end();
  put_cpu(json, "cpu_stats", sample);
  put_cpu(json, "precpu_stats", before);
  if (sample) put_memory(json, now);
  else json.object("memory_stats").end();
  json.put("name", "/" + std::string(name)).put("id", id);
  if (!now.networks.empty()) {
    json.object("networks");
    for (const auto& [interface, count] : now.networks) {
      json.object(interface).put("rx_bytes", count.rx_bytes).put("rx_packets", count.rx_packets).put("rx_errors", count.rx_errors);
      json.put("rx_dropped", count.rx_dropped).put("tx_bytes", count.tx_bytes).put("tx_packets", count.tx_packets);
      json.put("tx_errors", count.tx_errors).put("tx_dropped", count.tx_dropped).end();
    }
    json.end();
  }
  json.end();
  return json.take();
}

}  // namespace estiba::docker
