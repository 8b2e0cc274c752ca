#include "scheduler/bind_volumes.h"

#include "base/strings.h"
#include "client/json_writer.h"
#include "client/selectors.h"

namespace estiba::scheduler {

using namespace std::chrono_literals;
using model::ObjectRef;

static constexpr client::Resource volumes{"", "v1", "persistentvolumes"}, claims{"", "v1", "persistentvolumeclaims"};

void VolumeWriter::reserve(const VolumePlan& plan, const std::string& node) {
  for (const auto& binding : plan.bindings) cluster_.reserve_volume(binding.volume, binding.claim);
  for (const ObjectRef& claim : plan.provisions) cluster_.reserve_provision(claim, node);
}

void VolumeWriter::release(const VolumePlan& plan) {
  for (const auto& binding : plan.bindings) cluster_.release_volume(binding.volume.meta().name);
  for (const ObjectRef& claim : plan.provisions) cluster_.release_provision(claim.meta().uid);
}

void VolumeWriter::changed() {
  for (const auto& [id, event] : waiting_) event->set();
}

static std::string claim_reference(const VolumePlan::Binding& binding) {
  const model::Meta& claim = binding.claim.meta();
  client::JsonWriter json;
  json.object().object("metadata").field("resourceVersion", binding.volume.resource_version());
  // A volume that somebody made for the claim goes back to that one; what was chosen here may be given to another later.
  if (!binding.volume.as<model::core_v1::PersistentVolume>().spec.claimRef)
    json.object("annotations").field(client::bound_by_controller, "yes").end();
  json.end().object("spec").object("claimRef").field("apiVersion", "v1").field("kind", "PersistentVolumeClaim").field("name", claim.name);
  json.field("namespace", claim.ns).field("uid", claim.uid).field("resourceVersion", binding.claim.resource_version());
  json.end().end().end();
  return json.take();
}

Task<Result<void>> VolumeWriter::write(VolumePlan plan, std::string node, client::Informer* pods, ObjectRef pod, Duration longest) {
  auto done = co_await bind(this, plan, std::move(node), pods, std::move(pod), longest);
  release(plan);
  co_return done;
}

Task<Result<void>> VolumeWriter::bind(VolumeWriter* self, VolumePlan plan, std::string node, client::Informer* pods, ObjectRef pod,
                                      Duration longest) {
  for (const auto& binding : plan.bindings) {
    const ObjectRef written =
        CO_TRY(co_await self->client_.patch(volumes, "", binding.volume.meta().name, client::PatchType::merge, claim_reference(binding)));
    self->cluster_.listers.volumes->observe(written);
  }
  for (const ObjectRef& claim : plan.provisions) {
    client::JsonWriter json;
    json.object()
        .object("metadata")
        .field("resourceVersion", claim.resource_version())
        .object("annotations")
        .field(client::selected_node, node);
    json.end().end().end();
    const ObjectRef written =
        CO_TRY(co_await self->client_.patch(claims, claim.meta().ns, claim.meta().name, client::PatchType::merge, json.take()));
    self->cluster_.listers.claims->observe(written);
  }
  Event changed;
  const int id = self->next_++;
  self->waiting_[id] = &changed;
  struct Leave {
    VolumeWriter* self;
    int id;
    ~Leave() { self->waiting_.erase(id); }
  } leave{self, id};
  const Instant end = self->executor_.now() + longest;
  for (;;) {
    changed.reset();
    if (CO_TRY(self->bound(plan, node))) co_return {};
    const ObjectRef now = pods->get(client::key_of(pod));
    if (!now || now.meta().uid != pod.meta().uid) co_return fail(Code::not_found, "the pod is gone");
    if (!co_await changed.wait_until(end))
      co_return fail(Code::timeout, "binding volumes: not bound after " + std::to_string(longest / 1s) + " seconds");
  }
}

Result<bool> VolumeWriter::bound(const VolumePlan& plan, const std::string& node) const {
  bool all = true;
  const auto now = [&](const ObjectRef& claim) -> Result<ObjectRef> {
    ObjectRef present = cluster_.listers.claims->get(client::key_of(claim));
    if (!present || present.meta().uid != claim.meta().uid)
      return fail(Code::not_found, "persistentvolumeclaim " + quoted(claim.meta().name) + " is gone");
    return present;
  };
  for (const auto& binding : plan.bindings) {
    const ObjectRef volume = cluster_.listers.volumes->get(binding.volume.meta().name);
    if (!volume || !volume.as<model::core_v1::PersistentVolume>().spec.claimRef)
      return fail(Code::conflict, "ClaimRef got reset for pv " + quoted(binding.volume.meta().name));
    all &= is_bound(TRY(now(binding.claim)));
  }
  for (const ObjectRef& claim : plan.provisions) {
    const ObjectRef present = TRY(now(claim));
    if (present.meta().annotation(client::selected_node) != node)
      return fail(Code::conflict, "provisioning failed for PVC " + quoted(claim.meta().name));
    all &= is_bound(present);
  }
  return all;
}

}  // namespace estiba::scheduler
