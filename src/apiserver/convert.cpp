#include "apiserver/convert.h"

#include "apiserver/convert_autoscaler.h"
#include "apiserver/custom/strategy.h"
#include "apiserver/edit.h"
#include "apiserver/ownership.h"
#include "apiserver/recent.h"
#include "base/strings.h"

namespace estiba::apiserver {
namespace {

// Whether "apps/v1" is this resource's version, without building a string.
bool is_version_of(std::string_view api_version, const model::schema::Resource& resource) {
  if (resource.group.empty()) return api_version == resource.version;
  return api_version.size() == resource.group.size() + 1 + resource.version.size() && api_version.starts_with(resource.group) &&
         api_version[resource.group.size()] == '/' && api_version.ends_with(resource.version);
}

struct Rename {
  std::string_view core, events;
};
constexpr Rename event_renames[] = {
    {"involvedObject", "regarding"},
    {"message", "note"},
    {"reportingComponent", "reportingController"},
    {"source", "deprecatedSource"},
    {"firstTimestamp", "deprecatedFirstTimestamp"},
    {"lastTimestamp", "deprecatedLastTimestamp"},
    {"count", "deprecatedCount"},
};

void rename(json::Document& doc, json::Node& object, std::string_view from, std::string_view to) {
  const json::Node* value = object.find(from);
  if (!value) return;
  doc.set(object, to, doc.copy(*value));
  doc.remove(object, from);
}

void convert_event(json::Document& doc, json::Node& object, bool to_core) {
  for (auto [core, events] : event_renames) rename(doc, object, to_core ? events : core, to_core ? core : events);
}

struct Converted {
  model::ObjectPtr object;
  const model::schema::Resource* resource;
  bool operator==(const Converted&) const = default;
  size_t hash() const { return hash_of(object.get(), 0, reinterpret_cast<uintptr_t>(resource)); }
};

}  // namespace

void convert(json::Document& doc, json::Node& object, const model::schema::Resource& resource) {
  if (is_version_of(object.string_at("apiVersion"), resource)) return;
  doc.set(object, "apiVersion", model::schema::join_api_version(resource.group, resource.version));
  if (resource.kind == "Event") convert_event(doc, object, resource.group.empty());
  if (resource.kind == "HorizontalPodAutoscaler") resource.version == "v1" ? autoscaler_to_v1(doc, object) : autoscaler_to_v2(doc, object);
}

Result<model::ObjectPtr> in_version(const model::ObjectPtr& object, const model::schema::Resource& resource) {
  if (model::custom_of(resource)) return custom_in_version(object, *model::custom_of(resource));
  if (is_version_of(object->meta().api_version, resource)) [[likely]]
    return object;
  // A thousand watchers of another version than the stored one share what is converted for the first.
  static Recent<Converted, model::ObjectPtr, 1024, 8 << 20> cache;
  const Converted key{object, &resource};
  const bool shared = is_built_in(resource);  // the tables of others come and go
  if (shared)
    if (auto made = cache.find(key)) return *made;
  json::Document doc = TRY(json::Document::parse(object->json()));
  convert(doc, doc.root(), resource);
  model::ObjectPtr out = TRY(model::Object::make(doc.root()));
  if (shared) cache.put(key, out, 2 * object->json().size());
  return out;
}

}  // namespace estiba::apiserver
