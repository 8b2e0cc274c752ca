#include "controllers/owned.h"

#include "client/selectors.h"

namespace estiba::controllers {

using client::Informer;

std::string orphans_of(std::string_view ns) { return "orphans of " + std::string(ns); }

Informer::Index controller_index(Informer& informer) {
  return informer.shared_index("controller", [](const model::Object& object, std::vector<std::string>& values) {
    const model::Owner* owner = object.meta().controller();
    values.push_back(owner ? owner->uid : orphans_of(object.meta().ns));
  });
}

void write_owner(client::JsonWriter& json, const model::Owner& owner) {
  json.object().field("apiVersion", owner.api_version).field("kind", owner.kind).field("name", owner.name).field("uid", owner.uid);
  if (owner.controller) json.field("controller", true);
  if (owner.block_owner_deletion) json.field("blockOwnerDeletion", true);
  json.end();
}

void write_controller_reference(client::JsonWriter& json, const model::Meta& owner) {
  write_owner(json, {owner.api_version, owner.kind, owner.name, owner.uid, true, true});
}

// The owners of `object` but `without`, and `with` when given, as a patch that fails if the object has changed.
static std::string owners_patch(const model::ObjectRef& object, std::string_view without, const model::Meta* with) {
  client::JsonWriter json;
  json.object()
      .object("metadata")
      .field("resourceVersion", object.resource_version())
      .field("uid", object.meta().uid)
      .array("ownerReferences");
  for (const model::Owner& owner : object.meta().owners)
    if (owner.uid != without) write_owner(json, owner);
  if (with) write_controller_reference(json, *with);
  json.end().end().end();
  return json.take();
}

static Task<Result<void>> patch_owners(client::Client& client, Informer& informer, model::ObjectRef object, std::string patch) {
  const model::Meta& meta = object.meta();
  auto written = co_await client.patch(informer.resource(), meta.ns, meta.name, client::PatchType::merge, std::move(patch));
  if (written) informer.observe(*written);
  else if (written.error().code != Code::not_found)
    co_return std::unexpected(std::move(written.error().context("change the owners of " + meta.ns + "/" + meta.name)));
  co_return {};
}

Task<Result<std::vector<model::ObjectRef>>> claim(client::Client& client, Informer& informer, Informer::Index index, model::ObjectRef owner,
                                                  const model::meta_v1::LabelSelector& selector,
                                                  bool (*may_own)(const model::Meta&, const model::Meta&)) {
  const model::Meta& meta = owner.meta();
  const auto fits = [&](const model::ObjectRef& object) {
    return client::matches(selector, object.meta().labels) && (!may_own || may_own(meta, object.meta()));
  };
  std::vector<model::ObjectRef> mine;
  for (const model::ObjectRef& object : informer.find(index, meta.uid)) {
    if (fits(object)) mine.push_back(object);
    else if (meta.deletion_timestamp.empty() && object.meta().deletion_timestamp.empty())
      CO_TRY(co_await patch_owners(client, informer, object, owners_patch(object, meta.uid, nullptr)));
  }
  if (!meta.deletion_timestamp.empty()) co_return mine;
  for (const model::ObjectRef& object : informer.find(index, orphans_of(meta.ns))) {
    if (!object.meta().deletion_timestamp.empty() || !fits(object)) continue;
    CO_TRY(co_await patch_owners(client, informer, object, owners_patch(object, {}, &meta)));
    if (auto adopted = informer.get(client::key_of(object))) mine.push_back(adopted);
  }
  co_return mine;
}

}  // namespace estiba::controllers
