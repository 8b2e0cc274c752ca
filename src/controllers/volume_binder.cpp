// Claims and volumes find each other: a claim is bound to a volume that fits, or to one that names it; what waits for a volume to
// be made is told to its provisioner; volumes whose claim is gone are Released and reclaimed. (Kubernetes' persistent-volume-binder.)
//
// A binding is four writes, each of which the next reconcile finishes: the volume names the claim, the volume is Bound, the claim
// names the volume, the claim is Bound. Each is refused when the object has changed, so that two claims never get one volume.
#include "base/strings.h"
#include "base/time.h"
#include "client/json_writer.h"
#include "controllers/claims.h"
#include "controllers/framework.h"
#include "controllers/table.h"
#include "controllers/volume_match.h"
#include "model/types/storage_v1.h"

namespace estiba::controllers {

using client::EventType;
using model::ObjectRef;
using model::core_v1::PersistentVolume;
using model::core_v1::PersistentVolumeClaim;
using model::core_v1::Pod;
using model::storage_v1::StorageClass;

namespace {

constexpr std::string_view volume_key = "volume:";  // before the names of volumes; the keys of claims have none

bool is_bound_by_controller(const ObjectRef& object) { return object.object->meta().annotation(bound_by_controller) == "yes"; }
bool has_completed(const ObjectRef& claim) { return !claim.meta().annotation(bind_completed).empty(); }

client::JsonWriter patch_of(const ObjectRef& object) {
  client::JsonWriter json;
  json.object().object("metadata").field("resourceVersion", object.resource_version());
  return json;
}

class VolumeBinder final : public Controller {
 public:
  explicit VolumeBinder(Context& context)
      : Controller(context, "persistentvolume-controller", {.workers = 8}),
        claims_(watch(persistent_volume_claims)),
        volumes_(informer(persistent_volumes)),
        classes_(informer(storage_classes)),
        pods_(informer(client::pods)),
        pods_by_claim_(claim_index(pods_)),
        unbound_(claims_.add_index([](const model::Object& claim, std::vector<std::string>& values) {
          if (claim.meta().annotation(bind_completed).empty()) values.emplace_back("unbound");
        })),
        by_volume_(claims_.add_index([](const model::Object& claim, std::vector<std::string>& values) {
          if (const auto& name = claim.as<PersistentVolumeClaim>().spec.volumeName; !name.empty()) values.push_back(name);
        })),
        by_claim_(volumes_.add_index([](const model::Object& volume, std::vector<std::string>& values) {
          if (const auto& reference = volume.as<PersistentVolume>().spec.claimRef)
            values.push_back(client::key_of(reference->namespace_, reference->name));
        })) {
    claims_.on_change([this](const ObjectRef& before, const ObjectRef& after) { wake_volumes_of(after ? after : before); });
    volumes_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      const ObjectRef& volume = after ? after : before;
      enqueue(std::string(volume_key) + volume.meta().name);
      if (const auto& reference = volume.as<PersistentVolume>().spec.claimRef)
        enqueue(client::key_of(reference->namespace_, reference->name));
      claims_.each(by_volume_, volume.meta().name, [&](const ObjectRef& claim) { enqueue(claim); });
      if (after && after.as<PersistentVolume>().status.phase == "Available") wake_unbound();
    });
    classes_.on_change([this](const ObjectRef&, const ObjectRef&) { wake_unbound(); });
  }

 private:
  void wake_unbound() {
    claims_.each(unbound_, "unbound", [&](const ObjectRef& claim) { enqueue(claim); });
  }
  void wake_volumes_of(const ObjectRef& claim) {
    if (const auto& name = claim.as<PersistentVolumeClaim>().spec.volumeName; !name.empty()) enqueue(std::string(volume_key) + name);
    volumes_.each(by_claim_, client::key_of(claim.meta()),
                  [&](const ObjectRef& volume) { enqueue(std::string(volume_key) + volume.meta().name); });
  }

  Task<Result<void>> reconcile(std::string key) override {
    if (key.starts_with(volume_key)) co_return co_await sync_volume(key.substr(volume_key.size()));
    const ObjectRef claim = claims_.get(key);
    if (!claim) co_return {};
    if (has_completed(claim)) co_return co_await sync_bound(claim);
    const std::string& name = claim.as<PersistentVolumeClaim>().spec.volumeName;
    if (name.empty()) co_return co_await sync_open(claim);
    co_return co_await sync_requested(claim, volumes_.get(name));
  }

  // --- claims --------------------------------------------------------------------------------------------------------

