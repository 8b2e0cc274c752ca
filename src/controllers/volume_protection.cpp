// Claims that a pod uses, volumes that a claim uses and attributes classes that claims or volumes name are not deleted before they are let
// go of: while their finalizers are there, a deletion only marks them. (Admission adds the finalizers; they are added here to what was
// there before.)
#include "client/finalizers.h"
#include "controllers/claims.h"
#include "controllers/framework.h"
#include "controllers/table.h"

namespace estiba::controllers {

using model::ObjectRef;
using model::core_v1::PersistentVolume;
using model::core_v1::Pod;

namespace {

class Protection : public Controller {
 protected:
  Protection(Context& context, std::string name, client::Resource resource, std::string_view finalizer)
      : Controller(context, std::move(name), {.workers = 4}), protected_(watch(resource)), finalizer_(finalizer) {}

  virtual bool is_used(const ObjectRef& object) const = 0;

  client::Informer& protected_;

 private:
  Task<Result<void>> reconcile(std::string key) override {
    const ObjectRef object = protected_.get(key);
    if (!object) co_return {};
    const bool there = client::has_finalizer(object.meta(), finalizer_);
    const bool ending = !object.meta().deletion_timestamp.empty();
    if (there != ending || (ending && is_used(object))) co_return {};
    auto written = co_await client_.patch(protected_.resource(), object.meta().ns, object.meta().name, client::PatchType::merge,
                                          client::finalizer_patch(object, finalizer_, !ending));
    if (written) protected_.observe(*written);
    else if (written.error().code != Code::not_found)
      co_return std::unexpected(std::move(written.error()).context("finalizer of " + object.meta().kind + " " + key));
    co_return {};
  }

  const std::string_view finalizer_;
};

// A pod whose containers are gone and that only waits for its own removal.
bool is_shut_down(const ObjectRef& pod) { return !pod.meta().deletion_timestamp.empty() && pod.meta().deletion_grace_seconds == 0; }

bool is_owned_by(const ObjectRef& claim, const ObjectRef& pod) {
  return std::ranges::contains(claim.meta().owners, pod.meta().uid, &model::Owner::uid);
}

class ClaimProtection final : public Protection {
 public:
  explicit ClaimProtection(Context& context)
      : Protection(context, "pvc-protection-controller", persistent_volume_claims, "kubernetes.io/pvc-protection"),
        pods_(informer(client::pods)),
        pods_by_claim_(claim_index(pods_)) {
    pods_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      if (after && after.meta().deletion_timestamp.empty()) return;
      const ObjectRef& pod = after ? after : before;
      for (const auto& volume : pod.as<Pod>().spec.volumes)
        if (const std::string claim = claim_of(pod.meta(), volume); !claim.empty()) enqueue(client::key_of(pod.meta().ns, claim));
    });
  }

 private:
  /// A pod without a node has mounted nothing, and mounts no claim that is being deleted. One that is shut down and owns the claim may
  /// itself wait for that to go, when it is deleted in the foreground: a StatefulSet's that is scaled down, with whenScaled: Delete.
  bool is_used(const ObjectRef& claim) const override {
    bool used = false;
    pods_.each(pods_by_claim_, client::key_of(claim), [&](const ObjectRef& pod) {
      if (pod.as<Pod>().spec.nodeName.empty() || (is_shut_down(pod) && is_owned_by(claim, pod))) return;
      for (const auto& volume : pod.as<Pod>().spec.volumes)
        if (claim_of(pod.meta(), volume) == claim.meta().name)
          used |= volume.persistentVolumeClaim || is_made_for(claim.meta(), pod.meta());
    });
    return used;
  }

  client::Informer& pods_;
  const client::Informer::Index pods_by_claim_;
};

class VolumeProtection final : public Protection {
 public:
  explicit VolumeProtection(Context& context)
      : Protection(context, "pv-protection-controller", persistent_volumes, "kubernetes.io/pv-protection") {}

 private:
  bool is_used(const ObjectRef& volume) const override { return volume.as<PersistentVolume>().status.phase == "Bound"; }
};

class AttributesClassProtection final : public Protection {
 public:
  explicit AttributesClassProtection(Context& context)
      : Protection(context, "volumeattributesclass-protection-controller", volume_attributes_classes, "kubernetes.io/vac-protection"),
        claims_(informer(persistent_volume_claims)),
        volumes_(informer(persistent_volumes)),
        claims_by_class_(claims_.add_index([](const model::Object& claim, std::vector<std::string>& names) {
          for (std::string_view name : client::attributes_classes_of_claim(claim)) names.emplace_back(name);
        })),
        volumes_by_class_(volumes_.add_index([](const model::Object& volume, std::vector<std::string>& names) {
          if (const auto& name = class_of(volume); !name.empty()) names.push_back(name);
        })) {
    claims_.on_change([this](const ObjectRef& before, const ObjectRef&) {
      if (!before) return;
      for (std::string_view name : client::attributes_classes_of_claim(*before.object)) enqueue(name);
    });
    volumes_.on_change([this](const ObjectRef& before, const ObjectRef&) {
      if (!before) return;
      if (!class_of(*before.object).empty()) enqueue(class_of(*before.object));
    });
  }

 private:
  static const std::string& class_of(const model::Object& volume) { return volume.as<PersistentVolume>().spec.volumeAttributesClassName; }

  bool is_used(const ObjectRef& of) const override {
    return claims_.count(claims_by_class_, of.meta().name) > 0 || volumes_.count(volumes_by_class_, of.meta().name) > 0;
  }

  client::Informer& claims_;
  client::Informer& volumes_;
  const client::Informer::Index claims_by_class_, volumes_by_class_;
};

}  // namespace

std::unique_ptr<Controller> make_attributes_class_protection(Context& context) {
  return std::make_unique<AttributesClassProtection>(context);
}
std::unique_ptr<Controller> make_claim_protection(Context& context) { return std::make_unique<ClaimProtection>(context); }
std::unique_ptr<Controller> make_volume_protection(Context& context) { return std::make_unique<VolumeProtection>(context); }

}  // namespace estiba::controllers
