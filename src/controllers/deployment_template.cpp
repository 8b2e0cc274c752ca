#include "controllers/deployment_template.h"

#include "base/strings.h"
#include "client/json_writer.h"
#include "controllers/annotations.h"
#include "controllers/canonical_json.h"
#include "controllers/owned.h"
#include "model/types/apps_v1.h"

namespace estiba::controllers {

using client::JsonWriter;

Result<std::string> canonical_template(const model::ObjectRef& owner) {
  const json::Document parsed = TRY(json::Document::parse(owner.object->json()));
  const json::Node* given = parsed.root().at("spec", "template");
  if (!given) return fail(Code::invalid, client::key_of(owner) + ": spec.template is missing");
  return canonical_json(*given, {template_hash_label});
}

std::string template_hash(std::string_view canonical, int64_t collisions) {
  std::string text(canonical);
  if (collisions > 0) text.append("\n").append(std::to_string(collisions));
  return safe_encode(std::to_string(fnv1a32(text)));
}

bool is_copied_annotation(std::string_view key) {
  return key != last_applied_annotation && key != revision_annotation && key != revision_history_annotation && key != desired_annotation &&
         key != most_annotation && key != "deprecated.deployment.rollback.to";
}

static void write_labels(JsonWriter& json, const json::Node* labels, const std::string& hash) {
  json.object("labels");
  if (labels)
    for (const json::Node& label : *labels)
      if (label.key() != template_hash_label) json.field(label.key(), label.as_string());
  json.field(template_hash_label, hash).end();
}

static void write_template(JsonWriter& json, const json::Node& given, const std::string& hash) {
  json.object("template");
  for (const json::Node& member : given)
    if (member.key() != "metadata") json.raw(member.key(), json::print(member));
  json.object("metadata");
  const json::Node* metadata = given.at("metadata");
  if (metadata)
    for (const json::Node& member : *metadata)
      if (member.key() != "labels") json.raw(member.key(), json::print(member));
  write_labels(json, metadata ? metadata->at("labels") : nullptr, hash);
  json.end().end();
}

static void write_selector(JsonWriter& json, const json::Node* selector, const std::string& hash) {
  json.object("selector").object("matchLabels");
  if (const json::Node* labels = selector ? selector->at("matchLabels") : nullptr)
    for (const json::Node& label : *labels) json.field(label.key(), label.as_string());
  json.field(template_hash_label, hash).end();
  if (const json::Node* expressions = selector ? selector->at("matchExpressions") : nullptr; expressions && !expressions->empty())
    json.raw("matchExpressions", json::print(*expressions));
  json.end();
}

Result<std::string> new_set_body(const model::ObjectRef& deployment, const NewSet& set) {
  const json::Document parsed = TRY(json::Document::parse(deployment.object->json()));
  const json::Node* given = parsed.root().at("spec", "template");
  if (!given) return fail(Code::invalid, client::key_of(deployment) + ": spec.template is missing");
  const model::Meta& meta = deployment.meta();
  JsonWriter json;
  json.object().field("apiVersion", "apps/v1").field("kind", "ReplicaSet").object("metadata");
  json.field("name", set.name).field("namespace", meta.ns);
  write_labels(json, given->at("metadata", "labels"), set.hash);
  json.object("annotations");
  for (const auto& [key, value] : meta.annotations)
    if (is_copied_annotation(key)) json.field(key, value);
  json.field(revision_annotation, std::to_string(set.revision)).field(desired_annotation, std::to_string(set.desired));
  json.field(most_annotation, std::to_string(set.most)).end();
  json.array("ownerReferences");
  write_controller_reference(json, meta);
  json.end().end();
  json.object("spec").field("replicas", set.replicas);
  if (const auto seconds = deployment.as<model::apps_v1::Deployment>().spec.minReadySeconds.value_or(0))
    json.field("minReadySeconds", seconds);
  write_selector(json, parsed.root().at("spec", "selector"), set.hash);
  write_template(json, *given, set.hash);
  json.end().end();
  return json.take();
}

}  // namespace estiba::controllers
