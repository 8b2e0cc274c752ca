#include "node/csi/volumes.h"

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "client/attachments.h"
#include "node/csi/work.h"
#include "volume/group_ownership.h"

namespace estiba::node {

using namespace model::core_v1;
using namespace std::chrono_literals;
using csi_api::NodeFeature;

namespace {

constexpr client::Resource csi_drivers{"storage.k8s.io", "v1", "csidrivers"};
// As often as the kubelet looks at a pod whose driver wants its volumes published again and again (requiresRepublish).
constexpr Duration republish_period = 90s;
constexpr std::string_view once_a_pod = "ReadWriteOncePod";

}  // namespace

CsiVolumes::CsiVolumes(const Context& context) : context_(context), drivers_(context), layout_(context.options.kubelet_dir) {
  drivers_.on_registered([this](const std::string& driver) {
    tasks_.start(tidy(this, driver));
    if (on_driver_) on_driver_(driver);
  });
}

Task<void> CsiVolumes::recover() {
  if (context_.options.kubelet_dir.empty()) co_return;
  const auto found = co_await context_.pool.run([layout = layout_] { return std::pair(layout.places(), layout.staged()); });
  for (const CsiPlace& place : found.first) kept_[{place.pod_uid, place.volume}].place = place;
  for (CsiPlace place : found.second) {
    if (is_used(key_of(place))) continue;
    place.attachment = client::attachment_name(place.handle, place.driver, context_.options.node_name);
    leftovers_[key_of(place)] = place;
  }
}

bool CsiVolumes::is_used(const Key& key) const {
  return std::ranges::any_of(kept_, [&](const auto& entry) { return key_of(entry.second.place) == key; });
}

std::set<std::string> CsiVolumes::pods() const {
  std::set<std::string> out;
  for (const auto& [key, kept] : kept_) out.insert(key.first);
  return out;
}

// --- up --------------------------------------------------------------------------------------------------------------

Task<Result<ClaimedDirectory>> CsiVolumes::mount(CsiWish wish) {
  Work work{.wish = std::move(wish)};
  CsiPlace& place = work.place;
  place.pod_uid = work.wish.pod.meta().uid;
  place.ephemeral = !work.wish.bound_to;
  place.volume = place.ephemeral ? work.wish.volume : work.wish.bound_to.meta().name;
  place.driver = place.ephemeral ? work.source().driver : work.volume().csi->driver;
  place.handle = place.ephemeral ? inline_handle(place.pod_uid, place.volume) : work.volume().csi->volumeHandle;
  place.block = !place.ephemeral && work.volume().volumeMode == "Block";
  auto object = co_await context_.client.get(csi_drivers, "", place.driver);
  if (object) work.csi_driver = *object;
  else if (object.error().code != Code::not_found)
    co_return std::unexpected(std::move(object.error()).context("CSIDriver " + place.driver));

  if (const auto known = kept_.find({place.pod_uid, place.volume}); known != kept_.end()) {
    place.attachment = known->second.place.attachment;
    const bool there = CO_TRY(co_await context_.pool.run([layout = layout_, place] { return layout.is_published(place); }));
    const bool again = work.driver_spec().requiresRepublish.value_or(false) && context_.loop.now() >= known->second.publish_again_at;
    if (there && !again) co_return co_await look_after(work, known->second);
  }
  work.driver = CO_TRY(drivers_.find(place.driver));
  CO_TRY(co_await check(work));
  std::optional<Attaching> attaching;
  place.attachment.clear();
  if (work.needs_attachment()) {
    place.attachment = client::attachment_name(place.handle, place.driver, context_.options.node_name);
    attaching.emplace(this, place);
  }
  CO_TRY(co_await attach(work));
  Shared& shared = shared_[key_of(place)];
  const auto turn = co_await shared.mutex.take();
  if (!place.ephemeral && std::ranges::contains(work.volume().accessModes, once_a_pod))
    for (const auto& [id, other] : kept_)
      if (key_of(other.place) == key_of(place) && id.first != place.pod_uid)
        co_return fail(Code::conflict,
                       "volume " + place.volume + " uses the ReadWriteOncePod access mode and is already in use by another pod");
  leftovers_.erase(key_of(place));
  work.kept = &kept_[{place.pod_uid, place.volume}];
  work.kept->place = place;
  CO_TRY(co_await context_.pool.run([layout = layout_, place, node = context_.options.node_name] { return layout.add(place, node); }));
  CO_TRY(co_await describe(work));
  if (work.stages() && !shared.staged) {
    CO_TRY(co_await stage(work));
    shared.staged = true;
  }
  CO_TRY(co_await publish(work));
  CO_TRY(co_await give_to_group(work));
  co_return co_await look_after(work, *work.kept);
}

// What is published: its size follows its claim's, and its pod learns where it is.
Task<Result<ClaimedDirectory>> CsiVolumes::look_after(Work& work, Kept& kept) {
  const model::Meta& pod = work.wish.pod.meta();
  const std::string claim = work.wish.claim ? work.wish.claim.meta().name : std::string();
  kept.mounted = {pod.uid, pod.ns, work.wish.volume, claim, work.place.volume};
  co_await expand(work);
  ClaimedDirectory out;
  out.path = layout_.target_path(work.place);
  out.readonly = work.wish.readonly;
  out.block = work.place.block;
  out.csi = true;
  if (work.driver_spec().requiresRepublish.value_or(false)) out.look_again_at = std::max(kept.publish_again_at, context_.loop.now() + 1s);
  co_return out;
}

Task<Result<void>> CsiVolumes::check(Work& work) {
  const auto& modes = work.driver_spec().volumeLifecycleModes;
  const std::string mode = work.place.ephemeral ? "Ephemeral" : "Persistent";
  if (work.place.ephemeral && !work.csi_driver)
    co_return fail(Code::unsupported, "volume mode \"Ephemeral\" not supported by driver " + work.place.driver + " (no CSIDriver object)");
  if (!modes.empty() && !std::ranges::contains(modes, mode))
    co_return fail(Code::unsupported, "volume mode " + quoted(mode) + " not supported by driver " + work.place.driver +
                                          " (only supports [" + join(modes, ", ") + "])");
  work.features = CO_TRY(co_await CsiDriver::features(work.driver));
  co_return {};
}

Task<Result<void>> CsiVolumes::stage(Work& work) {
  CO_TRY(co_await context_.pool.run([layout = layout_, place = work.place] { return layout.add_staging(place); }));
  csi_api::NodeStageVolumeRequest request;
  request.volume_id = work.place.handle;
  request.publish_context = work.publish_context;
  request.staging_target_path = layout_.staging_path(work.place);
  request.volume_capability = work.capability;
  request.volume_context = work.volume().csi->volumeAttributes;
  if (const auto& ref = work.volume().csi->nodeStageSecretRef)
    request.secrets = CO_TRY(co_await secret(ref->namespace_, ref->name, "NodeStageSecretRef"));
  CO_TRY(co_await CsiDriver::call<csi_api::Empty>(work.driver, "NodeStageVolume", std::move(request)));
  co_return {};
}

Task<Result<void>> CsiVolumes::publish(Work& work) {
  csi_api::NodePublishVolumeRequest request;
  request.volume_id = work.place.handle;
  request.publish_context = work.publish_context;
  if (work.stages()) request.staging_target_path = layout_.staging_path(work.place);
  request.target_path = layout_.target_path(work.place);
  request.volume_capability = work.capability;
  request.readonly = work.wish.readonly;
  request.secrets = work.publish_secrets;
  request.volume_context = work.volume_context;
  CO_TRY(co_await CsiDriver::call<csi_api::Empty>(work.driver, "NodePublishVolume", std::move(request)));
  work.kept->publish_again_at = context_.loop.now() + republish_period;
  co_return {};
}

// csi_mounter.go, supportsFSGroup: who may be asked to give it to the pod's group, and where that makes sense.
Task<Result<void>> CsiVolumes::give_to_group(Work& work) {
  const auto& security = work.pod().spec.securityContext;
  if (!security || !security->fsGroup || work.place.block || work.wish.readonly || work.can(NodeFeature::volume_mount_group)) co_return {};
  const std::string& policy = work.driver_spec().fsGroupPolicy;  // ReadWriteOnceWithFSType without a CSIDriver
  if (policy == "None") co_return {};
  if (policy != "File") {
    if (work.fs_type().empty()) co_return {};
    const auto once = [](const std::string& mode) { return mode == "ReadWriteOnce" || mode == once_a_pod; };
    if (!work.place.ephemeral && std::ranges::none_of(work.volume().accessModes, once)) co_return {};
  }
  const auto change =
      security->fsGroupChangePolicy == "OnRootMismatch" ? volume::GroupChange::on_root_mismatch : volume::GroupChange::always;
  auto given = co_await context_.pool.run([path = layout_.target_path(work.place), group = gid_t(*security->fsGroup), change] {
    return volume::give_to_group(path, group, false, change);
  });
  if (!given) co_return std::unexpected(std::move(given.error()).context("applyFSGroup failed for vol " + work.place.handle));
  co_return {};
}

// --- down ------------------------------------------------------------------------------------------------------------

Task<Result<void>> CsiVolumes::release(std::string pod_uid) {
  std::vector<CsiPlace> mine;
  for (const auto& [id, kept] : kept_)
    if (id.first == pod_uid) mine.push_back(kept.place);
  Result<void> out;
  for (CsiPlace& place : mine)
    if (auto done = co_await take_down(place); !done && out)
      out = std::unexpected(std::move(done.error()).context("UnmountVolume.TearDown failed for volume " + quoted(place.volume)));
  co_return out;
}

void CsiVolumes::release_later(std::string pod_uid) {
  tasks_.start([](CsiVolumes* self, std::string uid) -> Task<void> {
    co_await yield_now();
    for (Duration wait = 1s;; wait = std::min<Duration>(wait * 2, 2min)) {
      auto released = co_await self->release(uid);
      if (released) co_return;
      log::warn("node", "will try again to take down volumes of a pod", {{"uid", uid}, {"error", released.error()}});
      co_await sleep_for(wait);
    }
  }(this, std::move(pod_uid)));
}

Task<Result<void>> CsiVolumes::take_down(CsiPlace place) {
  const Key key = key_of(place);
  {
    const CsiDriverRef driver = CO_TRY(drivers_.find(place.driver));
    const auto turn = co_await shared_[key].mutex.take();
    if (!kept_.contains({place.pod_uid, place.volume})) co_return {};
    CO_TRY(co_await CsiDriver::call<csi_api::Empty>(driver, "NodeUnpublishVolume",
                                                    csi_api::NodeUnpublishVolumeRequest{place.handle, layout_.target_path(place)}));
    CO_TRY(co_await context_.pool.run([layout = layout_, place] { return layout.remove(place); }));
    kept_.erase({place.pod_uid, place.volume});
    if (place.ephemeral || is_used(key)) co_return {};
    leftovers_[key] = place;
  }
  if (auto done = co_await unstage(place); !done) tasks_.start(tidy(this, place.driver));
  co_return {};
}

// Only if it is still nobody's.
Task<Result<void>> CsiVolumes::unstage(CsiPlace place) {
  const Key key = key_of(place);
  const CsiDriverRef driver = CO_TRY(drivers_.find(place.driver));
  {
    const auto turn = co_await shared_[key].mutex.take();
    if (!leftovers_.contains(key)) co_return {};
    const auto features = CO_TRY(co_await CsiDriver::features(driver));
    if (features.contains(NodeFeature::stage_unstage_volume))
      CO_TRY(co_await CsiDriver::call<csi_api::Empty>(driver, "NodeUnstageVolume",
                                                      csi_api::NodeUnstageVolumeRequest{place.handle, layout_.staging_path(place)}));
    shared_[key].staged = false;
    CO_TRY(co_await context_.pool.run([layout = layout_, place] { return layout.remove_staging(place); }));
    leftovers_.erase(key);
  }
  if (const auto entry = shared_.find(key); entry != shared_.end() && entry->second.mutex.idle()) shared_.erase(entry);
  if (!place.attachment.empty()) tasks_.start(report_later(this));
  co_return {};
}

// What is staged of a driver, and no pod's any more, goes, sooner or later.
Task<void> CsiVolumes::tidy(CsiVolumes* self, std::string driver) {
  co_await yield_now();
  for (Duration wait = 1s;; wait = std::min<Duration>(wait * 2, 2min)) {
    std::vector<CsiPlace> left;
    for (const auto& [key, place] : self->leftovers_)
      if (key.first == driver) left.push_back(place);
    bool done = true;
    for (const CsiPlace& place : left) {
      auto unstaged = co_await self->unstage(place);
      if (unstaged) continue;
      done = false;
      log::warn("node", "will try again to unstage a volume", {{"driver", driver}, {"volume", place.handle}, {"error", unstaged.error()}});
    }
    if (done || !self->drivers_.find(driver)) co_return;  // who registers again starts this again
    co_await sleep_for(wait);
  }
}

// --- what drivers tell -----------------------------------------------------------------------------------------------

std::vector<CsiVolumes::Mounted> CsiVolumes::mounted() const {
  std::vector<Mounted> out;
  for (const auto& [id, kept] : kept_)
    if (!kept.mounted.name.empty()) out.push_back(kept.mounted);
  return out;
}

Task<Result<CsiVolumes::Stats>> CsiVolumes::stats(std::string pod_uid, std::string volume) {
  const auto found = kept_.find({pod_uid, volume});
  if (found == kept_.end()) co_return fail(Code::not_found, "volume " + quoted(volume) + " is none of a CSI driver");
  const CsiPlace place = found->second.place;
  const CsiDriverRef driver = CO_TRY(drivers_.find(place.driver));
  const auto features = CO_TRY(co_await CsiDriver::features(driver));
  if (!features.contains(NodeFeature::get_volume_stats))
    co_return fail(Code::unsupported, "CSI driver " + place.driver + " does not tell how full its volumes are");
  csi_api::NodeGetVolumeStatsRequest request{place.handle, layout_.target_path(place), {}};
  if (features.contains(NodeFeature::stage_unstage_volume) && !place.ephemeral) request.staging_target_path = layout_.staging_path(place);
  const auto answer =
      CO_TRY(co_await CsiDriver::call<csi_api::NodeGetVolumeStatsResponse>(driver, "NodeGetVolumeStats", std::move(request)));
  Stats out;
  for (const csi_api::VolumeUsage& usage : answer.usage) {
    if (usage.unit == csi_api::UsageUnit::bytes) out.bytes = usage;
    if (usage.unit == csi_api::UsageUnit::inodes) out.inodes = usage;
  }
  co_return out;
}

}  // namespace estiba::node
