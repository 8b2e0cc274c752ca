// Pods: binding to a node, ephemeral containers, resize. Eviction has a file of its own.
#include "apiserver/admission/admission.h"
#include "apiserver/api_errors.h"
#include "apiserver/body.h"
#include "apiserver/edit.h"
#include "apiserver/kinds/pod_spec.h"
#include "apiserver/ownership.h"
#include "apiserver/server.h"
#include "apiserver/special/special.h"
#include "base/strings.h"
#include "base/time.h"
#include "model/patch.h"

namespace estiba::apiserver {
namespace {

constexpr std::string_view success = R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","code":201})";

// Binding

void set_scheduled(json::Document& doc, json::Node& pod, WallTime now) {
  json::Node& condition = condition_of(doc, doc.ensure_object(pod, "status"), "PodScheduled");
  doc.set(condition, "status", "True");
  doc.set(condition, "lastTransitionTime", format_rfc3339(now));
  doc.remove(condition, "reason");
  doc.remove(condition, "message");
}

Result<json::Document> bound(const Action& action, const json::Node& old, const json::Node& binding, WallTime now) {
  std::string node(binding.string_at("target", "name"));
  std::string_view uid = binding.string_at("metadata", "uid");
  if (!uid.empty() && uid != old.string_at("metadata", "uid")) {
    return conflict(*action.resource, action.name,
                    "Precondition failed: UID in precondition: " + std::string(uid) +
                        ", UID in object meta: " + std::string(old.string_at("metadata", "uid")));
  }
  if (!old.string_at("metadata", "deletionTimestamp").empty()) {
    return conflict(*action.resource, action.name, "pod " + action.name + " is being deleted, cannot be assigned to a host");
  }
  std::string_view there = old.string_at("spec", "nodeName");
  if (!there.empty()) {
    return conflict(*action.resource, action.name, "pod " + action.name + " is already assigned to node " + quoted(there));
  }
  json::Document doc;
  doc.set_root(doc.copy(old));
  doc.set(doc.ensure_object(doc.root(), "spec"), "nodeName", node);
  if (const json::Node* annotations = binding.at("metadata", "annotations"); present(annotations)) {
    json::Node& own = doc.ensure_object(doc.ensure_object(doc.root(), "metadata"), "annotations");
    for (const json::Node& annotation : *annotations) set_copy(doc, own, annotation.key(), &annotation);
  }
  set_scheduled(doc, doc.root(), now);
  return doc;
}

Task<Result<Outcome>> bind_pod(Api& api, Action action) {
  Decoded decoded = CO_TRY(decode_as(action, *model::schema::find_type("", "v1", "Binding")));
  decoded.doc.set(decoded.doc.root(), "kind", "Binding");
  decoded.doc.set(decoded.doc.root(), "apiVersion", "v1");
  std::vector<std::string> warnings;
  CO_TRY(co_await admission::admit_act(api.cluster(), action, admission::Operation::create, decoded.doc, warnings));
  const json::Node& binding = decoded.doc.root();
  if (action.name.empty()) action.name = binding.string_at("metadata", "name");
  if (binding.string_at("target", "name").empty()) {
    FieldErrors errors;
    errors.required("target.name");
    co_return invalid(*action.resource, "Binding", action.name, errors.take());
  }
  action.resource = model::schema::find_resource("", "v1", "pods");
  auto shared = std::make_shared<std::pair<Action, json::Document>>(action, std::move(decoded.doc));
  WallTime now = api.cluster().now();
  auto outcome = co_await api.registry().modify(
      std::move(action), Part::any, [shared, now](const json::Node& old) { return bound(shared->first, old, shared->second.root(), now); });
  if (!outcome) co_return outcome;
  co_return Outcome{201, {}, std::string(success), std::move(warnings)};
}

// Parts of the spec that have a door of their own: ephemeralContainers only by theirs, resources by resize.

Result<json::Document> patched(const Action& action, const json::Node& old, WallTime now) {
  if (action.verb == Verb::update) {
    Decoded given = TRY(decode_as(action, *action.resource->type));
    return std::move(given.doc);
  }
  if (action.body_type == BodyType::apply_patch) {
    std::vector<std::string> warnings;
    json::Document configuration = TRY(decode_configuration(action, *action.resource, warnings));
    return applied(action, old, configuration.root(), now);
  }
  json::Document patch = TRY(json::Document::parse(action.body));
  json::Document doc;
  doc.set_root(doc.copy(old));
  switch (action.body_type) {
    case BodyType::json_patch: TRY(model::apply_json_patch(doc, patch.root())); break;
    case BodyType::merge_patch: TRY(model::apply_merge_patch(doc, patch.root())); break;
    case BodyType::strategic_patch: TRY(model::apply_strategic_merge_patch(doc, patch.root(), *action.resource->type)); break;
    default:
      return unsupported_media_type("application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json");
  }
  return doc;
}

// The old pod with only this part of the new one's spec.
Result<json::Document> with_part(const Action& action, const json::Node& old, WallTime now) {
  json::Document fresh = TRY(patched(action, old, now));
  std::vector<std::string> warnings;
  TRY(check_document(action, fresh, warnings));
  json::Document doc;
  doc.set_root(doc.copy(old));
  json::Node& spec = doc.ensure_object(doc.root(), "spec");
  if (action.subresource == "ephemeralcontainers") {
    set_copy(doc, spec, "ephemeralContainers", fresh.root().at("spec", "ephemeralContainers"));
  } else {
    for (std::string_view list : {"containers", "initContainers"}) {
      const json::Node* wanted = fresh.root().at("spec", list);
      json::Node* containers = spec.find(list);
      if ((wanted ? wanted->size() : 0) != (containers ? containers->size() : 0))
        return bad_request("resize may not add or remove containers");
      uint32_t i = 0;
      if (containers)
        for (json::Node& container : *containers) {
          const json::Node& given = (*wanted)[i++];
          for (std::string_view field : {"resources", "resizePolicy"}) set_copy(doc, container, field, given.find(field));
        }
    }
    set_copy(doc, spec, "resources", fresh.root().at("spec", "resources"));
  }
  for (std::string_view field : {"resourceVersion", "managedFields"})
    set_copy(doc, doc.ensure_object(doc.root(), "metadata"), field, fresh.root().at("metadata", field));
  return doc;
}

Task<Result<Outcome>> change_part(Api& api, Action action) {
  if (action.verb == Verb::get) {
    auto object = api.registry().get(action);
    if (!object) co_return std::unexpected(std::move(object.error()));
    co_return Outcome{200, std::move(*object), {}, {}};
  }
  auto shared = std::make_shared<const Action>(action);
  const WallTime now = api.cluster().now();
  co_return co_await api.registry().modify(std::move(action), Part::any,
                                           [shared, now](const json::Node& old) { return with_part(*shared, old, now); });
}

constexpr Special rows[] = {
    {"", "pods", "binding", bind_pod},   {"", "bindings", "", bind_pod},
    {"", "pods", "eviction", evict},     {"", "pods", "ephemeralcontainers", change_part},
    {"", "pods", "resize", change_part},
};

}  // namespace

json::Node& condition_of(json::Document& doc, json::Node& status, std::string_view type) {
  json::Node& conditions = ensure_array(doc, status, "conditions");
  for (json::Node& condition : conditions)
    if (condition.string_at("type") == type) return condition;
  json::Node& condition = doc.append(conditions, doc.make_object());
  doc.set(condition, "type", type);
  return condition;
}

std::span<const Special> pod_actions() { return rows; }

}  // namespace estiba::apiserver
