// Volumes of CSI drivers come to the nodes whose pods need them, and leave when none does (Kubernetes' attach/detach controller). What is
// wanted of a driver's attacher is a VolumeAttachment; what came of it goes into the Node's status.volumesAttached and the pods' events.
//
// The key is a node. Its pods say what is to be attached, the VolumeAttachments of its name what is. A volume leaves a node only when the
// node says that it does not use it any more (status.volumesInUse), unless the node is gone, is marked out of service, or has been unwell
// for six minutes (pkg/controller/volume/attachdetach/reconciler).
#include <algorithm>
#include <map>
#include <set>

#include "base/strings.h"
#include "client/attachments.h"
#include "client/json_writer.h"
#include "controllers/claims.h"
#include "controllers/framework.h"
#include "controllers/node_health.h"
#include "controllers/pods_by_node.h"
#include "controllers/table.h"
#include "model/local_volumes.h"
#include "model/types/storage_v1.h"

namespace estiba::controllers {

using client::EventType;
using model::ObjectRef;
using model::core_v1::Node;
using model::core_v1::PersistentVolume;
using model::core_v1::PersistentVolumeClaim;
using model::core_v1::Pod;
using model::storage_v1::CSIDriver;
using model::storage_v1::VolumeAttachment;
using namespace std::chrono_literals;

namespace {

constexpr client::Resource csi_drivers{"storage.k8s.io", "v1", "csidrivers"};
constexpr client::Resource volume_attachments{"storage.k8s.io", "v1", "volumeattachments"};
constexpr Duration unmount_limit = 6min;  // for a node that is unwell

bool has_ended(const Pod& pod) { return pod.status.phase == "Succeeded" || pod.status.phase == "Failed"; }

// Whether several nodes may have the volume at once.
bool is_for_many(const PersistentVolume& volume) {
  return volume.spec.accessModes.empty() || std::ranges::any_of(volume.spec.accessModes, [](const std::string& mode) {
           return mode == "ReadWriteMany" || mode == "ReadOnlyMany";
         });
}

class AttachDetach final : public Controller {
 public:
  explicit AttachDetach(Context& context)
      : Controller(context, "attachdetach-controller", {.workers = 8}),
        pods_(informer(client::pods)),
        claims_(informer(persistent_volume_claims)),
        volumes_(informer(persistent_volumes)),
        drivers_(informer(csi_drivers)),
        nodes_(informer(client::nodes)),
        attachments_(informer(volume_attachments)),
        on_node_(pods_by_node(pods_)),
        by_claim_(claim_index(pods_)),
        of_node_(attachments_.add_index([](const model::Object& object, std::vector<std::string>& values) {
          values.push_back(object.as<VolumeAttachment>().spec.nodeName);
        })),
        of_volume_(attachments_.add_index([](const model::Object& object, std::vector<std::string>& values) {
          values.push_back(object.as<VolumeAttachment>().spec.source.persistentVolumeName);
        })) {
    pods_.on_change([this](const ObjectRef& before, const ObjectRef& after) { pod_changed(before, after); });
    claims_.on_change([this](const ObjectRef& before, const ObjectRef& after) { wake_users(client::key_of(after ? after : before)); });
    volumes_.on_change([this](const ObjectRef& before, const ObjectRef& after) { wake_claim_of(after ? after : before); });
    drivers_.on_change([this](const ObjectRef&, const ObjectRef&) { nodes_.each([this](const ObjectRef& node) { enqueue(node); }); });
    nodes_.on_change([this](const ObjectRef& before, const ObjectRef& after) { enqueue(after ? after : before); });
    attachments_.on_change([this](const ObjectRef& before, const ObjectRef& after) { attachment_changed(before, after); });
  }

 private:
  struct Wanted {
    ObjectRef volume;
    std::vector<ObjectRef> pods;
  };
  using Plan = std::map<std::string, Wanted>;  // by the VolumeAttachment's name

  // --- what wakes ----------------------------------------------------------------------------------------------------

  void pod_changed(const ObjectRef& before, const ObjectRef& after) {
    for (const ObjectRef* pod : {&before, &after}) {
      if (!*pod) continue;
      const Pod& typed = pod->as<Pod>();
      if (typed.spec.nodeName.empty()) continue;
      const auto claims = [&](const auto& volume) { return !claim_of(pod->meta(), volume).empty(); };
      if (std::ranges::any_of(typed.spec.volumes, claims)) enqueue(typed.spec.nodeName);
    }
  }
  void wake_users(const std::string& claim) {
    pods_.each(by_claim_, claim, [this](const ObjectRef& pod) {
      if (const std::string& node = pod.as<Pod>().spec.nodeName; !node.empty()) enqueue(node);
    });
  }
  void wake_claim_of(const ObjectRef& volume) {
    if (const auto& claim = volume.as<PersistentVolume>().spec.claimRef) wake_users(client::key_of(claim->namespace_, claim->name));
  }
  void attachment_changed(const ObjectRef& before, const ObjectRef& after) {
    const auto& spec = (after ? after : before).as<VolumeAttachment>().spec;
    enqueue(spec.nodeName);
    const ObjectRef volume = volumes_.get(spec.source.persistentVolumeName);
    if (!volume) return;
    if (!after) wake_claim_of(volume);  // another node may have it now
    if (before && after) tell_outcome(before.as<VolumeAttachment>(), after.as<VolumeAttachment>(), volume);
  }

