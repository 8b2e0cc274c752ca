// scale: the number of replicas of a workload as an autoscaling/v1 Scale.
#include "apiserver/api_errors.h"
#include "apiserver/body.h"
#include "apiserver/edit.h"
#include "apiserver/ownership.h"
#include "apiserver/printers/printers.h"
#include "apiserver/server.h"
#include "apiserver/special/special.h"
#include "base/strings.h"
#include "model/custom/definition.h"
#include "model/patch.h"

namespace estiba::apiserver {
namespace {

// Where a kind keeps its numbers of replicas.
struct Paths {
  std::string spec = "spec.replicas", status = "status.replicas";
};

Paths paths_of(const Action& action) {
  const model::CustomVersion* custom = model::custom_of(*action.resource);
  return custom && custom->scale ? Paths{custom->scale->spec_replicas, custom->scale->status_replicas} : Paths{};
}

// The object that holds the last member of "spec.a.b", made where it is missing, and that member's name.
std::pair<json::Node*, std::string> parent_of(json::Document& doc, std::string_view path) {
  json::Node* here = &doc.root();
  for (size_t dot; (dot = path.find('.')) != std::string_view::npos; path.remove_prefix(dot + 1))
    here = &doc.ensure_object(*here, path.substr(0, dot));
  return {here, std::string(path)};
}

// The selector as text, which is what a Scale shows. A ReplicationController's is a plain map.
std::string selector_of(const Action& action, const json::Node& object) {
  if (const model::CustomVersion* custom = model::custom_of(*action.resource)) {
    const json::Node* text = custom->scale->selector.empty() ? nullptr : follow(object, custom->scale->selector);
    return text ? std::string(text->as_string()) : std::string();
  }
  const json::Node* selector = object.at("spec", "selector");
  if (!present(selector) || selector->empty()) return {};
  std::string text = object.string_at("kind") == "ReplicationController" ? printers::map_text(selector) : printers::selector_text(selector);
  return text == "<none>" ? std::string{} : text;
}

}  // namespace

json::Document scale_of(const Action& action, const json::Node& object) {
  const Paths paths = paths_of(action);
  json::Document doc;
  json::Node& scale = doc.make_object();
  doc.set_root(scale);
  doc.set(scale, "kind", "Scale");
  doc.set(scale, "apiVersion", "autoscaling/v1");
  json::Node& metadata = doc.ensure_object(scale, "metadata");
  for (std::string_view field : {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"}) {
    set_copy(doc, metadata, field, object.at("metadata", field));
  }
  json::Node& spec = doc.ensure_object(scale, "spec");
  if (int64_t replicas = printers::count_of(object, paths.spec); replicas != 0) set_int(doc, spec, "replicas", replicas);
  json::Node& status = doc.ensure_object(scale, "status");
  set_int(doc, status, "replicas", printers::count_of(object, paths.status));
  if (std::string selector = selector_of(action, object); !selector.empty()) doc.set(status, "selector", selector);
  return doc;
}

void take_scale(const Action& action, json::Document& doc, const json::Node& scale) {
  auto [parent, key] = parent_of(doc, paths_of(action).spec);
  set_int(doc, *parent, key, printers::count_of(scale, "spec.replicas"));
}

namespace {

Result<Outcome> show(const Action& action, const model::ObjectRef& object) {
  json::Document doc = TRY(json::Document::parse(object.print()));
  return Outcome{200, {}, json::print(scale_of(action, doc.root()).root()), {}};
}

Result<void> check_replicas(const Action& action, const json::Node& object) {
  if (printers::count_of(object, "spec.replicas") >= 0) return {};
  FieldErrors errors;
  errors.invalid("spec.replicas", object.at("spec", "replicas"), "must be greater than or equal to 0");
  return invalid(*action.resource, "Scale", action.name, errors.take());
}

Result<json::Document> with_replicas(const Action& action, const json::Node& old, const json::Node& scale) {
  std::string_view name = scale.string_at("metadata", "name");
  if (!name.empty() && name != action.name) {
    return bad_request("the name of the object (" + std::string(name) + ") does not match the name on the URL (" + action.name + ")");
  }
  TRY(check_replicas(action, scale));
  json::Document doc;
  doc.set_root(doc.copy(old));
  take_scale(action, doc, scale);
  if (std::string_view revision = scale.string_at("metadata", "resourceVersion"); !revision.empty()) {
    doc.set(doc.ensure_object(doc.root(), "metadata"), "resourceVersion", revision);
  }
  return doc;
}

Result<void> patch_scale(const Action& action, json::Document& scale, const json::Node& patch) {
  switch (action.body_type) {
    case BodyType::json_patch: return model::apply_json_patch(scale, patch);
    case BodyType::merge_patch: return model::apply_merge_patch(scale, patch);
    case BodyType::strategic_patch:
      if (model::custom_of(*action.resource))
        return unsupported_media_type("application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml");
      return model::apply_merge_patch(scale, patch);  // a Scale has no lists: the same
    default:
      return unsupported_media_type("application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json");
  }
}

// A Scale that is applied is an apply of the number of replicas to the object itself.
Task<Result<Outcome>> apply(Api& api, Action action) {
  std::vector<std::string> warnings;
  const Resource scale{
      .group = "autoscaling", .version = "v1", .kind = "Scale", .type = model::schema::find_type("autoscaling", "v1", "Scale")};
  json::Document given = CO_TRY(decode_configuration(action, scale, warnings));
  auto configuration = std::make_shared<json::Document>();
  json::Node& root = configuration->make_object();
  configuration->set_root(root);
  configuration->set(root, "apiVersion", model::schema::join_api_version(action.resource->group, action.resource->version));
  configuration->set(root, "kind", action.resource->kind);
  set_copy(*configuration, root, "metadata", given.root().find("metadata"));
  if (const json::Node* replicas = given.root().at("spec", "replicas")) {
    auto [parent, key] = parent_of(*configuration, paths_of(action).spec);
    set_copy(*configuration, *parent, key, replicas);
  }
  auto shared = std::make_shared<const Action>(action);
  const WallTime now = api.cluster().now();
  auto outcome = co_await api.registry().modify(std::move(action), Part::main,
                                                [shared, configuration, now](const json::Node& old) -> Result<json::Document> {
                                                  json::Document doc = TRY(applied(*shared, old, configuration->root(), now));
                                                  TRY(check_replicas(*shared, doc.root()));
                                                  return doc;
                                                });
  if (!outcome) co_return outcome;
  Outcome shown = CO_TRY(show(*shared, outcome->object));
  shown.warnings = std::move(warnings);
  co_return shown;
}

Task<Result<Outcome>> act(Api& api, Action action) {
  if (action.body_type == BodyType::apply_patch) co_return co_await apply(api, std::move(action));
  if (action.verb == Verb::get) {
    auto object = api.registry().get(action);
    if (!object) co_return std::unexpected(std::move(object.error()));
    CO_TRY(co_await api.registry().present(action, *object));
    co_return show(action, *object);
  }
  json::Document body;
  if (action.verb == Verb::patch) {
    auto patch = json::Document::parse(action.body);
    if (!patch) co_return bad_request("error decoding patch: " + patch.error().message);
    body = std::move(*patch);
  } else {
    body = std::move(CO_TRY(decode_as(action, *model::schema::find_type("autoscaling", "v1", "Scale"))).doc);
  }
  Action answered = action;
  answered.body.clear();
  auto shared = std::make_shared<std::pair<Action, json::Document>>(action, std::move(body));
  auto outcome = co_await api.registry().modify(std::move(action), Part::main, [shared](const json::Node& old) -> Result<json::Document> {
    const auto& [asked, given] = *shared;
    if (asked.verb != Verb::patch) return with_replicas(asked, old, given.root());
    json::Document scale = scale_of(asked, old);
    TRY(patch_scale(asked, scale, given.root()));
    return with_replicas(asked, old, scale.root());
  });
  if (!outcome) co_return outcome;
  co_return show(answered, outcome->object);
}

constexpr Special rows[] = {
    {"apps", "deployments", "scale", act},
    {"apps", "replicasets", "scale", act},
    {"apps", "statefulsets", "scale", act},
    {"", "replicationcontrollers", "scale", act},
};

}  // namespace

Act scale_of_custom() { return act; }

std::span<const Special> scale_actions() { return rows; }

}  // namespace estiba::apiserver
