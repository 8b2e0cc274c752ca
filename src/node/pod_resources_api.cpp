#include "node/pod_resources_api.h"

#include "node/devices/devices.h"
#include "node/node.h"
#include "node/placement/placement.h"
#include "node/pod_resources_messages.h"
#include "os/file.h"

namespace estiba::node {

using namespace std::chrono_literals;
namespace api = pod_resources_api;

namespace {

std::vector<int64_t> numbers(const CpuSet& cpus) { return {cpus.begin(), cpus.end()}; }

// A row a device, since each may be somewhere else.
void add_device(std::vector<api::ContainerDevices>& out, const DeviceLedger& ledger, const std::string& resource, const std::string& id) {
  api::ContainerDevices& row = out.emplace_back(resource, std::vector{id});
  for (const int node : ledger.nodes_of(resource, id)) row.topology.nodes.push_back({node});
}

void add_memory(std::vector<api::ContainerMemory>& out, const std::string& kind, uint64_t bytes, const NumaNodes& nodes) {
  api::ContainerMemory& row = out.emplace_back(kind, bytes);
  for (const int node : nodes) row.topology.nodes.push_back({node});
}

api::PodResources resources_of(const Context& context, const PodWorker& worker) {
  const auto& pod = worker.pod().as<model::core_v1::Pod>();
  api::PodResources out{.name = pod.metadata.name, .ns = pod.metadata.namespace_, .containers = {}};
  const auto add = [&](const model::core_v1::Container& container) {
    api::ContainerResources& row = out.containers.emplace_back(container.name);
    if (context.devices)
      for (const auto& [resource, given] : context.devices->ledger().given_to(worker.uid(), container.name))
        for (const std::string& id : given.ids) add_device(row.devices, context.devices->ledger(), resource, id);
    if (!context.placement) return;
    if (const auto own = context.placement->cpus().given(worker.uid(), container.name)) row.cpu_ids = numbers(*own);
    if (const auto* blocks = context.placement->memory().given(worker.uid(), container.name))
      for (const auto& [kind, block] : *blocks) add_memory(row.memory, kind, block.sum(), block.nodes());
  };
  // Init containers that have ended hold nothing any more.
  for (const auto& container : pod.spec.initContainers)
    if (is_sidecar(container)) add(container);
  for (const auto& container : pod.spec.containers) add(container);
  return out;
}

template <class M>
io::GrpcAnswer answer(const M& message) {
  return {{}, protobuf::encode(message)};
}

}  // namespace

PodResourcesApi::PodResourcesApi(const Node& node, io::Loop& loop)
    : loop_(loop),
      grpc_({{"/v1.PodResourcesLister/List", {.unary = [&node](std::string) { return list(&node); }}},
             {"/v1.PodResourcesLister/Get", {.unary = [&node](std::string message) { return get(&node, std::move(message)); }}},
             {"/v1.PodResourcesLister/GetAllocatableResources", {.unary = [&node](std::string) { return allocatable(&node); }}}}) {}

PodResourcesApi::~PodResourcesApi() = default;

Result<void> PodResourcesApi::listen(const std::string& dir) {
  TRY(os::make_dirs(dir, 0750));
  http_ = std::make_unique<io::HttpServer>(std::vector<io::Loop*>{&loop_}, io::HttpServerOptions{.max_body_bytes = 1 << 20},
                                           [this](io::Request& request, io::Response& response) { return grpc_.serve(request, response); });
  auto listening = http_->listen_unix(dir + "/kubelet.sock", 0600);
  if (!listening) http_.reset();
  return listening;
}

Task<void> PodResourcesApi::stop() {
  if (http_) co_await http_->drain(200ms);
  http_.reset();
}

Task<io::GrpcAnswer> PodResourcesApi::list(const Node* node) {
  api::ListPodResourcesResponse out;
  for (const auto& [uid, worker] : node->workers())
    if (!worker->ended()) out.pod_resources.push_back(resources_of(node->context(), *worker));
  co_return answer(out);
}

Task<io::GrpcAnswer> PodResourcesApi::get(const Node* node, std::string message) {
  api::GetPodResourcesRequest request;
  if (!protobuf::decode(message, request)) co_return io::GrpcAnswer{{io::GrpcCode::invalid_argument, "the message cannot be read"}, {}};
  for (const auto& [uid, worker] : node->workers()) {
    const auto& meta = worker->pod().meta();
    if (meta.name == request.pod_name && meta.ns == request.pod_namespace && !worker->ended())
      co_return answer(api::GetPodResourcesResponse{resources_of(node->context(), *worker)});
  }
  co_return io::GrpcAnswer{{io::GrpcCode::not_found, "pod " + request.pod_name + " in namespace " + request.pod_namespace + " not found"},
                           {}};
}

Task<io::GrpcAnswer> PodResourcesApi::allocatable(const Node* node) {
  api::AllocatableResourcesResponse out;
  if (const Devices* devices = node->context().devices)
    for (const auto& [resource, ids] : devices->ledger().healthy())
      for (const std::string& id : ids) add_device(out.devices, devices->ledger(), resource, id);
  if (const Placement* placement = node->context().placement) {
    if (placement->cpus().exclusive()) out.cpu_ids = numbers(placement->cpus().allocatable());
    for (const auto& [number, amounts] : placement->memory().allocatable())
      for (const auto& [kind, bytes] : amounts) add_memory(out.memory, kind, bytes, {number});
  }
  co_return answer(out);
}

}  // namespace estiba::node