  void tell_outcome(const VolumeAttachment& before, const VolumeAttachment& after, const ObjectRef& volume) {
    const auto text = [](const VolumeAttachment& one) { return one.status.attachError ? one.status.attachError->message : std::string(); };
    const bool attached = after.status.attached && !before.status.attached;
    if (!attached &&
        (text(after).empty() || (after.status.attachError->time == (before.status.attachError ? before.status.attachError->time : ""))))
      return;
    const std::string name = quoted(volume.meta().name);
    each_user(volume, after.spec.nodeName, [&](const ObjectRef& pod) {
      if (attached)
        events_.record(pod, EventType::normal, "SuccessfulAttachVolume", "AttachVolume.Attach succeeded for volume " + name + " ");
      else
        events_.record(pod, EventType::warning, "FailedAttachVolume",
                       "AttachVolume.Attach failed for volume " + name + " : " + text(after));
    });
  }

  template <class Visit>
  void each_user(const ObjectRef& volume, const std::string& node, Visit visit) {
    const auto& claim = volume.as<PersistentVolume>().spec.claimRef;
    if (!claim) return;
    pods_.each(by_claim_, client::key_of(claim->namespace_, claim->name), [&](const ObjectRef& pod) {
      if (pod.as<Pod>().spec.nodeName == node && !has_ended(pod.as<Pod>())) visit(pod);
    });
  }

  // --- one node ------------------------------------------------------------------------------------------------------

  Task<Result<void>> reconcile(std::string node) override {
    const Plan plan = wanted_on(node);
    if (plan.empty() && attachments_.count(of_node_, node) == 0 && !tells_of_any(node)) co_return {};
    std::vector<ObjectRef> to_go;
    attachments_.each(of_node_, node, [&](const ObjectRef& attachment) {
      if (is_ours(attachment) && !plan.contains(attachment.meta().name)) to_go.push_back(attachment);
    });
    std::erase_if(to_go, [&](const ObjectRef& attachment) { return !may_go(attachment, node); });
    // The node stops to count on them before they go.
    CO_TRY_AS("volumesAttached of node " + node, co_await write_attached(node, to_go));
    for (const ObjectRef& attachment : to_go) CO_TRY_AS("VolumeAttachment " + attachment.meta().name, co_await detach(attachment));
    for (const auto& [name, wanted] : plan)
      if (!attachments_.get(name)) CO_TRY_AS("VolumeAttachment " + name, co_await attach(name, wanted, node));
    co_return {};
  }

  Plan wanted_on(const std::string& node) {
    Plan out;
    pods_.each(on_node_, node, [&](const ObjectRef& pod) {
      if (has_ended(pod.as<Pod>())) return;
      for (const auto& volume : pod.as<Pod>().spec.volumes) {
        const std::string claim_name = claim_of(pod.meta(), volume);
        const ObjectRef claim = claim_name.empty() ? ObjectRef{} : claims_.get(pod.meta().ns, claim_name);
        if (!claim || claim.as<PersistentVolumeClaim>().spec.volumeName.empty()) continue;
        const ObjectRef bound = volumes_.get(claim.as<PersistentVolumeClaim>().spec.volumeName);
        if (!bound || !is_bound_to(bound, claim) || !is_attached(bound)) continue;
        Wanted& wanted = out[name_of(bound, node)];
        wanted.volume = bound;
        wanted.pods.push_back(pod);
      }
    });
    return out;
  }

  // Whether the volume's driver wants it attached; it does unless its CSIDriver says that it does not.
  bool is_attached(const ObjectRef& volume) const {
    const auto& csi = volume.as<PersistentVolume>().spec.csi;
    if (!csi || csi->driver == model::local_driver) return false;
    const ObjectRef driver = drivers_.get(csi->driver);
    return !driver || driver.as<CSIDriver>().spec.attachRequired.value_or(true);
  }

  static std::string name_of(const ObjectRef& volume, const std::string& node) {
    const auto& csi = *volume.as<PersistentVolume>().spec.csi;
    return client::attachment_name(csi.volumeHandle, csi.driver, node);
  }
  static std::string unique_name(const ObjectRef& volume) {
    const auto& csi = *volume.as<PersistentVolume>().spec.csi;
    return client::unique_volume_name(csi.volumeHandle, csi.driver);
  }

  // Those that others have made, for what purpose ever, are left alone.
  bool is_ours(const ObjectRef& attachment) const {
    const auto& spec = attachment.as<VolumeAttachment>().spec;
    const ObjectRef volume = volumes_.get(spec.source.persistentVolumeName);
    return volume && volume.as<PersistentVolume>().spec.csi && name_of(volume, spec.nodeName) == attachment.meta().name;
  }