  /// A claim that takes any volume.
  Task<Result<void>> sync_open(ObjectRef claim) {
    const std::string class_name = class_of_claim(claim);
    const ObjectRef storage_class = class_name.empty() ? ObjectRef{} : classes_.get(class_name);
    const bool delayed = storage_class && storage_class.as<StorageClass>().volumeBindingMode == "WaitForFirstConsumer";
    if (const ObjectRef volume = best_volume(volumes_, claim, delayed)) co_return co_await bind(volume, claim);
    if (!claim.meta().deletion_timestamp.empty()) co_return {};
    const bool has_class = claim.as<PersistentVolumeClaim>().spec.storageClassName || !claim.meta().annotation(beta_storage_class).empty();
    if (const ObjectRef standard = has_class ? ObjectRef{} : default_class(classes_)) co_return co_await give_class(claim, standard);
    if (delayed && claim.meta().annotation(selected_node).empty()) {
      tell_who_is_waited_for(claim);
    } else if (!class_name.empty()) {
      CO_TRY(co_await ask_for_provisioning(claim, class_name, storage_class));
      co_return {};
    } else {
      events_.record(claim, EventType::normal, "FailedBinding",
                     "no persistent volumes available for this claim and no storage class is set");
    }
    co_return co_await write_claim_phase(claim, "Pending", {});
  }

  /// A claim that names its volume.
  Task<Result<void>> sync_requested(ObjectRef claim, ObjectRef volume) {
    if (!volume) co_return co_await write_claim_phase(claim, "Pending", {});
    const std::string& name = volume.meta().name;
    if (is_bound_to(volume, claim)) co_return co_await bind(volume, claim);
    const auto& reference = volume.as<PersistentVolume>().spec.claimRef;
    if (!reference) {
      const auto fits = check_volume_fits(volume, claim);
      if (fits) co_return co_await bind(volume, claim);
      events_.record(claim, EventType::warning, "VolumeMismatch",
                     "Cannot bind to requested volume " + quoted(name) + ": " + fits.error().message);
      co_return co_await write_claim_phase(claim, "Pending", {});
    }
    events_.record(claim, EventType::warning, "FailedBinding",
                   is_bound_by_controller(claim) ? "volume " + quoted(name) + " already bound to a different claim " +
                                                       quoted(client::key_of(reference->namespace_, reference->name)) + " by controller"
                                                 : "volume " + quoted(name) + " already bound to a different claim.");
    co_return co_await write_claim_phase(claim, "Pending", {});
  }

  /// A claim that was bound once: it gets no other volume.
  Task<Result<void>> sync_bound(ObjectRef claim) {
    const std::string& name = claim.as<PersistentVolumeClaim>().spec.volumeName;
    if (name.empty())
      co_return co_await lose(claim, "ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!");
    const ObjectRef volume = volumes_.get(name);
    if (!volume) co_return co_await lose(claim, "ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!");
    const auto& reference = volume.as<PersistentVolume>().spec.claimRef;
    if (!reference || reference->uid == claim.meta().uid) co_return co_await bind(volume, claim);
    co_return co_await lose(claim, "ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly");
  }

  Task<Result<void>> lose(ObjectRef claim, std::string_view reason, std::string_view message) {
    if (claim.as<PersistentVolumeClaim>().status.phase == "Lost") co_return {};
    events_.record(claim, EventType::warning, reason, message);
    co_return co_await write_claim_phase(claim, "Lost", {});
  }

  void tell_who_is_waited_for(const ObjectRef& claim) {
    std::string names;
    size_t count = 0;
    pods_.each(pods_by_claim_, client::key_of(claim), [&](const ObjectRef& pod) {
      if (!pod.as<Pod>().spec.nodeName.empty()) return;
      names += (names.empty() ? "" : ",") + pod.meta().name;
      ++count;
    });
    if (count == 0)
      events_.record(claim, EventType::normal, "WaitForFirstConsumer", "waiting for first consumer to be created before binding");
    else
      events_.record(claim, EventType::normal, "WaitForPodScheduled",
                     std::string("waiting for pod") + (count == 1 ? " " : "s ") + names + " to be scheduled");
  }

  Task<Result<void>> give_class(ObjectRef claim, ObjectRef standard) {
    client::JsonWriter json = patch_of(claim);
    json.end().object("spec").field("storageClassName", standard.meta().name).end().end();
    co_return co_await write(claims_, claim, json.take());
  }

