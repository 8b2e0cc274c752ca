#include "node/cadvisor.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <thread>

#include "base/strings.h"
#include "engine/container_metrics.h"
#include "node/metric_text.h"

namespace estiba::node {

namespace {

using engine::ContainerStats;

struct Subject {
  MetricLabels labels;
  bool container = false;
  engine::Measured measured;
};

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
    Subject pod{.labels = labels("", sandbox->cgroup_parent, "", ""),
                .measured = {.stats = {}, .started = sandbox->created, .networks = {}}};
    for (const auto& status : place.containers) {
      auto stats = co_await engine.stats(status.id, false);
      if (!stats) continue;  // it has ended meanwhile
      const image::Usage layer = co_await layers->of(status.id);
      stats->rootfs_bytes = layer.bytes;
      stats->rootfs_inodes = layer.inodes;
      there.insert(status.id);
      engine::add(pod.measured.stats, *stats);
      out.push_back({.labels = labels(status.name, sandbox->cgroup_parent + "/" + status.id, status.image, status.id),
                     .container = true,
                     .measured = {.stats = std::move(*stats), .started = status.started, .networks = {}}});
    }
    if (pod.measured.stats.at == WallTime{}) continue;
    if (!place.host_network) pod.measured.networks = engine::network_counters(sandbox->shim_pid);
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
  const std::string device = engine::device_name(major(place.st_dev), minor(place.st_dev));
  const auto family = [&](const char* name, const char* help, auto value) {
    text.family(name, "gauge", help);
    for (const Subject& subject : subjects) {
      if (!subject.container) continue;
      MetricLabels labels = subject.labels;
      labels.insert(labels.begin() + 1, {"device", device});
      text.row(labels, double(value(subject.measured.stats)), subject.measured.stats.at);
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
  for (const engine::ContainerMetric& metric : engine::container_metrics()) {
    text.family(metric.name, metric.counter ? "counter" : "gauge", metric.help);
    for (const Subject& subject : subjects) {
      if (!subject.container && !metric.pods) continue;
      for (auto& [more, value] : metric.read(subject.measured)) {
        MetricLabels labels = subject.labels;
        labels.insert(labels.end(), more.begin(), more.end());
        text.row(labels, value, subject.measured.stats.at);
      }
    }
  }
  put_file_systems(text, subjects, node->context().options.data_dir);
  text.family("machine_cpu_cores", "gauge", "Number of logical CPU cores.");
  text.row({}, std::thread::hardware_concurrency());
  text.family("machine_memory_bytes", "gauge", "Amount of memory installed on the machine.");
  text.row({}, double(::sysconf(_SC_PHYS_PAGES)) * double(::sysconf(_SC_PAGESIZE)));
  co_return text.take();
}

}  // namespace estiba::node
