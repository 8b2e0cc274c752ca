// Runtime: what containers and sandboxes use of the machine as metrics by cAdvisor's names, which a kubelet passes on under
// /metrics/cadvisor (feature PodAndContainerStatsFromCRI, KEP 2371).
#include "cri/runtime.h"
#include "engine/container_metrics.h"

namespace estiba::cri {

namespace {

// In the order of the values below.
constexpr std::string_view common_keys[] = {"container", "id", "image", "name", "namespace", "pod"};

// Numbers are whole ones in the CRI: seconds lose their fractions, as with other runtimes.
void put(std::vector<v1::Metric>& out, const engine::Measured& measured, bool is_pod, const std::vector<std::string>& common) {
  const int64_t at = std::chrono::duration_cast<std::chrono::nanoseconds>(measured.stats.at.time_since_epoch()).count();
  for (const engine::ContainerMetric& metric : engine::container_metrics()) {
    if (is_pod && !metric.pods) continue;
    for (auto& [more, value] : metric.read(measured)) {
      v1::Metric& made = out.emplace_back();
      made.name = metric.name;
      made.timestamp = at;
      made.metric_type = metric.counter ? v1::MetricType::counter : v1::MetricType::gauge;
      made.label_values = common;
      for (auto& [key, text] : more) made.label_values.push_back(text);
      made.value = value > 0 ? uint64_t(value) : 0;
    }
  }
}

}  // namespace

Task<Result<v1::ListMetricDescriptorsResponse>> Runtime::list_metric_descriptors(v1::Empty) {
  v1::ListMetricDescriptorsResponse out;
  for (const engine::ContainerMetric& metric : engine::container_metrics()) {
    v1::MetricDescriptor& descriptor = out.descriptors.emplace_back();
    descriptor.name = metric.name;
    descriptor.help = metric.help;
    descriptor.label_keys.assign(std::begin(common_keys), std::end(common_keys));
    for (const std::string_view key : metric.keys)
      if (!key.empty()) descriptor.label_keys.emplace_back(key);
  }
  co_return out;
}

Task<v1::PodSandboxMetrics> Runtime::measure(SandboxRecord sandbox) {
  v1::PodSandboxMetrics out;
  out.pod_sandbox_id = sandbox.id;
  const auto status = parts_.engine.sandbox(sandbox.id);
  if (!status) co_return out;
  const std::string &ns = sandbox.config.metadata.ns, &name = sandbox.config.metadata.name;
  engine::Measured pod{.stats = {}, .started = status->created, .networks = {}};
  for (const ContainerRecord& container : containers_of(sandbox.id)) {
    auto stats = co_await parts_.engine.stats(container.id, false);
    if (!stats) continue;  // it does not run
    engine::add(pod.stats, *stats);
    engine::Measured measured{.stats = std::move(*stats), .networks = {}};
    if (const auto now = parts_.engine.container(container.id)) measured.started = now->started;
    v1::ContainerMetrics& metrics = out.container_metrics.emplace_back();
    metrics.container_id = container.id;
    put(metrics.metrics, measured, false,
        {container.config.metadata.name, status->cgroup_parent + "/" + container.id, container.image_name, container.id, ns, name});
  }
  if (pod.stats.at == WallTime{}) co_return out;
  // The host's own traffic is no pod's.
  if (!sandbox.host_network()) pod.networks = engine::network_counters(status->shim_pid);
  put(out.metrics, pod, true, {"", status->cgroup_parent, "", "", ns, name});
  co_return out;
}

Task<Result<v1::ListPodSandboxMetricsResponse>> Runtime::list_pod_sandbox_metrics(v1::Empty) {
  v1::ListPodSandboxRequest ready;
  ready.filter.state = v1::PodSandboxState::ready;
  v1::ListPodSandboxMetricsResponse out;
  for (const v1::PodSandbox& item : CO_TRY(co_await list_pod_sandbox(std::move(ready))).items)
    if (const SandboxRecord* sandbox = records_.sandbox(item.id)) out.pod_metrics.push_back(co_await measure(SandboxRecord(*sandbox)));
  co_return out;
}

}  // namespace estiba::cri