  Task<Result<void>> ask_for_provisioning(ObjectRef claim, std::string class_name, ObjectRef storage_class) {
    if (!storage_class) {
      events_.record(claim, EventType::warning, "ProvisioningFailed", "storageclass.storage.k8s.io " + quoted(class_name) + " not found");
      co_return co_await write_claim_phase(claim, "Pending", {});
    }
    const std::string provisioner = storage_class.as<StorageClass>().provisioner;
    if (provisioner.starts_with("kubernetes.io/")) {
      events_.record(claim, EventType::warning, "ProvisioningFailed", "no volume plugin matched name: " + provisioner);
      co_return co_await write_claim_phase(claim, "Pending", {});
    }
    if (claim.meta().annotation(storage_provisioner) != provisioner || claim.meta().annotation(beta_storage_provisioner) != provisioner) {
      client::JsonWriter json = patch_of(claim);
      json.object("annotations").field(storage_provisioner, provisioner).field(beta_storage_provisioner, provisioner).end().end().end();
      CO_TRY(co_await write(claims_, claim, json.take()));
    }
    events_.record(claim, EventType::normal, "ExternalProvisioning",
                   "Waiting for a volume to be created either by the external provisioner '" + provisioner +
                       "' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is "
                       "running and correctly registered.");
    co_return {};
  }

  // --- binding -------------------------------------------------------------------------------------------------------

  Task<Result<void>> bind(ObjectRef volume, ObjectRef claim) {
    const auto& reference = volume.as<PersistentVolume>().spec.claimRef;
    if (!is_bound_to(volume, claim) || reference->uid.empty()) {
      client::JsonWriter json = patch_of(volume);
      // Who was named by a user is told apart from whom we have chosen, since the latter may be let go of again.
      if (!reference) json.object("annotations").field(bound_by_controller, "yes").end();
      json.end().object("spec").object("claimRef").field("kind", "PersistentVolumeClaim").field("namespace", claim.meta().ns);
      json.field("name", claim.meta().name).field("uid", claim.meta().uid).field("apiVersion", "v1");
      json.field("resourceVersion", claim.resource_version()).end().end().end();
      CO_TRY(co_await write(volumes_, volume, json.take()));
      volume = volumes_.get(volume.meta().name);
      if (!volume) co_return {};
    }
    CO_TRY(co_await write_volume_phase(volume, "Bound", ""));
    if (claim.as<PersistentVolumeClaim>().spec.volumeName != volume.meta().name || !has_completed(claim)) {
      client::JsonWriter json = patch_of(claim);
      json.object("annotations");
      if (claim.as<PersistentVolumeClaim>().spec.volumeName.empty()) json.field(bound_by_controller, "yes");
      json.field(bind_completed, "yes").end().end().object("spec").field("volumeName", volume.meta().name).end().end();
      CO_TRY(co_await write(claims_, claim, json.take()));
      claim = claims_.get(client::key_of(claim));
      if (!claim) co_return {};
    }
    co_return co_await write_claim_phase(claim, "Bound", volume);
  }

  /// What the volume has is written down in a claim that is bound to it.
  Task<Result<void>> write_claim_phase(ObjectRef claim, std::string_view phase, ObjectRef volume) {
    const auto& status = claim.as<PersistentVolumeClaim>().status;
    client::JsonWriter json = patch_of(claim);
    json.end().object("status").field("phase", phase);
    if (volume) {
      const auto& has = volume.as<PersistentVolume>().spec;
      // A volume that has grown is told of by who grew it; the first size is ours.
      const bool first = status.phase != "Bound" || status.capacity.empty();
      const auto storage = has.capacity.find("storage");
      if (status.phase == phase && !first && status.accessModes == has.accessModes) co_return {};
      json.array("accessModes");
      for (const std::string& mode : has.accessModes) json.value(mode);
      json.end();
      if (first && storage != has.capacity.end()) json.object("capacity").field("storage", storage->second).end();
      // So is the attributes class: what changes later is told by who changes it.
      if (status.phase == "Pending" && !has.volumeAttributesClassName.empty())
        json.field("currentVolumeAttributesClassName", has.volumeAttributesClassName);
    } else {
      if (status.phase == phase && status.accessModes.empty() && status.capacity.empty() && status.currentVolumeAttributesClassName.empty())
        co_return {};
      json.null("accessModes").null("capacity").null("currentVolumeAttributesClassName");
    }
    json.end().end();
    co_return co_await patch_status(claims_, claim, json.take());
  }

  // --- volumes -------------------------------------------------------------------------------------------------------

