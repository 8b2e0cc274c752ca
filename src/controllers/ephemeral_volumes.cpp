// The claims of pods' generic ephemeral volumes: made from the pod's template, owned by the pod and gone with it.
#include "client/json_writer.h"
#include "controllers/claims.h"
#include "controllers/framework.h"
#include "controllers/owned.h"
#include "controllers/table.h"

namespace estiba::controllers {

using model::ObjectRef;
using model::core_v1::Pod;

namespace {

bool has_ephemeral(const ObjectRef& pod) {
  for (const auto& volume : pod.as<Pod>().spec.volumes)
    if (volume.ephemeral) return true;
  return false;
}

class EphemeralVolumes final : public Controller {
 public:
  explicit EphemeralVolumes(Context& context)
      : Controller(context, "ephemeral_volume", {.workers = 4}),
        pods_(informer(client::pods)),
        claims_(informer(persistent_volume_claims)),
        pods_by_claim_(claim_index(pods_)) {
    pods_.on_change([this](const ObjectRef&, const ObjectRef& after) {
      if (after && after.meta().deletion_timestamp.empty() && has_ephemeral(after)) enqueue(after);
    });
    claims_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      if (after) return;
      pods_.each(pods_by_claim_, client::key_of(before), [&](const ObjectRef& pod) { enqueue(pod); });
    });
  }

 private:
  Task<Result<void>> reconcile(std::string key) override {
    const ObjectRef pod = pods_.get(key);
    if (!pod || !pod.meta().deletion_timestamp.empty()) co_return {};
    for (const auto& volume : pod.as<Pod>().spec.volumes)
      if (volume.ephemeral) CO_TRY_AS("pod " + key + ", ephemeral volume " + volume.name, co_await make(pod, volume));
    co_return {};
  }

  Task<Result<void>> make(ObjectRef pod, const model::core_v1::Volume& volume) {
    const std::string name = claim_of(pod.meta(), volume);
    if (const ObjectRef there = claims_.get(pod.meta().ns, name)) {
      if (is_made_for(there.meta(), pod.meta())) co_return {};
      co_return fail(Code::conflict, "PVC " + client::key_of(pod.meta().ns, name) + " was not created for pod " + client::key_of(pod) +
                                         " (pod is not owner)");
    }
    if (!volume.ephemeral->volumeClaimTemplate) co_return {};
    const auto& wanted = *volume.ephemeral->volumeClaimTemplate;
    client::JsonWriter json;
    json.object().field("apiVersion", "v1").field("kind", "PersistentVolumeClaim");
    json.object("metadata").field("name", name).field("namespace", pod.meta().ns);
    json.object("labels");
    for (const auto& [label, value] : wanted.metadata.labels) json.field(label, value);
    json.end().object("annotations");
    for (const auto& [annotation, value] : wanted.metadata.annotations) json.field(annotation, value);
    json.end().array("ownerReferences");
    write_controller_reference(json, pod.meta());
    json.end().end().raw("spec", model::encode(wanted.spec)).end();
    auto made = co_await client_.create(persistent_volume_claims, pod.meta().ns, json.take());
    if (!made) co_return std::unexpected(std::move(made.error()).context("create PVC " + name));
    claims_.observe(*made);
    co_return {};
  }

  client::Informer& pods_;
  client::Informer& claims_;
  const client::Informer::Index pods_by_claim_;
};

}  // namespace

std::unique_ptr<Controller> make_ephemeral_volume_controller(Context& context) { return std::make_unique<EphemeralVolumes>(context); }

}  // namespace estiba::controllers
