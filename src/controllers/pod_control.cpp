#include "controllers/pod_control.h"

#include "base/lanes.h"
#include "client/json_writer.h"
#include "controllers/framework.h"
#include "controllers/owned.h"

namespace estiba::controllers {

using client::EventType;
using model::ObjectRef;

Result<std::string> pod_from_template(const ObjectRef& owner, PodEdit edit) {
  const json::Document parsed = TRY(json::Document::parse(owner.object->json()));
  const json::Node* given = parsed.root().at("spec", "template");
  if (!given || !given->is_object()) return fail(Code::invalid, client::key_of(owner) + ": spec.template is missing");
  return pod_from_template(owner, *given, std::move(edit));
}

Result<std::string> pod_from_template(const ObjectRef& owner, const json::Node& given, PodEdit edit) {
  const model::Meta& meta = owner.meta();
  client::JsonWriter json;
  json.object().field("apiVersion", "v1").field("kind", "Pod").object("metadata");
  json.field("generateName", meta.name + "-").field("namespace", meta.ns);
  for (std::string_view field : {"labels", "annotations", "finalizers"})
    if (const json::Node* node = given.at("metadata", field); node && !node->empty()) json.raw(field, json::print(*node));
  json.array("ownerReferences");
  write_controller_reference(json, meta);
  json.end().end();
  if (const json::Node* spec = given.at("spec")) json.raw("spec", json::print(*spec));
  json.end();
  std::string text = json.take();
  if (!edit) return text;
  json::Document doc = TRY(json::Document::parse(text));
  edit(doc, doc.root());
  return json::print(doc.root());
}

PodControl::PodControl(client::Client& client, client::Informer& pods, client::EventRecorder& events, PodWords words)
    : client_(client), pods_(pods), events_(events), words_(words) {
  pods_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
    if (!after || !after.meta().deletion_timestamp.empty()) deleting_.erase((after ? after : before).meta().uid);
  });
}

Task<void> PodControl::create_one(PodControl* self, const ObjectRef* owner, std::string body, std::optional<Error>* first_error) {
  auto made = co_await self->client_.create(client::pods, owner->meta().ns, std::move(body));
  if (made) {
    self->pods_.observe(*made);
    self->events_.record(*owner, EventType::normal, "SuccessfulCreate", "Created pod: " + made->meta().name);
  } else if (!*first_error) {
    *first_error = std::move(made.error());
  }
}

Task<Result<void>> PodControl::create(ObjectRef owner, size_t count, UniqueFunction<std::string(size_t)> body) {
  std::optional<Error> error;
  size_t made = 0;
  for (size_t batch = std::min<size_t>(1, count); batch > 0; batch = std::min(batch * 2, count - made)) {
    co_await in_lanes(batch, write_lanes, [&](size_t i) { return create_one(this, &owner, body(made + i), &error); });
    made += batch;
    if (!error) continue;
    if (is_namespace_ending(*error)) co_return {};
    events_.record(owner, EventType::warning, "FailedCreate", "Error creating: " + error->message);
    co_return std::unexpected(std::move(*error).context("create pods of " + client::key_of(owner)));
  }
  co_return {};
}

void PodControl::tell_deleted(const ObjectRef& owner, const std::string& pod, const Result<void>& removed) {
  const std::string stateful = "Delete Pod " + pod + " in StatefulSet " + owner.meta().name;
  const bool usual = words_ == PodWords::usual;
  if (removed) events_.record(owner, EventType::normal, "SuccessfulDelete", usual ? "Deleted pod: " + pod : stateful + " successful");
  else
    events_.record(owner, EventType::warning, "FailedDelete",
                   usual ? "Error deleting: " + removed.error().message : stateful + " failed error: " + removed.error().message);
}

Task<void> PodControl::remove_one(PodControl* self, const ObjectRef* owner, ObjectRef pod, std::optional<Error>* first_error) {
  const model::Meta& meta = pod.meta();
  auto removed = co_await self->client_.remove(client::pods, meta.ns, meta.name, {.uid = meta.uid});
  if (removed || removed.error().code == Code::not_found || removed.error().code == Code::conflict) {
    if (removed) self->tell_deleted(*owner, meta.name, removed);
    // The watch may have told before the answer came; what is no longer cached is no longer told.
    const ObjectRef now = self->pods_.get(client::key_of(meta));
    if (!now || now.meta().uid != meta.uid || !now.meta().deletion_timestamp.empty()) self->deleting_.erase(meta.uid);
    co_return;
  }
  self->deleting_.erase(meta.uid);
  self->tell_deleted(*owner, meta.name, removed);
  if (!*first_error) *first_error = std::move(removed.error());
}

Task<Result<void>> PodControl::remove(ObjectRef owner, std::vector<ObjectRef> pods) {
  std::optional<Error> error;
  for (const ObjectRef& pod : pods) deleting_.insert(pod.meta().uid);
  co_await in_lanes(pods.size(), write_lanes, [&](size_t i) { return remove_one(this, &owner, pods[i], &error); });
  if (error) co_return std::unexpected(std::move(*error).context("delete pods of " + client::key_of(owner)));
  co_return {};
}

}  // namespace estiba::controllers
