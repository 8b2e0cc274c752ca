// Volumes of this cluster's own storage class: directories on the node that the claim's first pod runs on (docs/storage.md).
//
// The volume is made when the scheduler has chosen a node (annotation volume.kubernetes.io/selected-node), or when a pod that no
// scheduler asks about is on one. The directory itself is the node's business (node/local_volumes.h): it makes it when a pod mounts
// it, and empties and lets go of the volume (by a finalizer) when its claim is gone and the policy is Delete.
#include "base/strings.h"
#include "client/json_writer.h"
#include "controllers/claims.h"
#include "controllers/framework.h"
#include "controllers/table.h"
#include "model/local_volumes.h"
#include "model/types/storage_v1.h"

namespace estiba::controllers {

using client::EventType;
using model::ObjectRef;
using model::core_v1::PersistentVolume;
using model::core_v1::PersistentVolumeClaim;
using model::core_v1::Pod;
using model::storage_v1::StorageClass;

namespace {

constexpr std::string_view class_name = "local-path";
constexpr std::string_view hostname_label = "kubernetes.io/hostname";
constexpr std::string_view volume_key = "volume:";  // before the names of volumes; the keys of claims have none
constexpr std::string_view class_key = "class:";

class LocalProvisioner final : public Controller {
 public:
  explicit LocalProvisioner(Context& context)
      : Controller(context, std::string(model::local_driver), {.workers = 4}),
        claims_(watch(persistent_volume_claims)),
        volumes_(informer(persistent_volumes)),
        classes_(informer(storage_classes)),
        nodes_(informer(client::nodes)),
        pods_(informer(client::pods)),
        pods_by_claim_(claim_index(pods_)) {
    volumes_.on_change([this](const ObjectRef&, const ObjectRef& after) {
      if (after && after.meta().annotation(provisioned_by) == model::local_driver) enqueue(std::string(volume_key) + after.meta().name);
    });
    pods_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      if (!after || after.as<Pod>().spec.nodeName.empty() || (before && !before.as<Pod>().spec.nodeName.empty())) return;
      for (const auto& volume : after.as<Pod>().spec.volumes)
        if (const std::string claim = claim_of(after.meta(), volume); !claim.empty()) enqueue(client::key_of(after.meta().ns, claim));
    });
    enqueue(class_key);
  }

 private:
  Task<Result<void>> reconcile(std::string key) override {
    if (key == class_key) co_return co_await make_class();
    if (key.starts_with(volume_key)) co_return co_await remove_released(volumes_.get(key.substr(volume_key.size())));
    const ObjectRef claim = claims_.get(key);
    if (!claim || !claim.meta().deletion_timestamp.empty()) co_return {};
    if (!claim.as<PersistentVolumeClaim>().spec.volumeName.empty()) co_return {};
    const ObjectRef storage_class = classes_.get(class_of_claim(claim));
    if (!storage_class || storage_class.as<StorageClass>().provisioner != model::local_driver) co_return {};
    if (claim.meta().annotation(selected_node).empty()) co_return co_await select_node(claim, storage_class);
    if (claim.meta().annotation(storage_provisioner) != model::local_driver) co_return {};  // the binder may find another volume first
    co_return co_await provision(claim, storage_class);
  }

  /// Once at the start: who deletes the class, or makes another one the default, is not contradicted while the cluster runs.
  Task<Result<void>> make_class() {
    if (classes_.get(class_name)) co_return {};
    client::JsonWriter json;
    json.object().field("apiVersion", "storage.k8s.io/v1").field("kind", "StorageClass").object("metadata").field("name", class_name);
    if (!default_class(classes_)) json.object("annotations").field("storageclass.kubernetes.io/is-default-class", "true").end();
    json.end().field("provisioner", model::local_driver).field("reclaimPolicy", "Delete");
    json.field("volumeBindingMode", "WaitForFirstConsumer").end();
    auto made = co_await client_.create(storage_classes, "", json.take());
    if (!made && made.error().code != Code::already_exists)
      co_return std::unexpected(std::move(made.error()).context("create storage class " + std::string(class_name)));
    co_return {};
  }

  /// The node of a pod that is bound already, as with spec.nodeName or a scheduler that does not know of volumes.
  Task<Result<void>> select_node(ObjectRef claim, ObjectRef storage_class) {
    if (storage_class.as<StorageClass>().volumeBindingMode != "WaitForFirstConsumer") {
      if (claim.meta().annotation(storage_provisioner) == model::local_driver)
        events_.record(claim, EventType::warning, "ProvisioningFailed",
                       "storage class " + quoted(storage_class.meta().name) +
                           " binds immediately, but a local volume needs a node: set its volumeBindingMode to WaitForFirstConsumer");
      co_return {};
    }
    std::string node;
    pods_.each(pods_by_claim_, client::key_of(claim), [&](const ObjectRef& pod) {
      const std::string& name = pod.as<Pod>().spec.nodeName;
      // A pod may outlive its node for a while: what is chosen for it now would be taken back at once, again and again.
      if (!name.empty() && (node.empty() || name < node) && nodes_.get(name)) node = name;
    });
    if (node.empty()) co_return {};
    client::JsonWriter json = metadata_patch(claim);
    json.object("annotations").field(selected_node, node).end().end().end();
    co_return co_await write(claims_, claim, json.take());
  }

