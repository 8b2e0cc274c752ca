#include "controllers/disruption_scale.h"

#include "base/strings.h"
#include "controllers/kinds.h"
#include "model/custom/definition.h"
#include "model/types/apps_v1.h"
#include "model/types/core_v1.h"

namespace estiba::controllers {

using model::ObjectRef;

// The owner itself, unless another object has taken its name.
static ObjectRef find(const client::Informer& informer, const model::Owner& owner, const std::string& ns) {
  const ObjectRef object = informer.get(ns, owner.name);
  return object && object.meta().uid == owner.uid ? object : ObjectRef{};
}

template <class T>
static std::optional<OwnerScale> replicas_of(const ObjectRef& object) {
  if (!object) return std::nullopt;
  return OwnerScale{object.meta().uid, object.as<T>().spec.replicas.value_or(1)};
}

std::optional<OwnerScale> OwnerScales::of_replica_set(const model::Owner& owner, const std::string& ns) const {
  const ObjectRef set = find(informers_.replica_sets, owner, ns);
  if (!set) return std::nullopt;
  const model::Owner* above = set.meta().controller();
  if (!above || above->kind != "Deployment") return replicas_of<model::apps_v1::ReplicaSet>(set);
  return replicas_of<model::apps_v1::Deployment>(find(informers_.deployments, *above, ns));
}

Task<Result<std::optional<OwnerScale>>> OwnerScales::of(model::Owner owner, std::string ns) {
  const std::string_view group = owner.group();
  if (group == "apps" && owner.kind == "ReplicaSet") co_return of_replica_set(owner, ns);
  if (group == "apps" && owner.kind == "Deployment")
    co_return replicas_of<model::apps_v1::Deployment>(find(informers_.deployments, owner, ns));
  if (group == "apps" && owner.kind == "StatefulSet")
    co_return replicas_of<model::apps_v1::StatefulSet>(find(informers_.stateful_sets, owner, ns));
  if (group.empty() && owner.kind == "ReplicationController")
    co_return replicas_of<model::core_v1::ReplicationController>(find(informers_.replication_controllers, owner, ns));
  co_return co_await of_custom(std::move(owner), std::move(ns));
}

Task<Result<std::optional<OwnerScale>>> OwnerScales::of_custom(model::Owner owner, std::string ns) {
  const std::string_view group = owner.group();
  for (const ObjectRef& object : informers_.definitions.list()) {
    const std::optional<ResourceKind> kind = custom_kind(object);
    if (!kind || kind->kind != owner.kind || kind->resource.group != group) continue;
    const auto definition = CO_TRY(model::CustomDefinition::make(object.object->json()));
    for (const model::CustomVersion& version : definition->versions()) {
      if (version.name != kind->resource.version || !version.scale) continue;
      auto scaled = co_await client_.get(kind->resource, ns, owner.name);
      if (!scaled && scaled.error().code == Code::not_found) co_return std::nullopt;
      if (!scaled) co_return std::unexpected(std::move(scaled.error()).context("get " + owner.kind + " " + client::key_of(ns, owner.name)));
      if (scaled->meta().uid != owner.uid) co_return std::nullopt;
      const json::Document parsed = CO_TRY(json::Document::parse(scaled->object->json()));
      const json::Node* replicas = json::follow(parsed.root(), version.scale->spec_replicas);
      co_return OwnerScale{owner.uid, replicas ? replicas->as_int().value_or(0) : 0};
    }
    co_return fail(Code::unsupported,
                   std::string(kind->resource.name) + "." + std::string(group) + " does not implement the scale subresource");
  }
  for (const ResourceKind& kind : stored_kinds())
    if (kind.kind == owner.kind && kind.resource.group == group)
      co_return fail(Code::unsupported, std::string(kind.resource.name) + (group.empty() ? "" : "." + std::string(group)) +
                                            " does not implement the scale subresource");
  co_return fail(Code::unsupported, "no matches for kind " + quoted(owner.kind) + " in version " + quoted(owner.api_version));
}

}  // namespace estiba::controllers
