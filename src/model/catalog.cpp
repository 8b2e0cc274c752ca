#include "model/catalog.h"

#include <algorithm>

namespace estiba::model {

using schema::Group;
using schema::Resource;
using schema::Version;

namespace {

// The rows that definitions give a group, by version.
using ByVersion = std::map<std::string_view, std::vector<Resource>>;

void sort_versions(std::vector<Version>& versions) {
  std::ranges::stable_sort(versions, [](const Version& a, const Version& b) { return version_before(a.name, b.name); });
}

}  // namespace

Catalog::Catalog(std::vector<CustomDefinitionPtr> definitions) : definitions_(std::move(definitions)) {
  std::erase_if(definitions_, [](const CustomDefinitionPtr& definition) { return !definition->established(); });
  std::ranges::sort(definitions_, {}, [](const CustomDefinitionPtr& d) { return std::pair(d->group(), d->plural()); });
  std::map<std::string_view, ByVersion> custom;
  for (const CustomDefinitionPtr& definition : definitions_)
    for (const CustomVersion& version : definition->versions())
      if (version.served) custom[definition->group()][version.name].push_back(version.resource);
  const auto list_of = [this](std::vector<Resource> rows) { return std::span<const Resource>(resources_.emplace_back(std::move(rows))); };
  for (const Group& group : schema::groups()) {
    const auto more = custom.find(group.name);
    if (more == custom.end()) {
      groups_.push_back(group);
      continue;
    }
    // A built-in version keeps to itself; a definition may add versions beside it.
    std::vector<Version>& versions = versions_.emplace_back(group.versions.begin(), group.versions.end());
    for (auto& [name, rows] : more->second)
      if (!schema::find_version(group.name, name)) versions.push_back({name, list_of(std::move(rows))});
    sort_versions(versions);
    groups_.push_back({group.name, versions});
    custom.erase(more);
  }
  for (auto& [name, by_version] : custom) {
    std::vector<Version>& versions = versions_.emplace_back();
    for (auto& [version, rows] : by_version) versions.push_back({version, list_of(std::move(rows))});
    sort_versions(versions);
    groups_.push_back({name, versions});
  }
}

ResourceRef Catalog::find_resource(std::string_view group, std::string_view version, std::string_view plural, bool unserved) const {
  if (const Resource* row = schema::find_resource(group, version, plural)) return {row, nullptr};
  const auto place = std::pair(group, plural);
  const auto found =
      std::ranges::lower_bound(definitions_, place, {}, [](const CustomDefinitionPtr& d) { return std::pair(d->group(), d->plural()); });
  if (found == definitions_.end() || (*found)->group() != group || (*found)->plural() != plural) return {};
  const CustomVersion* row = (*found)->version(version);
  if (!row || (!row->served && !unserved) || schema::find_version(group, version)) return {};
  return {&row->resource, *found};
}

ResourceRef Catalog::find_preferred(std::string_view group, std::string_view plural) const {
  for (const Group& one : groups_) {
    if (one.name != group) continue;
    for (const Version& version : one.versions)
      if (ResourceRef found = find_resource(group, version.name, plural); found.resource) return found;
  }
  return {};
}

ResourceRef Catalog::find_kind(std::string_view group, std::string_view version, std::string_view kind) const {
  if (const Resource* row = schema::find_resource_of_kind(group, version, kind)) return {row, nullptr};
  for (const CustomDefinitionPtr& definition : definitions_)
    if (definition->group() == group && definition->kind() == kind) return find_resource(group, version, definition->plural());
  return {};
}

}  // namespace estiba::model
