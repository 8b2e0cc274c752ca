#include "node/cadvisor.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <thread>

#include "base/strings.h"
#include "engine/files.h"
#include "engine/network_counters.h"
#include "node/metric_text.h"

namespace estiba::node {

namespace {

using engine::ContainerStats;

struct Subject {
  MetricLabels labels;
  ContainerStats stats;  // of a pod: the sum of its containers'
  WallTime started{};
  bool container = false;
  std::map<std::string, engine::NetworkCounters> networks;  // of a pod
};

/// Values of one family for one subject: further labels, and the number.
using Values = std::vector<std::pair<MetricLabels, double>>;

struct Row {
  const char *name, *type, *help;
  bool pods;  // pods have it as well as containers
  Values (*read)(const Subject& subject);
};

double seconds(uint64_t ns) { return double(ns) / 1e9; }
Values one(double value) { return {{{}, value}}; }

double of_memory(const Subject& subject, std::string_view name) {
  // Version 1 tells of the group with what is below it under total_NAME.
  for (const std::string& key : {"total_" + std::string(name), std::string(name)})
    if (auto found = subject.stats.memory_stat.find(key); found != subject.stats.memory_stat.end()) return double(found->second);
  return 0;
}
double of_memory(const Subject& subject, std::string_view v1, std::string_view v2) {
  return std::max(of_memory(subject, v1), of_memory(subject, v2));
}

std::string device_name(uint64_t major, uint64_t minor) {
  const std::string number = std::to_string(major) + ":" + std::to_string(minor);
  const std::string uevent = engine::read_file("/sys/dev/block/" + number + "/uevent").value_or(std::string());
  for (std::string_view line : split(uevent, '\n'))
    if (line.starts_with("DEVNAME=")) return "/dev/" + std::string(line.substr(8));
  return number;
}

template <uint64_t ContainerStats::Io::* what>
Values io(const Subject& subject, std::string_view operation) {
  Values out;
  for (const auto& row : subject.stats.io)
    if (row.operation == operation) out.push_back({{{"device", device_name(row.major, row.minor)}}, double(row.*what)});
  return out;
}

template <uint64_t engine::NetworkCounters::* what>
Values network(const Subject& subject) {
  Values out;
  for (const auto& [interface, count] : subject.networks) out.push_back({{{"interface", interface}}, double(count.*what)});
  return out;
}

using NC = engine::NetworkCounters;
using Io = ContainerStats::Io;
constexpr const char *counter = "counter", *gauge = "gauge";

constexpr Row rows[] = {
    {"container_cpu_usage_seconds_total", counter, "Cumulative cpu time consumed in seconds.", true,
     [](const Subject& s) { return Values{{{{"cpu", "total"}}, seconds(s.stats.cpu_ns)}}; }},
    {"container_cpu_user_seconds_total", counter, "Cumulative user cpu time consumed in seconds.", true,
     [](const Subject& s) { return one(seconds(s.stats.cpu_user_ns)); }},
    {"container_cpu_system_seconds_total", counter, "Cumulative system cpu time consumed in seconds.", true,
     [](const Subject& s) { return one(seconds(s.stats.cpu_system_ns)); }},
    {"container_cpu_cfs_periods_total", counter, "Number of elapsed enforcement period intervals.", false,
     [](const Subject& s) { return one(double(s.stats.cpu_periods)); }},
    {"container_cpu_cfs_throttled_periods_total", counter, "Number of throttled period intervals.", false,
     [](const Subject& s) { return one(double(s.stats.cpu_throttled_periods)); }},
    {"container_cpu_cfs_throttled_seconds_total", counter, "Total time duration the container has been throttled.", false,
     [](const Subject& s) { return one(seconds(s.stats.cpu_throttled_ns)); }},
    {"container_memory_usage_bytes", gauge, "Current memory usage in bytes, including all memory regardless of when it was accessed.", true,
     [](const Subject& s) { return one(double(s.stats.memory_bytes)); }},
    {"container_memory_working_set_bytes", gauge, "Current working set in bytes.", true,
     [](const Subject& s) { return one(double(s.stats.working_set_bytes)); }},
    {"container_memory_rss", gauge, "Size of RSS in bytes.", true, [](const Subject& s) { return one(double(s.stats.rss_bytes)); }},
    {"container_memory_cache", gauge, "Number of bytes of page cache memory.", true,
     [](const Subject& s) { return one(of_memory(s, "cache", "file")); }},
    {"container_memory_mapped_file", gauge, "Size of memory mapped files in bytes.", true,
     [](const Subject& s) { return one(of_memory(s, "mapped_file", "file_mapped")); }},
    {"container_memory_swap", gauge, "Container swap usage in bytes.", true, [](const Subject& s) { return one(of_memory(s, "swap")); }},
    {"container_memory_max_usage_bytes", gauge, "Maximum memory usage recorded in bytes.", false,
     [](const Subject& s) { return one(double(s.stats.memory_max_bytes)); }},
    {"container_memory_failcnt", counter, "Number of memory usage hits limits.", false,
     [](const Subject& s) { return one(double(s.stats.memory_failures)); }},
    {"container_memory_failures_total", counter, "Cumulative count of memory allocation failures.", true,
     [](const Subject& s) {
       return Values{{{{"failure_type", "pgfault"}, {"scope", "container"}}, of_memory(s, "pgfault")},
                     {{{"failure_type", "pgmajfault"}, {"scope", "container"}}, of_memory(s, "pgmajfault")}};
     }},
    {"container_spec_memory_limit_bytes", gauge, "Memory limit for the container; 0 is none.", false,
     [](const Subject& s) { return one(double(s.stats.memory_limit_bytes)); }},
    {"container_oom_events_total", counter, "Count of out of memory events observed for the container.", false,
     [](const Subject& s) { return one(double(s.stats.oom_kills)); }},
    {"container_threads", gauge, "Number of threads running inside the container.", false,
     [](const Subject& s) { return one(double(s.stats.pids)); }},
    {"container_threads_max", gauge, "Maximum number of threads allowed inside the container; 0 is no limit.", false,
     [](const Subject& s) { return one(double(s.stats.pids_limit)); }},
    {"container_fs_reads_bytes_total", counter, "Cumulative count of bytes read.", false,
     [](const Subject& s) { return io<&Io::bytes>(s, "read"); }},
    {"container_fs_reads_total", counter, "Cumulative count of reads completed.", false,
     [](const Subject& s) { return io<&Io::count>(s, "read"); }},
    {"container_fs_writes_bytes_total", counter, "Cumulative count of bytes written.", false,
     [](const Subject& s) { return io<&Io::bytes>(s, "write"); }},
    {"container_fs_writes_total", counter, "Cumulative count of writes completed.", false,
     [](const Subject& s) { return io<&Io::count>(s, "write"); }},
    {"container_network_receive_bytes_total", counter, "Cumulative count of bytes received.", true, network<&NC::rx_bytes>},
    {"container_network_receive_packets_total", counter, "Cumulative count of packets received.", true, network<&NC::rx_packets>},
    {"container_network_receive_packets_dropped_total", counter, "Cumulative count of packets dropped while receiving.", true,
     network<&NC::rx_dropped>},
    {"container_network_receive_errors_total", counter, "Cumulative count of errors encountered while receiving.", true,
     network<&NC::rx_errors>},
    {"container_network_transmit_bytes_total", counter, "Cumulative count of bytes transmitted.", true, network<&NC::tx_bytes>},
    {"container_network_transmit_packets_total", counter, "Cumulative count of packets transmitted.", true, network<&NC::tx_packets>},
    {"container_network_transmit_packets_dropped_total", counter, "Cumulative count of packets dropped while transmitting.", true,
     network<&NC::tx_dropped>},
    {"container_network_transmit_errors_total", counter, "Cumulative count of errors encountered while transmitting.", true,
     network<&NC::tx_errors>},
    {"container_start_time_seconds", gauge, "Start time of the container since unix epoch in seconds.", true,
     [](const Subject& s) { return one(std::chrono::duration<double>(s.started.time_since_epoch()).count()); }},
    {"container_last_seen", gauge, "Last time a container was seen by the exporter.", true,
     [](const Subject& s) { return one(double(std::chrono::duration_cast<std::chrono::seconds>(s.stats.at.time_since_epoch()).count())); }},
};

void add(ContainerStats& sum, const ContainerStats& part) {
  sum.at = std::max(sum.at, part.at);
  for (auto at : {&ContainerStats::cpu_ns, &ContainerStats::cpu_user_ns, &ContainerStats::cpu_system_ns, &ContainerStats::memory_bytes,
                  &ContainerStats::working_set_bytes, &ContainerStats::rss_bytes})
    sum.*at += part.*at;
  for (const auto& [name, value] : part.memory_stat) sum.memory_stat[name] += value;
}

Task<std::vector<Subject>> read_subjects(Node* node, LayerSizes* layers) {
  struct Place {
    std::string uid, ns, pod;
    std::vector<engine::ContainerStatus> containers;
    bool host_network = false;
  };
  // First the names: a worker may go while a reading is awaited.
  std::vector<Place> places;
  for (const auto& [uid, worker] : node->workers()) {
    const auto& pod = worker->pod();
    const auto& spec = pod.as<model::core_v1::Pod>().spec;
    Place place{uid, pod.meta().ns, pod.meta().name, {}, spec.hostNetwork.value_or(false)};
    for (const auto* list : {&spec.initContainers, &spec.containers})
      for (const auto& container : *list)
        if (auto status = worker->container(container.name); status && status->state == engine::ContainerState::running)
          place.containers.push_back(std::move(*status));
    if (!place.containers.empty()) places.push_back(std::move(place));
  }
  engine::Engine& engine = node->context().engine;
  std::vector<Subject> out;
  std::set<std::string> there;
  for (Place& place : places) {
    const auto sandbox = engine.sandbox(place.uid);
    if (!sandbox) continue;
    const auto labels = [&](std::string container, std::string id, std::string image, std::string name) {
      return MetricLabels{{"container", std::move(container)}, {"id", std::move(id)},   {"image", std::move(image)},
                          {"name", std::move(name)},           {"namespace", place.ns}, {"pod", place.pod}};
    };
    Subject pod{.labels = labels("", sandbox->cgroup_parent, "", ""), .stats = {}, .started = sandbox->created, .networks = {}};
    for (const auto& status : place.containers) {
      auto stats = co_await engine.stats(status.id, false);
      if (!stats) continue;  // it has ended meanwhile
      const image::Usage layer = co_await layers->of(status.id);
      stats->rootfs_bytes = layer.bytes;
      stats->rootfs_inodes = layer.inodes;
      there.insert(status.id);
      add(pod.stats, *stats);
      out.push_back({.labels = labels(status.name, sandbox->cgroup_parent + "/" + status.id, status.image, status.id),
                     .stats = std::move(*stats),
                     .started = status.started,
                     .container = true,
                     .networks = {}});
    }
    if (pod.stats.at == WallTime{}) continue;
    if (!place.host_network) pod.networks = engine::network_counters(sandbox->shim_pid);
    out.push_back(std::move(pod));
  }
  layers->keep(there);
  co_return out;
}

/// What the writable layers take, and the file system that they are on.
void put_file_systems(MetricText& text, const std::vector<Subject>& subjects, const std::string& directory) {
  struct stat place{};
  struct statvfs disk{};
  if (::stat(directory.c_str(), &place) != 0 || ::statvfs(directory.c_str(), &disk) != 0) return;
  const std::string device = device_name(major(place.st_dev), minor(place.st_dev));
  const auto family = [&](const char* name, const char* help, auto value) {
    text.family(name, gauge, help);
    for (const Subject& subject : subjects) {
      if (!subject.container) continue;
      MetricLabels labels = subject.labels;
      labels.insert(labels.begin() + 1, {"device", device});
      text.row(labels, double(value(subject.stats)), subject.stats.at);
    }
  };
  family("container_fs_usage_bytes", "Number of bytes that are consumed by the container on this filesystem.",
         [](const ContainerStats& stats) { return stats.rootfs_bytes; });
  family("container_fs_limit_bytes", "Number of bytes that can be consumed by the container on this filesystem.",
         [&](const ContainerStats&) { return uint64_t(disk.f_blocks) * disk.f_frsize; });
  family("container_fs_inodes_total", "Number of Inodes.", [&](const ContainerStats&) { return uint64_t(disk.f_files); });
  family("container_fs_inodes_free", "Number of available Inodes.", [&](const ContainerStats&) { return uint64_t(disk.f_ffree); });
}

}  // namespace

Task<std::string> cadvisor_metrics(Node* node, LayerSizes* layers) {
  const std::vector<Subject> subjects = co_await read_subjects(node, layers);
  MetricText text;
  for (const Row& row : rows) {
    text.family(row.name, row.type, row.help);
    for (const Subject& subject : subjects) {
      if (!subject.container && !row.pods) continue;
      for (auto& [more, value] : row.read(subject)) {
        MetricLabels labels = subject.labels;
        labels.insert(labels.end(), more.begin(), more.end());
        text.row(labels, value, subject.stats.at);
      }
    }
  }
  put_file_systems(text, subjects, node->context().options.data_dir);
  text.family("machine_cpu_cores", gauge, "Number of logical CPU cores.");
  text.row({}, std::thread::hardware_concurrency());
  text.family("machine_memory_bytes", gauge, "Amount of memory installed on the machine.");
  text.row({}, double(::sysconf(_SC_PHYS_PAGES)) * double(::sysconf(_SC_PAGESIZE)));
  co_return text.take();
}

}  // namespace estiba::node
