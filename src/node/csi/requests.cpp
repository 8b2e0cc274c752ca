// What drivers are told of a volume and of the pod that it is for (csi_mounter.go, csi_client.go).
#include "base/strings.h"
#include "base/time.h"
#include "client/json_writer.h"
#include "node/csi/work.h"
#include "node/pod_token.h"
#include "node/sources.h"

namespace estiba::node {

using namespace model::core_v1;
using namespace std::chrono_literals;
using csi_api::AccessModeKind;
using csi_api::NodeFeature;

namespace {

// Drivers that tell one pod from several on a node are told which of both it is.
AccessModeKind access_mode(std::string_view mode, bool tells_pods_apart) {
  if (mode == "ReadOnlyMany") return AccessModeKind::multi_node_reader_only;
  if (mode == "ReadWriteMany") return AccessModeKind::multi_node_multi_writer;
  if (!tells_pods_apart) return AccessModeKind::single_node_writer;
  return mode == "ReadWriteOncePod" ? AccessModeKind::single_node_single_writer : AccessModeKind::single_node_multi_writer;
}

void add_pod(protobuf::Labels& out, const Pod& pod, bool ephemeral) {
  out["csi.storage.k8s.io/pod.name"] = pod.metadata.name;
  out["csi.storage.k8s.io/pod.namespace"] = pod.metadata.namespace_;
  out["csi.storage.k8s.io/pod.uid"] = pod.metadata.uid;
  out["csi.storage.k8s.io/serviceAccount.name"] = pod.spec.serviceAccountName;
  out["csi.storage.k8s.io/ephemeral"] = ephemeral ? "true" : "false";
}

}  // namespace

void CsiVolumes::set_capability(Work& work) {
  const CsiPlace& place = work.place;
  std::string mode = "ReadWriteOnce";
  if (!place.ephemeral && !work.volume().accessModes.empty()) mode = work.volume().accessModes.front();
  work.capability.access_mode.mode = access_mode(mode, work.can(NodeFeature::single_node_multi_writer));
  if (place.block) {
    work.capability.block.emplace();
  } else {
    auto& mount = work.capability.mount.emplace();
    mount.fs_type = work.fs_type();
    if (!place.ephemeral) mount.mount_flags = work.volume().mountOptions;
    const auto& security = work.pod().spec.securityContext;
    if (work.can(NodeFeature::volume_mount_group) && security && security->fsGroup)
      mount.volume_mount_group = std::to_string(*security->fsGroup);
  }
}

Task<Result<void>> CsiVolumes::describe(Work& work) {
  const CsiPlace& place = work.place;
  set_capability(work);
  work.volume_context = place.ephemeral ? work.source().volumeAttributes : work.volume().csi->volumeAttributes;
  if (place.ephemeral) {
    if (const auto& ref = work.source().nodePublishSecretRef)
      work.publish_secrets = CO_TRY(co_await secret(work.pod().metadata.namespace_, ref->name, "NodePublishSecretRef"));
  } else if (const auto& ref = work.volume().csi->nodePublishSecretRef) {
    work.publish_secrets = CO_TRY(co_await secret(ref->namespace_, ref->name, "NodePublishSecretRef"));
  }
  const auto& spec = work.driver_spec();
  if (spec.podInfoOnMount.value_or(false)) add_pod(work.volume_context, work.pod(), place.ephemeral);
  if (spec.tokenRequests.empty()) co_return {};
  auto& where = spec.serviceAccountTokenInSecrets.value_or(false) ? work.publish_secrets : work.volume_context;
  where["csi.storage.k8s.io/serviceAccount.tokens"] = CO_TRY(co_await tokens(work));
  co_return {};
}

Task<Result<protobuf::Labels>> CsiVolumes::secret(std::string ns, std::string name, std::string field) {
  auto data = co_await read_object(context_, true, ns, name);
  if (!data) co_return std::unexpected(std::move(data.error()).context("fetching " + field + " " + ns + "/" + name + " failed"));
  co_return std::move(*data);
}

// {audience: {token, expirationTimestamp}}, kept until a fifth of the shortest life is left.
Task<Result<std::string>> CsiVolumes::tokens(Work& work) {
  const Instant now = context_.loop.now();
  if (!work.kept->tokens.empty() && now < work.kept->tokens_until) co_return work.kept->tokens;
  Duration shortest = 24h;
  client::JsonWriter json;
  json.object();
  for (const auto& asked : work.driver_spec().tokenRequests) {
    const PodToken token = CO_TRY(co_await request_pod_token(context_, work.pod(), asked.audience, asked.expirationSeconds));
    json.object(asked.audience).field("token", token.token).field("expirationTimestamp", token.expires).end();
    if (const auto until = parse_rfc3339(token.expires)) shortest = std::min<Duration>(shortest, *until - context_.loop.wall_now());
  }
  work.kept->tokens = json.end().take();
  work.kept->tokens_until = now + shortest * 4 / 5;
  co_return work.kept->tokens;
}

}  // namespace estiba::node
