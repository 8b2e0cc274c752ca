// Runtime: what the runtime is and can.
#include "base/log.h"
#include "client/json_writer.h"
#include "cri/runtime.h"
#include "image/user_namespaces.h"
#include "io/pool.h"

namespace estiba::cri {

Task<Result<v1::VersionResponse>> Runtime::version(v1::VersionRequest) {
  // The first is the version of the kubelet's own runtime API, which has not changed since it was named.
  co_return v1::VersionResponse{"0.1.0", "estiba", options_.version, "v1"};
}

Task<Result<v1::StatusResponse>> Runtime::status(v1::StatusRequest request) {
  v1::StatusResponse out;
  out.status.conditions = {{.type = "RuntimeReady", .status = true}, {.type = "NetworkReady", .status = true}};
  if (auto network = co_await parts_.network.status(); !network)
    out.status.conditions[1] = {
        .type = "NetworkReady", .reason = "NetworkPluginNotReady", .message = network.error().message, .status = false};
  // Tried out once; it does not change while the machine runs.
  if (!user_namespaces_)
    user_namespaces_ = co_await parts_.pool.run([dir = options_.data_dir, run = options_.run_dir] {
      constexpr uint32_t usual = 65536;
      return image::try_user_namespace(dir, run, usual, usual).has_value();
    });
  out.runtime_handlers.push_back({.name = "", .features = {.recursive_read_only_mounts = true, .user_namespaces = *user_namespaces_}});
  out.features.supplemental_groups_policy = true;
  if (request.verbose) {
    client::JsonWriter json;
    json.object().field("dataDir", options_.data_dir).field("runDir", options_.run_dir).field("socket", options_.socket_path());
    json.field("gateway", parts_.network.gateway()).field("sandboxes", records_.sandboxes().size());
    out.info["config"] = json.field("containers", records_.containers().size()).end().take();
  }
  co_return out;
}

Task<Result<v1::Empty>> Runtime::update_runtime_config(v1::UpdateRuntimeConfigRequest request) {
  const std::string& range = request.runtime_config.network_config.pod_cidr;
  if (!range.empty()) log::info("cri", "the client's pod CIDR is not used; pods' addresses come from --pod-cidr", {{"podCIDR", range}});
  co_return v1::Empty{};
}

Task<Result<v1::RuntimeConfigResponse>> Runtime::runtime_config(v1::Empty) {
  co_return v1::RuntimeConfigResponse{{v1::CgroupDriver::cgroupfs}};
}

}  // namespace estiba::cri
