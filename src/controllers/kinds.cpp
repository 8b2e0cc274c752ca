#include "controllers/kinds.h"

#include <algorithm>
#include <mutex>
#include <set>

#include "model/custom/definition.h"
#include "model/schema.h"

namespace estiba::controllers {

namespace {

std::string_view kept(std::string_view text) {
  static std::set<std::string, std::less<>> texts;
  static std::mutex mutex;
  std::lock_guard lock(mutex);
  const auto there = texts.find(text);
  return there != texts.end() ? *there : *texts.emplace(text).first;
}

}  // namespace

std::optional<ResourceKind> custom_kind(const model::ObjectRef& definition) {
  auto made = model::CustomDefinition::make(definition.object->json());
  if (!made || !(*made)->established()) return std::nullopt;
  const model::CustomVersion* chosen = nullptr;
  for (const model::CustomVersion& version : (*made)->versions())
    if (version.served && (!chosen || version.storage || (!chosen->storage && model::version_before(version.name, chosen->name))))
      chosen = &version;
  if (!chosen) return std::nullopt;
  const model::schema::Resource& row = chosen->resource;
  return ResourceKind{{kept(row.group), kept(row.version), kept(row.plural)}, kept(row.kind), row.namespaced};
}

std::vector<ResourceKind> stored_kinds() {
  std::vector<ResourceKind> kinds;
  for (const model::schema::Group& group : model::schema::groups()) {
    const size_t first = kinds.size();
    for (const model::schema::Version& version : group.versions) {
      for (const model::schema::Resource& resource : version.resources) {
        const auto known = [&](const ResourceKind& kind) { return kind.resource.name == resource.plural; };
        if (!resource.can("list") || !resource.can("watch") || !resource.can("delete")) continue;
        if (std::any_of(kinds.begin() + long(first), kinds.end(), known)) continue;
        kinds.push_back({{resource.group, resource.version, resource.plural}, resource.kind, resource.namespaced});
      }
    }
  }
  return kinds;
}

}  // namespace estiba::controllers