  Task<Result<void>> sync_volume(std::string name) {
    const ObjectRef volume = volumes_.get(name);
    if (!volume) co_return {};
    const auto& typed = volume.as<PersistentVolume>();
    const auto& reference = typed.spec.claimRef;
    if (!reference || reference->uid.empty()) co_return co_await write_volume_phase(volume, "Available", "");
    const ObjectRef claim = CO_TRY(co_await claim_named_by(volume));
    if (!claim) {
      if (typed.status.phase != "Released" && typed.status.phase != "Failed") CO_TRY(co_await write_volume_phase(volume, "Released", ""));
      co_return co_await reclaim(volumes_.get(name));
    }
    const std::string& bound = claim.as<PersistentVolumeClaim>().spec.volumeName;
    if (bound == name) co_return co_await write_volume_phase(volume, "Bound", "");
    if (bound.empty()) {
      enqueue(claim);
      co_return {};
    }
    // The claim has another volume.
    if (!volume.meta().annotation(provisioned_by).empty() && typed.spec.persistentVolumeReclaimPolicy == "Delete") {
      if (typed.status.phase != "Released" && typed.status.phase != "Failed") CO_TRY(co_await write_volume_phase(volume, "Released", ""));
      co_return co_await reclaim(volumes_.get(name));
    }
    co_return co_await let_go(volume);
  }

  /// The claim by name and UID. Before a volume is given up the API is asked: the cache may be behind.
  Task<Result<ObjectRef>> claim_named_by(ObjectRef volume) {
    const auto& reference = *volume.as<PersistentVolume>().spec.claimRef;
    const ObjectRef known = claims_.get(reference.namespace_, reference.name);
    if (known && known.meta().uid == reference.uid) co_return known;
    auto asked = co_await client_.get(persistent_volume_claims, reference.namespace_, reference.name);
    if (!asked && asked.error().code != Code::not_found)
      co_return std::unexpected(std::move(asked.error()).context("claim of volume " + volume.meta().name));
    co_return asked && asked->meta().uid == reference.uid ? *asked : ObjectRef{};
  }

  Task<Result<void>> let_go(ObjectRef volume) {
    client::JsonWriter json = patch_of(volume);
    if (is_bound_by_controller(volume)) {
      json.object("annotations").null(bound_by_controller).end().end().object("spec").null("claimRef").end().end();
    } else {
      json.end().object("spec").object("claimRef").null("uid").null("resourceVersion").end().end().end();
    }
    CO_TRY(co_await write(volumes_, volume, json.take()));
    volume = volumes_.get(volume.meta().name);
    if (!volume) co_return {};
    co_return co_await write_volume_phase(volume, "Available", "");
  }

  /// What a provisioner has made, the provisioner unmakes. Nobody here can empty or delete any other volume.
  Task<Result<void>> reclaim(ObjectRef volume) {
    if (!volume || volume.as<PersistentVolume>().status.phase == "Failed") co_return {};
    const std::string& policy = volume.as<PersistentVolume>().spec.persistentVolumeReclaimPolicy;
    if (policy == "Recycle") co_return co_await give_up(volume, "VolumeFailedRecycle", "No recycler plugin found for the volume!");
    if (policy != "Delete" || !volume.meta().annotation(provisioned_by).empty()) co_return {};
    co_return co_await give_up(
        volume, "VolumeFailedDelete",
        "error getting deleter volume plugin for volume " + quoted(volume.meta().name) + ": no deletable volume plugin matched");
  }

  Task<Result<void>> give_up(ObjectRef volume, std::string_view reason, std::string message) {
    events_.record(volume, EventType::warning, reason, message);
    co_return co_await write_volume_phase(volume, "Failed", message);
  }

  Task<Result<void>> write_volume_phase(ObjectRef volume, std::string_view phase, std::string message) {
    const auto& status = volume.as<PersistentVolume>().status;
    if (status.phase == phase && status.message == message) co_return {};
    client::JsonWriter json = patch_of(volume);
    json.end().object("status").field("phase", phase);
    if (message.empty()) json.null("message");
    else json.field("message", message);
    if (status.phase != phase) json.field("lastPhaseTransitionTime", format_rfc3339(wall_now()));
    json.end().end();
    co_return co_await patch_status(volumes_, volume, json.take());
  }

  Task<Result<void>> write(client::Informer& own, ObjectRef object, std::string patch) {
    const model::Meta& meta = object.meta();
    auto written = co_await client_.patch(own.resource(), meta.ns, meta.name, client::PatchType::merge, std::move(patch));
    if (!written) co_return std::unexpected(std::move(written.error()).context("bind " + meta.kind + " " + client::key_of(meta)));
    own.observe(*written);
    co_return {};
  }

  client::Informer& claims_;
  client::Informer& volumes_;
  client::Informer& classes_;
  client::Informer& pods_;
  const client::Informer::Index pods_by_claim_, unbound_, by_volume_, by_claim_;
};

}  // namespace

std::unique_ptr<Controller> make_volume_binder(Context& context) { return std::make_unique<VolumeBinder>(context); }

}  // namespace estiba::controllers
