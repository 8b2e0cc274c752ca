// Pods: binding to a node, eviction, ephemeral containers, resize.
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
#include "model/selector.h"

namespace estiba::apiserver {
namespace {

constexpr std::string_view success = R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","code":201})";

// Binding

void set_scheduled(json::Document& doc, json::Node& pod, WallTime now) {
  json::Node& conditions = ensure_array(doc, doc.ensure_object(pod, "status"), "conditions");
  json::Node* condition = nullptr;
  for (json::Node& c : conditions) {
    if (c.string_at("type") == "PodScheduled") condition = &c;
  }
  if (!condition) condition = &doc.append(conditions, doc.make_object());
  doc.set(*condition, "type", "PodScheduled");
  doc.set(*condition, "status", "True");
  doc.set(*condition, "lastTransitionTime", format_rfc3339(now));
  doc.remove(*condition, "reason");
  doc.remove(*condition, "message");
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

// Eviction

// The budgets that cover a pod and allow no disruption now; empty when it may go.
Result<std::string> blocking_budget(const Cluster& cluster, const model::ObjectRef& pod) {
  for (const model::ObjectRef& budget : TRY(cluster.all("policy", "poddisruptionbudgets", pod.meta().ns))) {
    json::Document doc = TRY(json::Document::parse(budget.object->json()));
    const json::Node* labels = doc.root().at("spec", "selector", "matchLabels");
    if (!present(labels) || labels->empty()) continue;
    bool covers =
        std::all_of(labels->begin(), labels->end(), [&](const json::Node& l) { return pod.meta().label(l.key()) == l.as_string(); });
    const json::Node* allowed = doc.root().at("status", "disruptionsAllowed");
    if (covers && (!allowed || allowed->as_int().value_or(0) <= 0)) return budget.meta().name;
  }
  return std::string{};
}

Task<Result<Outcome>> evict(Api& api, Action action) {
  Decoded decoded = CO_TRY(decode_as(action, *model::schema::find_type("policy", "v1", "Eviction")));
  decoded.doc.set(decoded.doc.root(), "kind", "Eviction");
  decoded.doc.set(decoded.doc.root(), "apiVersion", "policy/v1");
  std::vector<std::string> warnings;
  CO_TRY(co_await admission::admit_act(api.cluster(), action, admission::Operation::create, decoded.doc, warnings));
  const json::Node& options = decoded.doc.root();
  auto pod = api.registry().get(action);
  if (!pod) co_return std::unexpected(std::move(pod.error()));
  json::Document parsed = CO_TRY(json::Document::parse(pod->object->json()));
  std::string_view phase = parsed.root().string_at("status", "phase");
  if (phase == "Running" || phase == "Pending") {
    if (std::string budget = CO_TRY(blocking_budget(api.cluster(), *pod)); !budget.empty()) {
      auto error = too_many_requests("Cannot evict pod as it would violate the pod's disruption budget.", 10);
      error.error().details->causes.push_back(
          {"DisruptionBudget", "The disruption budget " + budget + " does not allow a disruption now", ""});
      co_return error;
    }
  }
  Action removal = action;
  removal.verb = Verb::remove;
  removal.subresource.clear();
  removal.body.clear();
  if (const json::Node* given = options.find("deleteOptions"); present(given)) {
    removal.body = json::print(*given);
    const json::Node* grace = given->find("gracePeriodSeconds");
    if (present(grace)) removal.remove.grace_seconds = grace->as_int();
    removal.remove.uid = given->string_at("preconditions", "uid");
    removal.remove.resource_version = given->string_at("preconditions", "resourceVersion");
    removal.remove.propagation = given->string_at("propagationPolicy");
  }
  removal.remove.dry_run |= removal.write.dry_run;
  CO_TRY(co_await api.registry().remove(std::move(removal)));
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
        for (json::Node& container : *containers) set_copy(doc, container, "resources", (*wanted)[i++].find("resources"));
    }
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

std::span<const Special> pod_actions() { return rows; }

}  // namespace estiba::apiserver
