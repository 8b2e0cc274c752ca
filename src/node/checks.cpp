#include "node/checks.h"

#include "base/protobuf_wire.h"
#include "base/strings.h"
#include "io/grpc.h"
#include "io/http_client.h"

namespace estiba::node {

using namespace model::core_v1;
using namespace std::chrono_literals;

Result<uint16_t> resolve_port(const model::IntOrString& port, const Container& container) {
  if (port.is_number()) {
    if (port.number > 0 && port.number < 65536) return uint16_t(port.number);
    return fail(Code::invalid, "port " + std::to_string(port.number) + " is not between 1 and 65535");
  }
  for (const ContainerPort& candidate : container.ports)
    if (candidate.name == port.text) return uint16_t(candidate.containerPort);
  if (auto number = parse_number<uint16_t>(port.text)) return *number;
  return fail(Code::not_found, "container " + quoted(container.name) + " has no port named " + quoted(port.text));
}

namespace {

// Probes come one at a time and seldom: a connection each, so that a dead server is seen.
io::HttpClient& probe_client() {
  static thread_local io::HttpClient client(
      {.tls = io::make_tls_client({.insecure = true}).value_or(nullptr), .user_agent = "kube-probe/1.36", .max_idle_connections = 0});
  return client;
}

std::string bracketed(const std::string& host) { return host.find(':') == std::string::npos ? host : "[" + host + "]"; }

std::string cut(std::string text) {
  if (text.size() > 512) text.resize(512);
  return text;
}

}  // namespace

Task<CheckResult> check_http(HTTPGetAction action, std::string pod_ip, uint16_t port, Duration timeout) {
  const std::string host = action.host.empty() ? pod_ip : action.host;
  std::string path = action.path.empty() ? "/" : action.path;
  if (!path.starts_with('/')) path.insert(0, "/");
  io::ClientRequest request;
  request.url = (action.scheme == "HTTPS" ? "https://" : "http://") + bracketed(host) + ":" + std::to_string(port) + path;
  request.timeout = timeout;
  for (const HTTPHeader& header : action.httpHeaders) request.headers.add(header.name, header.value);
  if (!request.headers.has("Accept")) request.headers.add("Accept", "*/*");
  auto answer = co_await probe_client().fetch(std::move(request), 64 * 1024);
  if (!answer) co_return CheckResult{false, answer.error().message};  // it names method and URL
  if (answer->status >= 200 && answer->status < 400) co_return CheckResult{true, {}};
  co_return CheckResult{false, "HTTP probe failed with statuscode: " + std::to_string(answer->status)};
}

Task<CheckResult> check_tcp(std::string host, uint16_t port, Duration timeout) {
  auto stream = co_await with_timeout(timeout, io::connect_tcp(host, port));
  if (!stream) co_return CheckResult{false, "dial tcp " + bracketed(host) + ":" + std::to_string(port) + ": i/o timeout"};
  if (!*stream) co_return CheckResult{false, (*stream).error().message};
  co_return CheckResult{true, {}};
}

// What a HealthCheckResponse says; nullopt when it cannot be read.
static std::optional<uint64_t> serving_status(std::string_view message) {
  uint64_t status = 0;  // UNKNOWN
  for (wire::Reader reader(message); !reader.done();) {
    const auto field = reader.next();
    if (!field) return std::nullopt;
    if (field->number == 1 && field->type == wire::Type::varint) status = field->integer;
  }
  return status;
}

Task<CheckResult> check_grpc(std::string host, uint16_t port, std::string service, Duration timeout) {
  const std::string place = bracketed(host) + ":" + std::to_string(port);
  auto url = io::Url::parse("http://" + place);
  if (!url) co_return CheckResult{false, url.error().message};
  const Instant end = Executor::current()->now() + timeout;
  auto connection = co_await io::GrpcConnection::connect(std::move(*url), nullptr, timeout);
  if (!connection) co_return CheckResult{false, "gRPC service " + quoted(place) + " not reached: " + connection.error().message};
  std::string request;
  if (!service.empty()) wire::put_bytes(request, 1, service);
  const Duration left = std::max<Duration>(end - Executor::current()->now(), 1ms);
  auto answer = co_await (*connection)->call("/grpc.health.v1.Health/Check", std::move(request), {{"user-agent", "kube-probe/1.36"}}, left);
  if (!answer.status.ok()) {
    const std::string code = std::to_string(int(answer.status.code));
    co_return CheckResult{false, "gRPC health check of " + quoted(place) + " failed with code " + code + ": " + cut(answer.status.message)};
  }
  constexpr uint64_t serving = 1;
  const auto status = serving_status(answer.message);
  if (status == serving) co_return CheckResult{true, {}};
  co_return CheckResult{false,
                        "service unhealthy (responded with status " + (status ? std::to_string(*status) : "that cannot be read") + ")"};
}

Task<CheckResult> check_exec(engine::Engine* engine, std::string container_id, std::vector<std::string> command, Duration timeout) {
  const std::string words = join(command, " ");
  auto output = co_await engine->exec_sync(container_id, std::move(command), timeout);
  if (!output && output.error().code == Code::timeout)
    co_return CheckResult{
        false, "command timed out: " + quoted(words) + " timed out after " + std::to_string(timeout / std::chrono::seconds(1)) + "s"};
  if (!output) co_return CheckResult{false, output.error().message};
  if (output->exit_code == 0) co_return CheckResult{true, {}};
  co_return CheckResult{false, cut(output->output + output->error)};
}

Check make_check(const Context& context, const Probe& probe, const Container& container, std::function<std::string()> container_id,
                 std::function<std::string()> pod_ip) {
  const Duration timeout = std::chrono::seconds(std::max(probe.timeoutSeconds.value_or(1), 1));
  auto failing = [](std::string why) -> Check {
    return [why]() { return [](std::string text) -> Task<CheckResult> { co_return CheckResult{false, std::move(text)}; }(why); };
  };
  if (probe.exec) {
    return [engine = &context.engine, command = probe.exec->command, container_id, timeout] {
      return check_exec(engine, container_id(), command, timeout);
    };
  }
  if (probe.httpGet) {
    auto port = resolve_port(probe.httpGet->port, container);
    if (!port) return failing(port.error().message);
    return [action = *probe.httpGet, port = *port, pod_ip, timeout] { return check_http(action, pod_ip(), port, timeout); };
  }
  if (probe.tcpSocket) {
    auto port = resolve_port(probe.tcpSocket->port, container);
    if (!port) return failing(port.error().message);
    return
        [host = probe.tcpSocket->host, port = *port, pod_ip, timeout] { return check_tcp(host.empty() ? pod_ip() : host, port, timeout); };
  }
  if (probe.grpc) {
    return [service = probe.grpc->service, port = uint16_t(probe.grpc->port), pod_ip, timeout] {
      return check_grpc(pod_ip(), port, service, timeout);
    };
  }
  return failing("the probe names no exec, httpGet, tcpSocket or grpc action");
}

Task<Result<void>> run_hook(const Context& context, LifecycleHandler handler, Container container, std::string container_id,
                            std::string pod_ip) {
  if (handler.exec) {
    auto output = CO_TRY(co_await context.engine.exec_sync(container_id, handler.exec->command, Duration{}));
    if (output.exit_code != 0)
      co_return fail(Code::internal, "command '" + join(handler.exec->command, " ") + "' exited with " + std::to_string(output.exit_code) +
                                         ": " + cut(output.error + output.output));
    co_return {};
  }
  if (handler.httpGet) {
    const uint16_t port = CO_TRY(resolve_port(handler.httpGet->port, container));
    const CheckResult result = co_await check_http(*handler.httpGet, pod_ip, port, 30s);
    if (!result.ok) co_return fail(Code::unavailable, result.message);
    co_return {};
  }
  if (handler.sleep) {
    co_await sleep_for(std::chrono::seconds(handler.sleep->seconds));
    co_return {};
  }
  co_return fail(Code::unsupported, "the hook names no exec, httpGet or sleep action that this node knows");
}

}  // namespace estiba::node
