// The node's part of making a volume larger: the volume has grown, and its file system follows (NodeExpandVolume). The driver's resizer has
// said so in the claim and in its volume's capacity (pkg/volume/util/operationexecutor/node_expander.go).
#include "base/strings.h"
#include "client/json_writer.h"
#include "model/codec.h"
#include "model/quantity.h"
#include "node/csi/work.h"

namespace estiba::node {

using namespace model::core_v1;
using csi_api::NodeFeature;

namespace {

constexpr client::Resource persistent_volume_claims{"", "v1", "persistentvolumeclaims"};
constexpr const char* storage = "storage";

int64_t bytes_of(const std::map<std::string, std::string>& list) {
  const auto found = list.find(storage);
  return found == list.end() ? 0 : model::quantity_to_int64(found->second);
}

// The claim's status once the volume has `capacity`: what said that it is to grow goes.
std::string finished(const PersistentVolumeClaimStatus& status, const std::string& capacity) {
  client::JsonWriter json;
  json.object().object("status").object("capacity").field(storage, capacity).end().array("conditions");
  for (const auto& condition : status.conditions)
    if (condition.type != "Resizing" && condition.type != "FileSystemResizePending") json.raw_value(model::encode(condition));
  json.end().object("allocatedResourceStatuses").null(storage).end();
  return json.end().end().take();
}

}  // namespace

// One that cannot be made larger is used as it is; the pod's events and the claim say so.
Task<void> CsiVolumes::expand(Work& work) {
  if (work.place.ephemeral) co_return;
  const int64_t has = bytes_of(work.wish.claim.as<PersistentVolumeClaim>().status.capacity), wanted = bytes_of(work.volume().capacity);
  if (has == 0 || wanted <= has || work.wish.readonly) co_return;
  const client::EventTarget about = client::EventTarget::of(work.wish.pod);
  auto done = co_await expand_now(work);
  const std::string name = quoted(work.place.volume);
  if (done)
    context_.events.record(about, client::EventType::normal, "FileSystemResizeSuccessful",
                           "MountVolume.NodeExpandVolume succeeded for volume " + name + " " + context_.options.node_name);
  else
    context_.events.record(about, client::EventType::warning, "VolumeResizeFailed",
                           "NodeExpandVolume.NodeExpandVolume failed for volume " + name + ": " + done.error().message);
}

Task<Result<void>> CsiVolumes::expand_now(Work& work) {
  const CsiPlace& place = work.place;
  if (!work.driver) work.driver = CO_TRY(drivers_.find(place.driver));
  work.features = CO_TRY(co_await CsiDriver::features(work.driver));
  if (work.can(NodeFeature::expand_volume)) {
    csi_api::NodeExpandVolumeRequest request;
    request.volume_id = place.handle;
    request.volume_path = layout_.target_path(place);
    request.capacity_range.required_bytes = bytes_of(work.volume().capacity);
    if (work.stages()) request.staging_target_path = layout_.staging_path(place);
    set_capability(work);
    request.volume_capability = work.capability;
    if (const auto& ref = work.volume().csi->nodeExpandSecretRef)
      request.secrets = CO_TRY(co_await secret(ref->namespace_, ref->name, "NodeExpandSecretRef"));
    CO_TRY(co_await CsiDriver::call<csi_api::NodeExpandVolumeResponse>(work.driver, "NodeExpandVolume", std::move(request)));
  }
  const model::ObjectRef claim = work.wish.claim;
  const auto capacity = work.volume().capacity.find(storage);
  auto written =
      co_await context_.client.patch(persistent_volume_claims, claim.meta().ns, claim.meta().name, client::PatchType::merge,
                                     finished(claim.as<PersistentVolumeClaim>().status, capacity->second), {.subresource = "status"});
  if (!written) co_return std::unexpected(std::move(written.error()).context("status of the claim"));
  co_return {};
}

}  // namespace estiba::node
