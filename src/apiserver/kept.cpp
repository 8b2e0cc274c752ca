#include "apiserver/kept.h"

#include "apiserver/convert.h"
#include "model/custom/definition.h"

namespace estiba::apiserver {

std::string prefix_of(const Resource& resource) {
  bool core = resource.group.empty() || (resource.group == "events.k8s.io" && resource.plural == "events");
  std::string out = "/registry/";
  out.append(core ? "core" : resource.group).append("/").append(resource.plural).append("/");
  return out;
}

std::string prefix_of(const Resource& resource, std::string_view ns) {
  std::string out = prefix_of(resource);
  if (!ns.empty()) out.append(ns).append("/");
  return out;
}

std::string key_of(const Resource& resource, std::string_view ns, std::string_view name) {
  return prefix_of(resource, resource.namespaced ? ns : std::string_view{}).append(name);
}

PackedTexts::PackedTexts(std::span<const std::string> texts) {
  std::string bytes;
  for (const std::string& text : texts) {
    size_t length = text.size();
    for (; length > 127; length >>= 7) bytes.push_back(char((length & 127) | 128));
    bytes.push_back(char(length));
    bytes.append(text);
  }
  bytes_ = SharedText(bytes);
}

std::string_view PackedTexts::operator[](size_t i) const {
  std::string_view rest = bytes_;
  while (!rest.empty()) {
    size_t length = 0, at = 0;
    do length |= size_t(uint8_t(rest[at]) & 127) << (7 * at);
    while (uint8_t(rest[at++]) & 128);
    if (i-- == 0) return rest.substr(at, length);
    rest.remove_prefix(at + length);
  }
  return {};
}

Result<std::shared_ptr<const Kept>> make_kept(const json::Node& root, const Strategy& strategy, const SharedText& stored) {
  auto out = std::make_shared<Kept>();
  out->object = TRY(model::Object::make(root, stored));
  std::vector<std::string> values;
  values.reserve(strategy.fields.size());
  for (const SelectableField& field : strategy.fields) values.push_back(selectable_value(field, root));
  out->selectable = PackedTexts(values);
  return out;
}

Result<std::shared_ptr<const Kept>> kept(const store::Entry& entry, const Strategy& strategy) {
  auto there = entry.attachment();
  if (!there) {
    auto parsed = TRY_AS("stored object " + entry.key, json::Document::parse(entry.value));
    there = entry.attach(TRY_AS("stored object " + entry.key, make_kept(parsed.root(), strategy, entry.value)));
  }
  return std::static_pointer_cast<const Kept>(std::move(there));
}

void lighten(const store::Entry& entry) {
  const auto there = entry.attachment();
  if (!there) return;
  const auto& before = static_cast<const Kept&>(*there);
  model::ObjectPtr lighter = model::Object::lighter(before.object);
  if (lighter == before.object) return;
  auto now = std::make_shared<Kept>();
  now->object = std::move(lighter);
  now->selectable = before.selectable;
  now->conformed.store(before.conformed.load(std::memory_order_relaxed), std::memory_order_relaxed);
  entry.replace(there, std::move(now));
}

Result<model::ObjectRef> object_of(const store::Entry& entry, const Resource& resource) {
  auto facts = TRY(kept(entry, strategy_of(resource)));
  if (!model::custom_of(resource)) return model::ObjectRef{TRY(in_version(facts->object, resource)), entry.mod_revision};
  // Reading under the tables that it was written by needs no second look at a custom object.
  const uint64_t tables = model::custom_of(resource)->definition->id();
  const bool own_version = model::schema::split_api_version(facts->object->meta().api_version).second == resource.version;
  if (own_version && facts->conformed.load(std::memory_order_relaxed) == tables) return model::ObjectRef{facts->object, entry.mod_revision};
  auto shown = TRY(in_version(facts->object, resource));
  if (own_version && shown == facts->object) facts->conformed.store(tables, std::memory_order_relaxed);
  return model::ObjectRef{std::move(shown), entry.mod_revision};
}

}  // namespace estiba::apiserver
