// CRI runtime.v1, messages about use of the machine (k8s.io/cri-api, api.proto, which names the fields' numbers). Times are nanoseconds
// since 1970.
#pragma once
#include "cri/message.h"
#include "cri/messages/container.h"

namespace estiba::cri::v1 {

enum class MetricType : int32_t { counter, gauge };

struct FilesystemIdentifier {
  std::string mountpoint;
  static constexpr auto fields() {
    using M = FilesystemIdentifier;
    return table(field(1, &M::mountpoint));
  }
};
struct PodSandboxStatsRequest {
  std::string pod_sandbox_id;
  static constexpr auto fields() {
    using M = PodSandboxStatsRequest;
    return table(field(1, &M::pod_sandbox_id));
  }
};
struct PodSandboxAttributes {
  std::string id;
  PodSandboxMetadata metadata;
  Labels labels, annotations;
  static constexpr auto fields() {
    using M = PodSandboxAttributes;
    return table(field(1, &M::id), field(2, &M::metadata), field(3, &M::labels), field(4, &M::annotations));
  }
};
struct CpuUsage {
  int64_t timestamp = 0;
  std::optional<uint64_t> usage_core_nano_seconds, usage_nano_cores;
  static constexpr auto fields() {
    using M = CpuUsage;
    return table(field(1, &M::timestamp), field(2, &M::usage_core_nano_seconds), field(3, &M::usage_nano_cores));
  }
};
struct MemoryUsage {
  int64_t timestamp = 0;
  std::optional<uint64_t> working_set_bytes, available_bytes, usage_bytes, rss_bytes, page_faults, major_page_faults;
  static constexpr auto fields() {
    using M = MemoryUsage;
    return table(field(1, &M::timestamp), field(2, &M::working_set_bytes), field(3, &M::available_bytes), field(4, &M::usage_bytes),
                 field(5, &M::rss_bytes), field(6, &M::page_faults), field(7, &M::major_page_faults));
  }
};
struct NetworkInterfaceUsage {
  std::string name;
  std::optional<uint64_t> rx_bytes, rx_errors, tx_bytes, tx_errors;
  static constexpr auto fields() {
    using M = NetworkInterfaceUsage;
    return table(field(1, &M::name), field(2, &M::rx_bytes), field(3, &M::rx_errors), field(4, &M::tx_bytes), field(5, &M::tx_errors));
  }
};
struct NetworkUsage {
  int64_t timestamp = 0;
  NetworkInterfaceUsage default_interface;
  std::vector<NetworkInterfaceUsage> interfaces;
  static constexpr auto fields() {
    using M = NetworkUsage;
    return table(field(1, &M::timestamp), field(2, &M::default_interface), field(3, &M::interfaces));
  }
};
struct ProcessUsage {
  int64_t timestamp = 0;
  std::optional<uint64_t> process_count;
  static constexpr auto fields() {
    using M = ProcessUsage;
    return table(field(1, &M::timestamp), field(2, &M::process_count));
  }
};
struct ContainerAttributes {
  std::string id;
  ContainerMetadata metadata;
  Labels labels, annotations;
  static constexpr auto fields() {
    using M = ContainerAttributes;
    return table(field(1, &M::id), field(2, &M::metadata), field(3, &M::labels), field(4, &M::annotations));
  }
};
struct FilesystemUsage {
  int64_t timestamp = 0;
  FilesystemIdentifier fs_id;
  std::optional<uint64_t> used_bytes, inodes_used;
  static constexpr auto fields() {
    using M = FilesystemUsage;
    return table(field(1, &M::timestamp), field(2, &M::fs_id), field(3, &M::used_bytes), field(4, &M::inodes_used));
  }
};
struct SwapUsage {
  int64_t timestamp = 0;
  std::optional<uint64_t> swap_available_bytes, swap_usage_bytes;
  static constexpr auto fields() {
    using M = SwapUsage;
    return table(field(1, &M::timestamp), field(2, &M::swap_available_bytes), field(3, &M::swap_usage_bytes));
  }
};
struct IoUsage {
  int64_t timestamp = 0;
  static constexpr auto fields() {
    using M = IoUsage;
    return table(field(1, &M::timestamp));
  }
};
struct ContainerStats {
  ContainerAttributes attributes;
  CpuUsage cpu;
  MemoryUsage memory;
  FilesystemUsage writable_layer;
  SwapUsage swap;
  IoUsage io;
  static constexpr auto fields() {
    using M = ContainerStats;
    return table(field(1, &M::attributes), field(2, &M::cpu), field(3, &M::memory), field(4, &M::writable_layer), field(5, &M::swap),
                 field(6, &M::io));
  }
};
struct LinuxPodSandboxStats {
  CpuUsage cpu;
  MemoryUsage memory;
  NetworkUsage network;
  ProcessUsage process;
  std::vector<ContainerStats> containers;
  IoUsage io;
  static constexpr auto fields() {
    using M = LinuxPodSandboxStats;
    return table(field(1, &M::cpu), field(2, &M::memory), field(3, &M::network), field(4, &M::process), field(5, &M::containers),
                 field(6, &M::io));
  }
};
struct PodSandboxStats {
  PodSandboxAttributes attributes;
  LinuxPodSandboxStats linux;
  static constexpr auto fields() {
    using M = PodSandboxStats;
    return table(field(1, &M::attributes), field(2, &M::linux));
  }
};
struct PodSandboxStatsResponse {
  PodSandboxStats stats;
  static constexpr auto fields() {
    using M = PodSandboxStatsResponse;
    return table(field(1, &M::stats));
  }
};
struct PodSandboxStatsFilter {
  std::string id;
  Labels label_selector;
  static constexpr auto fields() {
    using M = PodSandboxStatsFilter;
    return table(field(1, &M::id), field(2, &M::label_selector));
  }
};
struct ListPodSandboxStatsRequest {
  PodSandboxStatsFilter filter;
  static constexpr auto fields() {
    using M = ListPodSandboxStatsRequest;
    return table(field(1, &M::filter));
  }
};
struct ListPodSandboxStatsResponse {
  std::vector<PodSandboxStats> stats;
  static constexpr auto fields() {
    using M = ListPodSandboxStatsResponse;
    return table(field(1, &M::stats));
  }
};
struct ContainerStatsRequest {
  std::string container_id;
  static constexpr auto fields() {
    using M = ContainerStatsRequest;
    return table(field(1, &M::container_id));
  }
};
struct ContainerStatsResponse {
  ContainerStats stats;
  static constexpr auto fields() {
    using M = ContainerStatsResponse;
    return table(field(1, &M::stats));
  }
};
struct ContainerStatsFilter {
  std::string id, pod_sandbox_id;
  Labels label_selector;
  static constexpr auto fields() {
    using M = ContainerStatsFilter;
    return table(field(1, &M::id), field(2, &M::pod_sandbox_id), field(3, &M::label_selector));
  }
};
struct ListContainerStatsRequest {
  ContainerStatsFilter filter;
  static constexpr auto fields() {
    using M = ListContainerStatsRequest;
    return table(field(1, &M::filter));
  }
};
struct ListContainerStatsResponse {
  std::vector<ContainerStats> stats;
  static constexpr auto fields() {
    using M = ListContainerStatsResponse;
    return table(field(1, &M::stats));
  }
};
struct MetricDescriptor {
  std::string name, help;
  std::vector<std::string> label_keys;
  static constexpr auto fields() {
    using M = MetricDescriptor;
    return table(field(1, &M::name), field(2, &M::help), field(3, &M::label_keys));
  }
};
struct ListMetricDescriptorsResponse {
  std::vector<MetricDescriptor> descriptors;
  static constexpr auto fields() {
    using M = ListMetricDescriptorsResponse;
    return table(field(1, &M::descriptors));
  }
};
struct Metric {
  std::string name;
  int64_t timestamp = 0;
  MetricType metric_type{};
  std::vector<std::string> label_values;
  std::optional<uint64_t> value;
  static constexpr auto fields() {
    using M = Metric;
    return table(field(1, &M::name), field(2, &M::timestamp), field(3, &M::metric_type), field(4, &M::label_values), field(5, &M::value));
  }
};
struct ContainerMetrics {
  std::string container_id;
  std::vector<Metric> metrics;
  static constexpr auto fields() {
    using M = ContainerMetrics;
    return table(field(1, &M::container_id), field(2, &M::metrics));
  }
};
struct PodSandboxMetrics {
  std::string pod_sandbox_id;
  std::vector<Metric> metrics;
  std::vector<ContainerMetrics> container_metrics;
  static constexpr auto fields() {
    using M = PodSandboxMetrics;
    return table(field(1, &M::pod_sandbox_id), field(2, &M::metrics), field(3, &M::container_metrics));
  }
};
struct ListPodSandboxMetricsResponse {
  std::vector<PodSandboxMetrics> pod_metrics;
  static constexpr auto fields() {
    using M = ListPodSandboxMetricsResponse;
    return table(field(1, &M::pod_metrics));
  }
};

}  // namespace estiba::cri::v1
