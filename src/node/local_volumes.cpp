#include "node/local_volumes.h"

#include "base/log.h"
#include "client/finalizers.h"
#include "model/local_volumes.h"
#include "model/types/core_v1.h"
#include "volume/directory.h"

namespace estiba::node {

using model::ObjectRef;
using model::core_v1::PersistentVolume;

namespace {

constexpr client::Resource persistent_volumes{"", "v1", "persistentvolumes"};
constexpr Duration pause = std::chrono::seconds(10);  // between tries to remove a directory that cannot be removed

bool is_on(const ObjectRef& volume, const std::string& node) {
  const auto& csi = volume.as<PersistentVolume>().spec.csi;
  if (!csi || csi->driver != model::local_driver) return false;
  const auto found = csi->volumeAttributes.find(std::string(model::local_node_attribute));
  return found != csi->volumeAttributes.end() && found->second == node;
}

// No path but a name: whoever may write volumes may not have other directories removed.
bool is_name(std::string_view handle) { return !handle.empty() && !handle.contains('/') && handle != "." && handle != ".."; }

}  // namespace

std::string local_volume_path(const Options& options, std::string_view handle) {
  return options.data_dir + "/persistent-volumes/" + std::string(handle);
}

LocalVolumes::LocalVolumes(const Context& context) : context_(context) {}

void LocalVolumes::start() {
  context_.informers.of(persistent_volumes).on_change([this](const ObjectRef&, const ObjectRef& after) {
    if (after) look_at(after);
  });
}

void LocalVolumes::look_at(const ObjectRef& volume) {
  if (volume.meta().deletion_timestamp.empty() || !client::has_finalizer(volume.meta(), model::local_finalizer)) return;
  if (!is_on(volume, context_.options.node_name)) return;
  if (volume.as<PersistentVolume>().status.phase == "Bound") return;  // somebody still uses it
  tasks_.start(let_go(this, volume));
}

Task<void> LocalVolumes::let_go(LocalVolumes* self, ObjectRef volume) {
  for (;;) {
    auto done = co_await self->remove(volume);
    if (done || done.error().code == Code::not_found || done.error().code == Code::conflict) co_return;
    // Who may not see that it is gone is told that he may not touch it.
    if (!self->context_.informers.of(persistent_volumes).get(volume.meta().name)) co_return;
    log::warn("node", "will try again to remove a volume", {{"volume", volume.meta().name}, {"error", done.error()}});
    co_await sleep_for(pause);
  }
}

Task<Result<void>> LocalVolumes::remove(ObjectRef volume) {
  const auto& spec = volume.as<PersistentVolume>().spec;
  if (spec.persistentVolumeReclaimPolicy == "Delete" && is_name(spec.csi->volumeHandle)) {
    const std::string path = local_volume_path(context_.options, spec.csi->volumeHandle);
    CO_TRY(co_await context_.pool.run([=] { return volume::remove_dir_tree(path); }));
  }
  auto written = co_await context_.client.patch(persistent_volumes, "", volume.meta().name, client::PatchType::merge,
                                                client::finalizer_patch(volume, model::local_finalizer, false));
  if (!written) co_return std::unexpected(std::move(written.error()));
  co_return {};
}

}  // namespace estiba::node
