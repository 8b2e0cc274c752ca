// What probes and lifecycle hooks do: HTTP requests, TCP connections, gRPC health calls, and commands in the container.
#pragma once
#include <functional>
#include <string>

#include "base/task.h"
#include "model/types/core_v1.h"
#include "node/context.h"
#include "node/prober.h"

namespace estiba::node {

/// The number of a container port given by number or by name; not_found names what there is.
Result<uint16_t> resolve_port(const model::IntOrString& port, const model::core_v1::Container& container);

/// GET as the kubelet does it (User-Agent kube-probe/…, certificates not verified, redirects to other hosts not followed).
/// 200–399 is success.
Task<CheckResult> check_http(model::core_v1::HTTPGetAction action, std::string pod_ip, uint16_t port, Duration timeout);
Task<CheckResult> check_tcp(std::string host, uint16_t port, Duration timeout);
/// Asks gRPC's health service (grpc.health.v1.Health/Check, without TLS) for `service`; SERVING is success.
Task<CheckResult> check_grpc(std::string host, uint16_t port, std::string service, Duration timeout);
Task<CheckResult> check_exec(engine::Engine* engine, std::string container_id, std::vector<std::string> command, Duration timeout);

/// The check a probe asks for. `container_id` is asked at each check, since containers restart.
Check make_check(const Context& context, const model::core_v1::Probe& probe, const model::core_v1::Container& container,
                 std::function<std::string()> container_id, std::function<std::string()> pod_ip);

/// Runs a postStart or preStop handler; the message of a failure is the kubelet's.
Task<Result<void>> run_hook(const Context& context, model::core_v1::LifecycleHandler handler, model::core_v1::Container container,
                            std::string container_id, std::string pod_ip);

}  // namespace estiba::node
