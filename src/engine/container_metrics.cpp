#include "engine/container_metrics.h"

#include <algorithm>

#include "base/strings.h"
#include "engine/files.h"

namespace estiba::engine {

std::string device_name(uint64_t major, uint64_t minor) {
  const std::string number = std::to_string(major) + ":" + std::to_string(minor);
  const std::string uevent = read_file("/sys/dev/block/" + number + "/uevent").value_or(std::string());
  for (std::string_view line : split(uevent, '\n'))
    if (line.starts_with("DEVNAME=")) return "/dev/" + std::string(line.substr(8));
  return number;
}

namespace {

using Values = ContainerMetric::Values;

double seconds(uint64_t ns) { return double(ns) / 1e9; }
Values one(double value) { return {{{}, value}}; }

double of_memory(const Measured& of, std::string_view name) {
  // Version 1 tells of the group with what is below it under total_NAME.
  for (const std::string& key : {"total_" + std::string(name), std::string(name)})
    if (auto found = of.stats.memory_stat.find(key); found != of.stats.memory_stat.end()) return double(found->second);
  return 0;
}
double of_memory(const Measured& of, std::string_view v1, std::string_view v2) { return std::max(of_memory(of, v1), of_memory(of, v2)); }

template <uint64_t ContainerStats::Io::* what>
Values io(const Measured& of, std::string_view operation) {
  Values out;
  for (const auto& row : of.stats.io)
    if (row.operation == operation) out.push_back({{{"device", device_name(row.major, row.minor)}}, double(row.*what)});
  return out;
}

template <uint64_t NetworkCounters::* what>
Values network(const Measured& of) {
  Values out;
  for (const auto& [interface, count] : of.networks) out.push_back({{{"interface", interface}}, double(count.*what)});
  return out;
}

using NC = NetworkCounters;
using Io = ContainerStats::Io;
constexpr bool counter = true, gauge = false;

constexpr ContainerMetric metrics[] = {
    {"container_cpu_usage_seconds_total",
     counter,
     "Cumulative cpu time consumed in seconds.",
     true,
     {"cpu"},
     [](const Measured& s) { return Values{{{{"cpu", "total"}}, seconds(s.stats.cpu_ns)}}; }},
    {"container_cpu_user_seconds_total",
     counter,
     "Cumulative user cpu time consumed in seconds.",
     true,
     {},
     [](const Measured& s) { return one(seconds(s.stats.cpu_user_ns)); }},
    {"container_cpu_system_seconds_total",
     counter,
     "Cumulative system cpu time consumed in seconds.",
     true,
     {},
     [](const Measured& s) { return one(seconds(s.stats.cpu_system_ns)); }},
    {"container_cpu_cfs_periods_total",
     counter,
     "Number of elapsed enforcement period intervals.",
     false,
     {},
     [](const Measured& s) { return one(double(s.stats.cpu_periods)); }},
    {"container_cpu_cfs_throttled_periods_total",
     counter,
     "Number of throttled period intervals.",
     false,
     {},
     [](const Measured& s) { return one(double(s.stats.cpu_throttled_periods)); }},
    {"container_cpu_cfs_throttled_seconds_total",
     counter,
     "Total time duration the container has been throttled.",
     false,
     {},
     [](const Measured& s) { return one(seconds(s.stats.cpu_throttled_ns)); }},
    {"container_memory_usage_bytes",
     gauge,
     "Current memory usage in bytes, including all memory regardless of when it was accessed.",
     true,
     {},
     [](const Measured& s) { return one(double(s.stats.memory_bytes)); }},
    {"container_memory_working_set_bytes",
     gauge,
     "Current working set in bytes.",
     true,
     {},
     [](const Measured& s) { return one(double(s.stats.working_set_bytes)); }},
    {"container_memory_rss", gauge, "Size of RSS in bytes.", true, {}, [](const Measured& s) { return one(double(s.stats.rss_bytes)); }},
    {"container_memory_cache",
     gauge,
     "Number of bytes of page cache memory.",
     true,
     {},
     [](const Measured& s) { return one(of_memory(s, "cache", "file")); }},
    {"container_memory_mapped_file",
     gauge,
     "Size of memory mapped files in bytes.",
     true,
     {},
     [](const Measured& s) { return one(of_memory(s, "mapped_file", "file_mapped")); }},
    {"container_memory_swap",
     gauge,
     "Container swap usage in bytes.",
     true,
     {},
     [](const Measured& s) { return one(of_memory(s, "swap")); }},
    {"container_memory_max_usage_bytes",
     gauge,
     "Maximum memory usage recorded in bytes.",
     false,
     {},
     [](const Measured& s) { return one(double(s.stats.memory_max_bytes)); }},
    {"container_memory_failcnt",
     counter,
     "Number of memory usage hits limits.",
     false,
     {},
     [](const Measured& s) { return one(double(s.stats.memory_failures)); }},
    {"container_memory_failures_total",
     counter,
     "Cumulative count of memory allocation failures.",
     true,
     {"failure_type", "scope"},
     [](const Measured& s) {
       return Values{{{{"failure_type", "pgfault"}, {"scope", "container"}}, of_memory(s, "pgfault")},
                     {{{"failure_type", "pgmajfault"}, {"scope", "container"}}, of_memory(s, "pgmajfault")}};
     }},
    {"container_spec_memory_limit_bytes",
     gauge,
     "Memory limit for the container; 0 is none.",
     false,
     {},
     [](const Measured& s) { return one(double(s.stats.memory_limit_bytes)); }},
    {"container_oom_events_total",
     counter,
     "Count of out of memory events observed for the container.",
     false,
     {},
     [](const Measured& s) { return one(double(s.stats.oom_kills)); }},
    {"container_threads",
     gauge,
     "Number of threads running inside the container.",
     false,
     {},
     [](const Measured& s) { return one(double(s.stats.pids)); }},
    {"container_threads_max",
     gauge,
     "Maximum number of threads allowed inside the container; 0 is no limit.",
     false,
     {},
     [](const Measured& s) { return one(double(s.stats.pids_limit)); }},
    {"container_fs_reads_bytes_total",
     counter,
     "Cumulative count of bytes read.",
     false,
     {"device"},
     [](const Measured& s) { return io<&Io::bytes>(s, "read"); }},
    {"container_fs_reads_total",
     counter,
     "Cumulative count of reads completed.",
     false,
     {"device"},
     [](const Measured& s) { return io<&Io::count>(s, "read"); }},
    {"container_fs_writes_bytes_total",
     counter,
     "Cumulative count of bytes written.",
     false,
     {"device"},
     [](const Measured& s) { return io<&Io::bytes>(s, "write"); }},
    {"container_fs_writes_total",
     counter,
     "Cumulative count of writes completed.",
     false,
     {"device"},
     [](const Measured& s) { return io<&Io::count>(s, "write"); }},
    {"container_network_receive_bytes_total", counter, "Cumulative count of bytes received.", true, {"interface"}, network<&NC::rx_bytes>},
    {"container_network_receive_packets_total",
     counter,
     "Cumulative count of packets received.",
     true,
     {"interface"},
     network<&NC::rx_packets>},
    {"container_network_receive_packets_dropped_total",
     counter,
     "Cumulative count of packets dropped while receiving.",
     true,
     {"interface"},
     network<&NC::rx_dropped>},
    {"container_network_receive_errors_total",
     counter,
     "Cumulative count of errors encountered while receiving.",
     true,
     {"interface"},
     network<&NC::rx_errors>},
    {"container_network_transmit_bytes_total",
     counter,
     "Cumulative count of bytes transmitted.",
     true,
     {"interface"},
     network<&NC::tx_bytes>},
    {"container_network_transmit_packets_total",
     counter,
     "Cumulative count of packets transmitted.",
     true,
     {"interface"},
     network<&NC::tx_packets>},
    {"container_network_transmit_packets_dropped_total",
     counter,
     "Cumulative count of packets dropped while transmitting.",
     true,
     {"interface"},
     network<&NC::tx_dropped>},
    {"container_network_transmit_errors_total",
     counter,
     "Cumulative count of errors encountered while transmitting.",
     true,
     {"interface"},
     network<&NC::tx_errors>},
    {"container_start_time_seconds",
     gauge,
     "Start time of the container since unix epoch in seconds.",
     true,
     {},
     [](const Measured& s) { return one(std::chrono::duration<double>(s.started.time_since_epoch()).count()); }},
    {"container_last_seen",
     gauge,
     "Last time a container was seen by the exporter.",
     true,
     {},
     [](const Measured& s) {
       return one(double(std::chrono::duration_cast<std::chrono::seconds>(s.stats.at.time_since_epoch()).count()));
     }},
};

}  // namespace

std::span<const ContainerMetric> container_metrics() { return metrics; }

void add(ContainerStats& sum, const ContainerStats& part) {
  sum.at = std::max(sum.at, part.at);
  for (auto at : {&ContainerStats::cpu_ns, &ContainerStats::cpu_user_ns, &ContainerStats::cpu_system_ns, &ContainerStats::memory_bytes,
                  &ContainerStats::working_set_bytes, &ContainerStats::rss_bytes})
    sum.*at += part.*at;
  for (const auto& [name, value] : part.memory_stat) sum.memory_stat[name] += value;
}

}  // namespace estiba::engine
