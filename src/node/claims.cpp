#include "node/claims.h"

#include <algorithm>

#include "base/strings.h"
#include "model/local_volumes.h"
#include "node/csi/volumes.h"
#include "node/local_volumes.h"
#include "volume/directory.h"
#include "volume/group_ownership.h"

namespace estiba::node {

using namespace model::core_v1;

namespace {

constexpr client::Resource persistent_volumes{"", "v1", "persistentvolumes"};
constexpr client::Resource persistent_volume_claims{"", "v1", "persistentvolumeclaims"};

Result<void> check_claim(const Pod& pod, const Volume& volume, const model::ObjectRef& claim) {
  const std::string about = "persistentvolumeclaim " + quoted(claim.meta().name);
  if (volume.ephemeral) {
    const model::Owner* owner = claim.meta().controller();
    if (!owner || owner->uid != pod.metadata.uid) return fail(Code::conflict, about + " was not created for this pod; delete or rename it");
  }
  if (!claim.meta().deletion_timestamp.empty()) return fail(Code::conflict, about + " is being deleted");
  const auto& typed = claim.as<PersistentVolumeClaim>();
  if (typed.status.phase != "Bound" || typed.spec.volumeName.empty()) return fail(Code::unavailable, about + " not bound");
  return {};
}

}  // namespace

bool has_claim(const Volume& volume) { return volume.persistentVolumeClaim || volume.ephemeral; }

bool is_claimed(const Volume& volume) { return has_claim(volume) || volume.csi; }

std::string claim_name(const Pod& pod, const Volume& volume) {
  if (volume.persistentVolumeClaim) return volume.persistentVolumeClaim->claimName;
  return volume.ephemeral ? pod.metadata.name + "-" + volume.name : std::string();
}

static std::unexpected<Error> no_drivers(const std::string& driver) {
  return fail(Code::unsupported, "CSI driver " + driver + ": this node serves no drivers: start it with --kubelet-dir");
}

Task<Result<ClaimedDirectory>> claimed_directory(const Context& context, model::ObjectRef ref, const Volume& volume,
                                                 std::optional<gid_t> group) {
  const Pod& pod = ref.as<Pod>();
  if (volume.csi) {
    if (!context.csi) co_return no_drivers(volume.csi->driver);
    co_return co_await context.csi->mount({ref, volume.name, {}, {}, volume.csi->readOnly.value_or(false)});
  }
  const model::ObjectRef claim =
      CO_TRY(co_await context.client.get(persistent_volume_claims, pod.metadata.namespace_, claim_name(pod, volume)));
  CO_TRY(check_claim(pod, volume, claim));
  const std::string name = claim.as<PersistentVolumeClaim>().spec.volumeName;
  const model::ObjectRef bound = CO_TRY(co_await context.client.get(persistent_volumes, "", name));
  const auto& spec = bound.as<PersistentVolume>().spec;
  if (!spec.claimRef || spec.claimRef->uid != claim.meta().uid)
    co_return fail(Code::conflict, "persistentvolume " + quoted(name) + " is not bound to claim " + quoted(claim.meta().name));
  ClaimedDirectory made;
  made.readonly = (volume.persistentVolumeClaim && volume.persistentVolumeClaim->readOnly.value_or(false)) ||
                  (spec.csi && spec.csi->readOnly.value_or(false));
  made.block = spec.volumeMode == "Block";
  if (spec.csi && spec.csi->driver != model::local_driver) {
    if (!context.csi) co_return no_drivers(spec.csi->driver);
    co_return co_await context.csi->mount({ref, volume.name, claim, bound, made.readonly});
  }
  if (made.block && !spec.local)
    co_return fail(Code::unsupported, "persistentvolume " + quoted(name) +
                                          ": spec.volumeMode Block is for local volumes and those of CSI drivers on this node");
  if (spec.hostPath) {
    made.path = spec.hostPath->path;
    const std::string path = made.path, type = spec.hostPath->type;
    CO_TRY(co_await context.pool.run([=] { return volume::check_host_path(path, type); }));
  } else if (spec.local) {
    made.path = spec.local->path;
    const std::string path = made.path, type = made.block ? "BlockDevice" : "Directory";
    CO_TRY(co_await context.pool.run([=] { return volume::check_host_path(path, type); }));
  } else if (spec.csi && spec.csi->driver == model::local_driver) {
    const std::string& handle = spec.csi->volumeHandle;
    if (handle.empty() || handle.contains('/') || handle.starts_with('.'))
      co_return fail(Code::invalid, "persistentvolume " + quoted(name) + ": spec.csi.volumeHandle " + quoted(handle) + " is not a name");
    made.path = local_volume_path(context.options, handle);
    const std::string path = made.path;
    CO_TRY(co_await context.pool.run([=] { return volume::make_empty_dir(path, group); }));
  } else {
    co_return fail(Code::unsupported, "persistentvolume " + quoted(name) + ": this node mounts hostPath, local and csi volumes only");
  }
  // A hostPath stays as the machine has it.
  if (group && !spec.hostPath && !made.block) {
    const bool seldom = pod.spec.securityContext->fsGroupChangePolicy == "OnRootMismatch";
    const auto change = seldom ? volume::GroupChange::on_root_mismatch : volume::GroupChange::always;
    CO_TRY(co_await context.pool.run(
        [path = made.path, group, readonly = made.readonly, change] { return volume::give_to_group(path, *group, readonly, change); }));
  }
  co_return made;
}

}  // namespace estiba::node
