#include "controllers/kinds.h"

#include <algorithm>

#include "model/schema.h"

namespace estiba::controllers {

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