  Task<Result<void>> provision(ObjectRef claim, ObjectRef storage_class) {
    const std::string node_name(claim.meta().annotation(selected_node));
    const auto& spec = claim.as<PersistentVolumeClaim>().spec;
    const std::string name = "pvc-" + claim.meta().uid;
    if (volumes_.get(name)) co_return {};
    const ObjectRef node = nodes_.get(node_name);
    if (!node) {
      events_.record(claim, EventType::warning, "ProvisioningFailed", "node " + quoted(node_name) + " is not there; another one is chosen");
      client::JsonWriter json = metadata_patch(claim);
      json.object("annotations").null(selected_node).end().end().end();
      co_return co_await write(claims_, claim, json.take());
    }
    const std::string wrong = spec.volumeMode == "Block"              ? "a local volume is a directory: volumeMode Block is not supported"
                              : spec.dataSource || spec.dataSourceRef ? "a local volume begins empty: dataSource is not supported"
                                                                      : "";
    if (!wrong.empty()) {
      events_.record(claim, EventType::warning, "ProvisioningFailed", wrong);
      co_return {};
    }
    auto made = co_await client_.create(persistent_volumes, "", volume_body(name, claim, storage_class, node));
    if (made) volumes_.observe(*made);
    else if (made.error().code != Code::already_exists) {
      events_.record(claim, EventType::warning, "ProvisioningFailed", made.error().message);
      co_return std::unexpected(std::move(made.error()).context("create volume " + name));
    }
    events_.record(claim, EventType::normal, "ProvisioningSucceeded", "Successfully provisioned volume " + name);
    co_return {};
  }

  std::string volume_body(const std::string& name, const ObjectRef& claim, const ObjectRef& storage_class, const ObjectRef& node) const {
    const auto& spec = claim.as<PersistentVolumeClaim>().spec;
    const auto& row = storage_class.as<StorageClass>();
    std::string_view hostname = node.meta().label(hostname_label);
    if (hostname.empty()) hostname = node.meta().name;
    client::JsonWriter json;
    json.object().field("apiVersion", "v1").field("kind", "PersistentVolume").object("metadata").field("name", name);
    json.object("annotations").field(provisioned_by, model::local_driver).end();
    json.array("finalizers").value(model::local_finalizer).end().end();
    json.object("spec").object("capacity");
    const auto asked = spec.resources ? spec.resources->requests.find("storage") : decltype(spec.resources->requests.end()){};
    json.field("storage",
               spec.resources && asked != spec.resources->requests.end() ? std::string_view(asked->second) : std::string_view("0"));
    json.end().array("accessModes");
    for (const std::string& mode : spec.accessModes) json.value(mode);
    json.end().object("claimRef").field("apiVersion", "v1").field("kind", "PersistentVolumeClaim");
    json.field("namespace", claim.meta().ns).field("name", claim.meta().name).field("uid", claim.meta().uid).end();
    json.field("persistentVolumeReclaimPolicy",
               row.reclaimPolicy.empty() ? std::string_view("Delete") : std::string_view(row.reclaimPolicy));
    json.field("storageClassName", storage_class.meta().name).field("volumeMode", "Filesystem");
    json.object("csi").field("driver", model::local_driver).field("volumeHandle", name);
    json.object("volumeAttributes").field(model::local_node_attribute, node.meta().name).end().end();
    json.object("nodeAffinity").object("required").array("nodeSelectorTerms").object().array("matchExpressions").object();
    json.field("key", hostname_label).field("operator", "In").array("values").value(hostname).end();
    json.end().end().end().end().end().end();
    json.end().end();
    return json.take();
  }

  Task<Result<void>> remove_released(ObjectRef volume) {
    if (!volume || !volume.meta().deletion_timestamp.empty()) co_return {};
    const auto& typed = volume.as<PersistentVolume>();
    if (typed.status.phase != "Released" || typed.spec.persistentVolumeReclaimPolicy != "Delete") co_return {};
    auto removed = co_await client_.remove(persistent_volumes, "", volume.meta().name, {.uid = volume.meta().uid});
    if (!removed && removed.error().code != Code::not_found && removed.error().code != Code::conflict)
      co_return std::unexpected(std::move(removed.error()).context("delete volume " + volume.meta().name));
    co_return {};
  }

  static client::JsonWriter metadata_patch(const ObjectRef& object) {
    client::JsonWriter json;
    json.object().object("metadata").field("resourceVersion", object.resource_version());
    return json;
  }

  Task<Result<void>> write(client::Informer& own, ObjectRef object, std::string patch) {
    auto written = co_await client_.patch(own.resource(), object.meta().ns, object.meta().name, client::PatchType::merge, std::move(patch));
    if (!written) co_return std::unexpected(std::move(written.error()).context("node of claim " + client::key_of(object)));
    own.observe(*written);
    co_return {};
  }

  client::Informer& claims_;
  client::Informer& volumes_;
  client::Informer& classes_;
  client::Informer& nodes_;
  client::Informer& pods_;
  const client::Informer::Index pods_by_claim_;
};

}  // namespace

std::unique_ptr<Controller> make_local_provisioner(Context& context) { return std::make_unique<LocalProvisioner>(context); }

}  // namespace estiba::controllers
