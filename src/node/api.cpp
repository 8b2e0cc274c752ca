#include "node/api.h"

#include <algorithm>

#include "base/strings.h"
#include "client/json_writer.h"
#include "io/port_forward.h"
#include "node/cadvisor.h"
#include "node/log_options.h"
#include "node/metric_text.h"
#include "node/streams.h"
#include "observe/metrics.h"

namespace estiba::node {

namespace {

void answer(io::Response& response, int status, std::string text) {
  response.send(status, {{"Content-Type", "text/plain; charset=utf-8"}}, std::move(text));
}

int status_of(const Error& error) {
  switch (error.code) {
    case Code::not_found: return 404;
    case Code::malformed:
    case Code::invalid: return 400;
    case Code::conflict: return 409;
    case Code::unauthorized: return 401;
    case Code::forbidden: return 403;
    default: return 500;
  }
}

std::string bearer_of(const io::Request& request) {
  const auto [scheme, token] = split_once(request.headers.get("Authorization"), ' ');
  return token && equals_ignore_case(scheme, "Bearer") ? std::string(trim(*token)) : std::string();
}

struct Target {
  PodWorker* worker = nullptr;
  std::string container;
};

// Whoever asks right after a restart of the node must not be told that their pod is not here.
constexpr auto longest_start = std::chrono::seconds(10);

Task<Result<Target>> find(Node& node, const std::vector<std::string_view>& parts) {
  PodWorker* worker = node.find(parts[2], parts[3]);
  if (!worker) {
    co_await node.wait_known(longest_start);
    worker = node.find(parts[2], parts[3]);
  }
  if (!worker) co_return fail(Code::not_found, "pod " + std::string(parts[2]) + "/" + std::string(parts[3]) + " does not run on this node");
  co_return Target{worker, parts.size() > 4 ? std::string(parts[4]) : std::string()};
}

// Why there is no log to read.
std::string no_log(const Target& target, bool previous) {
  const std::string place = quoted(target.container) + " in pod " + quoted(target.worker->pod().meta().name);
  if (previous) return "previous terminated container " + place + " not found";
  const model::core_v1::PodStatus status = target.worker->status();
  for (const auto* list : {&status.initContainerStatuses, &status.containerStatuses}) {
    for (const auto& container : *list) {
      if (container.name != target.container || !container.state || !container.state->waiting) continue;
      const std::string& reason = container.state->waiting->reason;
      bool pulling = reason == "ErrImagePull" || reason == "ImagePullBackOff";
      return "container " + place + " is waiting to start: " + (pulling ? "trying and failing to pull image" : reason);
    }
  }
  return "container " + place + " is waiting to start";
}

Task<void> logs(Node& node, io::Request& request, io::Response& response, Target target) {
  const bool previous = request.query.get("previous") == "true";
  auto options = parse_log_options([&](std::string_view name) { return request.query.get(name); }, node.context().loop.wall_now());
  if (!options) co_return answer(response, 400, options.error().message);
  auto status = target.worker->container(target.container, previous);
  if (!status) co_return answer(response, 400, no_log(target, previous));
  auto started = co_await response.start(200, {{"Content-Type", "text/plain; charset=utf-8"}});
  if (!started) co_return;
  engine::Engine* engine = &node.context().engine;
  const std::string id = status->id;
  auto running = [engine, id] {
    auto now = engine->container(id);
    return now && now->state == engine::ContainerState::running;
  };
  ExitWatch exit(node, id);
  auto read = co_await engine::read_log(status->log_path, *options, running, exit.event(),
                                        [&response](std::string text) { return response.write(std::move(text)); });
  if (!read && read.error().code == Code::not_found) co_return;  // nothing was ever written
}

Task<void> list_pods(Node& node, io::Response& response, bool running_only) {
  std::string out = R"({"kind":"PodList","apiVersion":"v1","metadata":{},"items":[)";
  bool first = true;
  for (const auto& [uid, worker] : node.workers()) {
    if (running_only && worker->status().phase != "Running") continue;
    if (!std::exchange(first, false)) out += ',';
    out += worker->pod().print();
  }
  response.send(200, {{"Content-Type", "application/json"}}, out + "]}");
  co_return;
}

// What a kubelet's configuration says, as far as this node has it (KubeletConfiguration, kubelet.config.k8s.io/v1beta1).
std::string configuration(const Options& options) {
  client::JsonWriter json;
  json.object().object("kubeletconfig").field("kind", "KubeletConfiguration").field("apiVersion", "kubelet.config.k8s.io/v1beta1");
  json.field("address", "0.0.0.0").field("port", int64_t(options.api_port)).field("enableDebuggingHandlers", true);
  json.object("authentication").object("anonymous").field("enabled", false).end();
  json.object("webhook").field("enabled", true).field("cacheTTL", "2m0s").end().end();
  json.object("authorization").field("mode", "Webhook");
  json.object("webhook").field("cacheAuthorizedTTL", "5m0s").field("cacheUnauthorizedTTL", "30s").end().end();
  json.field("clusterDomain", options.cluster_domain).field("cgroupDriver", "cgroupfs").field("cgroupRoot", options.cgroup_root);
  json.field("maxPods", options.max_pods).field("resolvConf", options.resolv_conf).field("podLogsDir", options.log_root);
  json.field("containerLogMaxSize", "10Mi").field("containerLogMaxFiles", int64_t(5));
  for (const auto& [name, list] :
       {std::pair("systemReserved", &options.system_reserved), std::pair("kubeReserved", &options.kube_reserved)}) {
    if (list->empty()) continue;
    json.object(name);
    for (const auto& [resource, quantity] : *list) json.field(resource, quantity.print());
    json.end();
  }
  json.field("nodeLeaseDurationSeconds", int64_t(options.lease / std::chrono::seconds(1)));
  return json.end().end().take();
}

std::string certificate_states(const Node& node) {
  std::map<std::pair<std::string, std::string>, int> counts;
  for (const auto& [uid, worker] : node.workers())
    for (const auto& state : worker->volumes().certificates().states()) ++counts[state];
  if (counts.empty()) return {};
  MetricText text;
  text.family("kubelet_podcertificate_states", "gauge",
              "Gauge vector reporting the number of pod certificate projected volume sources, faceted by signer_name and state.");
  for (const auto& [state, count] : counts) text.row({{"signer_name", state.first}, {"state", state.second}}, count);
  return text.take();
}

Task<image::Usage> walk_layer(const Context* context, std::string id) {
  auto usage = co_await context->pool.run([path = context->engine.upper_dir(id)] { return image::disk_usage(path); });
  co_return usage ? *usage : image::Usage{};
}

}  // namespace

NodeApi::NodeApi(Node& node, io::Loop& loop)
    : node_(node),
      callers_(node.context().client, node.context().loop, node.context().options.node_name),
      usage_(node),
      layers_(node.context().loop, [&node](std::string id) { return walk_layer(&node.context(), std::move(id)); }),
      server_({&loop}, {}, [this](io::Request& request, io::Response& response) { return handle(this, request, response); }) {}

Result<void> NodeApi::listen(const std::string& host, uint16_t port, io::TlsContextRef tls) {
  return server_.listen_tcp(host, port, std::move(tls));
}

Task<void> NodeApi::handle(NodeApi* self, io::Request& request, io::Response& response) {
  Node* node = &self->node_;
  if (auto admitted = co_await self->callers_.admit(request.peer(), bearer_of(request), request.method, request.path); !admitted)
    co_return answer(response, status_of(admitted.error()), admitted.error().message);
  if (request.path == "/healthz") co_return answer(response, 200, "ok");
  const auto parts = split(request.path, '/');
  const std::string_view verb = parts.size() > 1 ? parts[1] : std::string_view{};
  if (verb == "pods" || verb == "runningpods") co_return co_await list_pods(*node, response, verb == "runningpods");
  if (request.path == "/configz")
    co_return response.send(200, {{"Content-Type", "application/json"}}, configuration(node->context().options));
  if (request.path == "/stats/summary")
    co_return response.send(200, {{"Content-Type", "application/json"}}, co_await self->usage_.summary());
  if (request.path == "/metrics/resource")
    co_return response.send(200, {{"Content-Type", "text/plain; version=0.0.4"}}, co_await self->usage_.resource_metrics());
  if (request.path == "/metrics/cadvisor")
    co_return response.send(200, {{"Content-Type", "text/plain; version=0.0.4"}}, co_await cadvisor_metrics(node, &self->layers_));
  if (request.path == "/metrics/probes")
    co_return response.send(200, {{"Content-Type", "text/plain; version=0.0.4"}}, node->context().probes->print());
  if (request.path == "/metrics")
    co_return response.send(200, {{"Content-Type", "text/plain; version=0.0.4"}},
                            observe::metrics().print() + certificate_states(*node) + co_await self->usage_.volume_metrics());
  const bool of_container = verb == "containerLogs" || verb == "exec" || verb == "attach";
  if (!(of_container && parts.size() == 5) && !(verb == "portForward" && parts.size() >= 4))
    co_return answer(response, 404, "404 page not found");
  auto target = co_await find(*node, parts);
  if (!target) co_return answer(response, status_of(target.error()), target.error().message);
  if (verb == "containerLogs") co_return co_await logs(*node, request, response, *target);
  if (verb == "portForward") {
    engine::Engine* engine = &node->context().engine;
    const std::string uid = target->worker->uid();
    (void)co_await io::serve_port_forward(request, response, [engine, uid](uint16_t port) { return dial_pod(engine, uid, port); });
    co_return;
  }
  auto status = target->worker->container(target->container);
  if (!status || status->state != engine::ContainerState::running)
    co_return answer(response, 400,
                     "container " + quoted(target->container) + " of pod " + quoted(target->worker->pod().meta().name) + " is not running");
  if (verb == "exec") co_await serve_exec(node->context(), request, response, status->id);
  else co_await serve_attach(node->context(), request, response, status->id);
}

}  // namespace estiba::node
