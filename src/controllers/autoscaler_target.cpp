#include "controllers/autoscaler_target.h"

#include <limits>
#include <map>

#include "base/strings.h"
#include "model/custom/definition.h"
#include "model/selector.h"
#include "model/types/meta_v1.h"

namespace estiba::controllers {

using model::ObjectRef;
using model::autoscaling_v2::CrossVersionObjectReference;

namespace {

struct Kind {
  client::Resource resource;
  std::string spec = "spec.replicas", status = "status.replicas", selector;  // of custom kinds; their selector is a text
  bool custom = false, scales = false;
};

std::string_view group_of(const CrossVersionObjectReference& reference) {
  const size_t slash = reference.apiVersion.find('/');
  return slash == reference.apiVersion.npos ? std::string_view{} : std::string_view(reference.apiVersion).substr(0, slash);
}

// Kinds by group alone, as Kubernetes finds them: the version of the reference may be an old one.
Result<Kind> find_kind(const client::Informer& definitions, const CrossVersionObjectReference& reference) {
  const std::string_view group = group_of(reference);
  for (const ResourceKind& each : stored_kinds()) {
    if (each.kind != reference.kind || each.resource.group != group) continue;
    const bool scales = (group == "apps" && (each.kind == "Deployment" || each.kind == "ReplicaSet" || each.kind == "StatefulSet")) ||
                        (group.empty() && each.kind == "ReplicationController");
    return Kind{.resource = each.resource, .scales = scales};
  }
  for (const ObjectRef& object : definitions.list()) {
    const std::optional<ResourceKind> kind = custom_kind(object);
    if (!kind || kind->kind != reference.kind || kind->resource.group != group) continue;
    const auto definition = TRY(model::CustomDefinition::make(object.object->json()));
    Kind found{.resource = kind->resource, .custom = true};
    for (const model::CustomVersion& version : definition->versions()) {
      if (version.name != kind->resource.version || !version.scale) continue;
      found.spec = version.scale->spec_replicas;
      found.status = version.scale->status_replicas;
      found.selector = version.scale->selector;
      found.scales = true;
    }
    return found;
  }
  return fail(Code::not_found, "no matches for kind " + quoted(reference.kind) + " in group " + quoted(group));
}

int32_t number_at(const json::Node& object, std::string_view path) {
  const json::Node* node = json::follow(object, path);
  return node ? int32_t(std::clamp<int64_t>(node->as_int().value_or(0), 0, std::numeric_limits<int32_t>::max())) : 0;
}

}  // namespace

Result<std::string> resource_name(const client::Informer& definitions, const CrossVersionObjectReference& reference) {
  const Kind kind = TRY(find_kind(definitions, reference));
  return std::string(kind.resource.name) + (kind.resource.group.empty() ? "" : "." + std::string(kind.resource.group));
}

Task<Result<ScaleTarget>> find_target(client::Client& client, const client::Informer& definitions, CrossVersionObjectReference reference,
                                      std::string ns) {
  const Kind kind = CO_TRY(find_kind(definitions, reference));
  if (!kind.scales)
    co_return fail(Code::not_found, "the server could not find the requested resource: " + std::string(kind.resource.name) + "/scale");
  const ObjectRef object = CO_TRY(co_await client.get(kind.resource, ns, reference.name));
  const json::Document parsed = CO_TRY(json::Document::parse(object.object->json()));
  ScaleTarget target{.resource = kind.resource, .name = reference.name};
  target.replicas = number_at(parsed.root(), kind.spec);
  target.status_replicas = number_at(parsed.root(), kind.status);
  if (kind.custom) {
    const json::Node* text = kind.selector.empty() ? nullptr : json::follow(parsed.root(), kind.selector);
    target.selector = text ? std::string(text->as_string()) : "";
    co_return target;
  }
  const json::Node* selector = parsed.root().at("spec", "selector");
  if (!selector) co_return target;
  if (reference.kind == "ReplicationController") {
    std::map<std::string, std::string> labels;
    for (const json::Node& pair : *selector) labels.emplace(pair.key(), pair.as_string());
    target.selector = model::LabelSelector::equal_to(labels).print();
  } else {
    target.selector = CO_TRY(model::LabelSelector::from(CO_TRY(model::decode<model::meta_v1::LabelSelector>(*selector)))).print();
  }
  co_return target;
}

}  // namespace estiba::controllers
