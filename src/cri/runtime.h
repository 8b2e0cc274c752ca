// The CRI's methods on the engine. Sandboxes and containers are the engine's, of the owner "cri"; what the CRI wants to hear again
// (metadata, configurations, images' names) is in Records. An id of ours is the engine's id.
//
// Every method is one coroutine from its request to its answer or an error, whose code the server turns into gRPC's. All of it lives on
// the engine's thread.
#pragma once
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "base/task.h"
#include "cri/messages/image.h"
#include "cri/messages/runtime.h"
#include "cri/messages/stats.h"
#include "cri/options.h"
#include "cri/records.h"
#include "cri/streaming.h"
#include "engine/engine.h"
#include "image/store.h"
#include "network/network.h"

namespace estiba::io {
class Pool;
}

namespace estiba::cri {

/// A client of GetContainerEvents. Events wait here until it has taken them.
struct EventQueue {
  std::list<std::string> waiting;  ///< encoded
  Event more;
  bool behind = false;  ///< it let too many wait and lost some: its stream ends
};

struct Parts {
  Executor& executor;
  engine::Engine& engine;
  network::Network& network;
  io::Pool& pool;
};

class Runtime {
 public:
  Runtime(Options options, Parts parts);
  ~Runtime();

  /// Reads the records and lets go of what the engine no longer has. The engine has recovered.
  Task<Result<void>> start();
  /// Where exec, attach and port-forward are served; streaming's own listen() comes first.
  Streaming& streaming() { return streaming_; }

  // runtime_methods.cpp
  Task<Result<v1::VersionResponse>> version(v1::VersionRequest request);
  Task<Result<v1::StatusResponse>> status(v1::StatusRequest request);
  Task<Result<v1::Empty>> update_runtime_config(v1::UpdateRuntimeConfigRequest request);
  Task<Result<v1::RuntimeConfigResponse>> runtime_config(v1::Empty request);

  // sandboxes.cpp
  Task<Result<v1::RunPodSandboxResponse>> run_pod_sandbox(v1::RunPodSandboxRequest request);
  Task<Result<v1::Empty>> stop_pod_sandbox(v1::StopPodSandboxRequest request);
  Task<Result<v1::Empty>> remove_pod_sandbox(v1::RemovePodSandboxRequest request);
  Task<Result<v1::PodSandboxStatusResponse>> pod_sandbox_status(v1::PodSandboxStatusRequest request);
  Task<Result<v1::ListPodSandboxResponse>> list_pod_sandbox(v1::ListPodSandboxRequest request);
  Task<Result<v1::Empty>> update_pod_sandbox_resources(v1::UpdatePodSandboxResourcesRequest request);

  // containers.cpp
  Task<Result<v1::CreateContainerResponse>> create_container(v1::CreateContainerRequest request);
  Task<Result<v1::Empty>> start_container(v1::StartContainerRequest request);
  Task<Result<v1::Empty>> stop_container(v1::StopContainerRequest request);
  Task<Result<v1::Empty>> remove_container(v1::RemoveContainerRequest request);
  Task<Result<v1::ListContainersResponse>> list_containers(v1::ListContainersRequest request);
  Task<Result<v1::ContainerStatusResponse>> container_status(v1::ContainerStatusRequest request);
  Task<Result<v1::Empty>> update_container_resources(v1::UpdateContainerResourcesRequest request);
  Task<Result<v1::Empty>> reopen_container_log(v1::ReopenContainerLogRequest request);
  Task<Result<v1::Empty>> checkpoint_container(v1::CheckpointContainerRequest request);

  // exec.cpp
  Task<Result<v1::ExecSyncResponse>> exec_sync(v1::ExecSyncRequest request);
  Task<Result<v1::ExecResponse>> exec(v1::ExecRequest request);
  Task<Result<v1::AttachResponse>> attach(v1::AttachRequest request);
  Task<Result<v1::PortForwardResponse>> port_forward(v1::PortForwardRequest request);

  // stats.cpp
  Task<Result<v1::ContainerStatsResponse>> container_stats(v1::ContainerStatsRequest request);
  Task<Result<v1::ListContainerStatsResponse>> list_container_stats(v1::ListContainerStatsRequest request);
  Task<Result<v1::PodSandboxStatsResponse>> pod_sandbox_stats(v1::PodSandboxStatsRequest request);
  Task<Result<v1::ListPodSandboxStatsResponse>> list_pod_sandbox_stats(v1::ListPodSandboxStatsRequest request);

  // metrics.cpp
  Task<Result<v1::ListMetricDescriptorsResponse>> list_metric_descriptors(v1::Empty request);
  Task<Result<v1::ListPodSandboxMetricsResponse>> list_pod_sandbox_metrics(v1::Empty request);

  // images.cpp
  Task<Result<v1::ListImagesResponse>> list_images(v1::ListImagesRequest request);
  Task<Result<v1::ImageStatusResponse>> image_status(v1::ImageStatusRequest request);
  Task<Result<v1::PullImageResponse>> pull_image(v1::PullImageRequest request);
  Task<Result<v1::Empty>> remove_image(v1::RemoveImageRequest request);
  Task<Result<v1::ImageFsInfoResponse>> image_fs_info(v1::Empty request);

  // events.cpp
  /// Gets what happens from now on until it is dropped.
  std::shared_ptr<EventQueue> subscribe();

 private:
  Result<SandboxRecord> known_sandbox(std::string_view id) const;
  Result<ContainerRecord> known_container(std::string_view id) const;
  int64_t now_ns() const;

  void engine_event(const engine::Event& event);
  void tell(v1::ContainerEventType type, const std::string& id, const std::string& sandbox_id);

  bool ready(const SandboxRecord& sandbox) const;
  v1::PodSandboxStatus describe(const SandboxRecord& sandbox) const;
  v1::ContainerStatus describe(const ContainerRecord& container) const;
  std::vector<ContainerRecord> containers_of(std::string_view sandbox_id) const;
  v1::ContainerState state_of(const ContainerRecord& container) const;
  std::string verbose(const ContainerRecord& container) const;
  std::string verbose(const SandboxRecord& sandbox) const;
  Task<Result<void>> start_sandbox(SandboxRecord record);

  Task<Result<v1::ContainerStats>> read_stats(ContainerRecord container);
  Task<v1::PodSandboxStats> read_stats(SandboxRecord sandbox);
  Task<v1::PodSandboxMetrics> measure(SandboxRecord sandbox);
  uint64_t nano_cores(const std::string& id, WallTime at, uint64_t cpu_ns);

  Options options_;
  Parts parts_;
  Records records_;
  std::unique_ptr<image::Store> store_;
  Streaming streaming_;
  std::set<std::string> names_;  ///< of sandboxes and containers that are being made
  struct CpuReading {
    WallTime at{};
    uint64_t cpu_ns = 0, nano_cores = 0;
  };
  std::map<std::string, CpuReading> cpu_;
  std::optional<bool> user_namespaces_;  ///< whether sandboxes can have them, once it was tried
  std::list<std::weak_ptr<EventQueue>> queues_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  ///< false: engine events are none of our business any more
};

/// Whether all of `selector` is in `labels`.
bool selects(const Labels& selector, const Labels& labels);
/// Nanoseconds since 1970; 0 for the epoch itself.
int64_t nanoseconds(WallTime at);

}  // namespace estiba::cri