  // --- to a node -----------------------------------------------------------------------------------------------------

  Task<Result<void>> attach(std::string name, Wanted wanted, std::string node) {
    if (!nodes_.get(node)) co_return {};
    const std::string& volume = wanted.volume.meta().name;
    bool elsewhere = false;
    if (!is_for_many(wanted.volume.as<PersistentVolume>()))
      attachments_.each(of_volume_, volume,
                        [&](const ObjectRef& other) { elsewhere |= other.as<VolumeAttachment>().spec.nodeName != node; });
    if (elsewhere) {
      // Its going wakes us.
      if (!told_.insert(name).second) co_return {};
      for (const ObjectRef& pod : wanted.pods)
        events_.record(pod, EventType::warning, "FailedAttachVolume",
                       "Multi-Attach error for volume " + quoted(volume) +
                           " Volume is already exclusively attached to one node and can't be attached to another");
      co_return {};
    }
    told_.erase(name);
    client::JsonWriter json;
    json.object().field("apiVersion", "storage.k8s.io/v1").field("kind", "VolumeAttachment").object("metadata").field("name", name).end();
    json.object("spec").field("attacher", wanted.volume.as<PersistentVolume>().spec.csi->driver).field("nodeName", node);
    json.object("source").field("persistentVolumeName", volume).end().end().end();
    auto made = co_await client_.create(volume_attachments, "", json.take());
    if (!made && made.error().code == Code::already_exists) co_return {};
    if (!made) co_return std::unexpected(std::move(made.error()));
    attachments_.observe(*made);
    co_return {};
  }

  // --- from a node ---------------------------------------------------------------------------------------------------

  bool may_go(const ObjectRef& attachment, const std::string& node) {
    const std::string& name = attachment.meta().name;
    if (!attachment.meta().deletion_timestamp.empty()) return false;  // its attacher is at it
    const ObjectRef there = nodes_.get(node);
    if (!there || is_out_of_service(there.as<Node>())) return true;
    const ObjectRef volume = volumes_.get(attachment.as<VolumeAttachment>().spec.source.persistentVolumeName);
    if (!volume || !std::ranges::contains(there.as<Node>().status.volumesInUse, unique_name(volume))) {
      unwanted_since_.erase(name);
      return true;
    }
    const auto since = unwanted_since_.try_emplace(name, context_.executor.now()).first->second;
    if (readiness_of(there.as<Node>()) == Readiness::ready) return false;  // it will say so
    const Duration left = since + unmount_limit - context_.executor.now();
    if (left > 0s) enqueue_after(node, left);
    return left <= 0s;
  }

  Task<Result<void>> detach(ObjectRef attachment) {
    unwanted_since_.erase(attachment.meta().name);
    auto removed = co_await client_.remove(volume_attachments, "", attachment.meta().name, {.uid = attachment.meta().uid});
    if (!removed && removed.error().code != Code::not_found && removed.error().code != Code::conflict) co_return removed;
    co_return {};
  }

  bool tells_of_any(const std::string& node) const {
    const ObjectRef object = nodes_.get(node);
    return object && !object.as<Node>().status.volumesAttached.empty();
  }

  Task<Result<void>> write_attached(std::string node, std::vector<ObjectRef> without) {
    const ObjectRef object = nodes_.get(node);
    if (!object) co_return {};
    std::set<std::string> names;
    attachments_.each(of_node_, node, [&](const ObjectRef& attachment) {
      const auto same = [&](const ObjectRef& other) { return other.meta().uid == attachment.meta().uid; };
      if (!is_ours(attachment) || !attachment.as<VolumeAttachment>().status.attached || !attachment.meta().deletion_timestamp.empty() ||
          std::ranges::any_of(without, same))
        return;
      names.insert(unique_name(volumes_.get(attachment.as<VolumeAttachment>().spec.source.persistentVolumeName)));
    });
    std::set<std::string> told;
    for (const auto& volume : object.as<Node>().status.volumesAttached) told.insert(volume.name);
    if (told == names) co_return {};
    client::JsonWriter json;
    json.object().object("status").array("volumesAttached");
    for (const std::string& name : names) json.object().field("name", name).field("devicePath", "").end();
    co_return co_await patch_status(nodes_, object, json.end().end().end().take());
  }

  client::Informer &pods_, &claims_, &volumes_, &drivers_, &nodes_, &attachments_;
  client::Informer::Index on_node_, by_claim_, of_node_, of_volume_;
  std::set<std::string> told_;                     // VolumeAttachments whose volume is on another node
  std::map<std::string, Instant> unwanted_since_;  // by the VolumeAttachment's name, while its node uses it still
};

}  // namespace

std::unique_ptr<Controller> make_attach_detach(Context& context) { return std::make_unique<AttachDetach>(context); }

}  // namespace estiba::controllers
