#include "cri/services.h"

namespace estiba::cri {

namespace {

template <class T>
struct Signature;
template <class Request_, class Answer_>
struct Signature<Task<Result<Answer_>> (Runtime::*)(Request_)> {
  using Request = Request_;
  using Answer = Answer_;
};

template <class Request>
Result<Request> read(const std::string& message) {
  Request request;
  if (decode(message, request)) return request;
  return fail(Code::malformed, "the request's message cannot be read");
}

template <auto method>
Task<io::GrpcAnswer> answer(Runtime* runtime, std::string message) {
  auto request = read<typename Signature<decltype(method)>::Request>(message);
  if (!request) co_return io::GrpcAnswer{io::grpc_status(request.error()), {}};
  auto result = co_await (runtime->*method)(std::move(*request));
  if (!result) co_return io::GrpcAnswer{io::grpc_status(result.error()), {}};
  co_return io::GrpcAnswer{{}, encode(*result)};
}

enum class Effect : uint8_t { reads, changes };

template <auto method>
io::GrpcMethod unary(Runtime& runtime, Effect effect) {
  return {.unary = [&runtime](std::string message) { return answer<method>(&runtime, std::move(message)); },
          .lasting = effect == Effect::changes,
          .stream = {}};
}

Task<io::GrpcStatus> events(Runtime* runtime, io::GrpcServerCall& call) {
  auto queue = runtime->subscribe();
  if (!co_await call.begin()) co_return io::GrpcStatus{};
  while (!queue->behind || !queue->waiting.empty()) {
    co_await queue->more.wait();
    queue->more.reset();
    while (!queue->waiting.empty()) {
      std::string event = std::move(queue->waiting.front());
      queue->waiting.pop_front();
      if (!co_await call.send(std::move(event))) co_return io::GrpcStatus{};
    }
  }
  co_return io::GrpcStatus{io::GrpcCode::resource_exhausted, "the client takes events too slowly and has lost some"};
}

/// A list, in pieces that stay below a message's usual limit: each piece is the answer of the list method with some of its items, as the
/// field numbers of both are the same.
template <auto method, auto list>
Task<io::GrpcStatus> pieces(Runtime* runtime, io::GrpcServerCall& call) {
  constexpr size_t items_in_a_piece = 500;
  auto request = read<typename Signature<decltype(method)>::Request>(call.message);
  if (!request) co_return io::grpc_status(request.error());
  auto whole = co_await (runtime->*method)(std::move(*request));
  if (!whole) co_return io::grpc_status(whole.error());
  auto& items = (*whole).*list;
  for (size_t from = 0; from < items.size(); from += items_in_a_piece) {
    typename Signature<decltype(method)>::Answer piece;
    const size_t to = std::min(items.size(), from + items_in_a_piece);
    (piece.*list).assign(std::make_move_iterator(items.begin() + long(from)), std::make_move_iterator(items.begin() + long(to)));
    if (!co_await call.send(encode(piece))) co_return io::GrpcStatus{};
  }
  (void)co_await call.begin();
  co_return io::GrpcStatus{};
}

template <auto method, auto list>
io::GrpcMethod stream(Runtime& runtime) {
  return {.unary = {}, .stream = [&runtime](io::GrpcServerCall& call) { return pieces<method, list>(&runtime, call); }};
}

}  // namespace

io::GrpcServer::Methods methods(Runtime& runtime) {
  using R = Runtime;
  constexpr Effect reads = Effect::reads, changes = Effect::changes;
  const std::pair<const char*, io::GrpcMethod> of_runtime[] = {
      {"Version", unary<&R::version>(runtime, reads)},
      {"RunPodSandbox", unary<&R::run_pod_sandbox>(runtime, changes)},
      {"StopPodSandbox", unary<&R::stop_pod_sandbox>(runtime, changes)},
      {"RemovePodSandbox", unary<&R::remove_pod_sandbox>(runtime, changes)},
      {"PodSandboxStatus", unary<&R::pod_sandbox_status>(runtime, reads)},
      {"ListPodSandbox", unary<&R::list_pod_sandbox>(runtime, reads)},
      {"StreamPodSandboxes", stream<&R::list_pod_sandbox, &v1::ListPodSandboxResponse::items>(runtime)},
      {"CreateContainer", unary<&R::create_container>(runtime, changes)},
      {"StartContainer", unary<&R::start_container>(runtime, changes)},
      {"StopContainer", unary<&R::stop_container>(runtime, changes)},
      {"RemoveContainer", unary<&R::remove_container>(runtime, changes)},
      {"ListContainers", unary<&R::list_containers>(runtime, reads)},
      {"StreamContainers", stream<&R::list_containers, &v1::ListContainersResponse::containers>(runtime)},
      {"ContainerStatus", unary<&R::container_status>(runtime, reads)},
      {"UpdateContainerResources", unary<&R::update_container_resources>(runtime, changes)},
      {"ReopenContainerLog", unary<&R::reopen_container_log>(runtime, changes)},
      {"ExecSync", unary<&R::exec_sync>(runtime, reads)},
      {"Exec", unary<&R::exec>(runtime, reads)},
      {"Attach", unary<&R::attach>(runtime, reads)},
      {"PortForward", unary<&R::port_forward>(runtime, reads)},
      {"ContainerStats", unary<&R::container_stats>(runtime, reads)},
      {"ListContainerStats", unary<&R::list_container_stats>(runtime, reads)},
      {"StreamContainerStats", stream<&R::list_container_stats, &v1::ListContainerStatsResponse::stats>(runtime)},
      {"PodSandboxStats", unary<&R::pod_sandbox_stats>(runtime, reads)},
      {"ListPodSandboxStats", unary<&R::list_pod_sandbox_stats>(runtime, reads)},
      {"StreamPodSandboxStats", stream<&R::list_pod_sandbox_stats, &v1::ListPodSandboxStatsResponse::stats>(runtime)},
      {"ListMetricDescriptors", unary<&R::list_metric_descriptors>(runtime, reads)},
      {"ListPodSandboxMetrics", unary<&R::list_pod_sandbox_metrics>(runtime, reads)},
      {"StreamPodSandboxMetrics", stream<&R::list_pod_sandbox_metrics, &v1::ListPodSandboxMetricsResponse::pod_metrics>(runtime)},
      {"UpdateRuntimeConfig", unary<&R::update_runtime_config>(runtime, changes)},
      {"Status", unary<&R::status>(runtime, reads)},
      {"CheckpointContainer", unary<&R::checkpoint_container>(runtime, reads)},
      {"GetContainerEvents", {.unary = {}, .stream = [&runtime](io::GrpcServerCall& call) { return events(&runtime, call); }}},
      {"RuntimeConfig", unary<&R::runtime_config>(runtime, reads)},
      {"UpdatePodSandboxResources", unary<&R::update_pod_sandbox_resources>(runtime, changes)},
  };
  const std::pair<const char*, io::GrpcMethod> of_images[] = {
      {"ListImages", unary<&R::list_images>(runtime, reads)},
      {"StreamImages", stream<&R::list_images, &v1::ListImagesResponse::images>(runtime)},
      {"ImageStatus", unary<&R::image_status>(runtime, reads)},
      {"PullImage", unary<&R::pull_image>(runtime, reads)},  // a pull goes on by itself in the engine
      {"RemoveImage", unary<&R::remove_image>(runtime, changes)},
      {"ImageFsInfo", unary<&R::image_fs_info>(runtime, reads)},
  };
  io::GrpcServer::Methods out;
  for (const auto& [name, method] : of_runtime) out.emplace("/runtime.v1.RuntimeService/" + std::string(name), method);
  for (const auto& [name, method] : of_images) out.emplace("/runtime.v1.ImageService/" + std::string(name), method);
  return out;
}

}  // namespace estiba::cri
