#include "model/schema.h"

#include <algorithm>

#include "model/schema_tables.h"

namespace estiba::model::schema {

std::span<const Package> packages() { return tables::packages; }
std::span<const Type> types() { return tables::types; }
std::span<const Group> groups() { return tables::groups; }
std::span<const Resource> resources() { return tables::resources; }

const Field* Type::find(std::string_view field) const {
  for (const Field& f : fields)
    if (f.name == field) return &f;
  return nullptr;
}

std::string Type::full_name() const {
  std::string out(package->path);
  out += '.';
  out += name;
  return out;
}

bool Resource::can(std::string_view verb) const { return std::ranges::find(verbs, verb) != verbs.end(); }

const Subresource* Resource::find_subresource(std::string_view name) const {
  for (const Subresource& sub : subresources)
    if (sub.name == name) return &sub;
  return nullptr;
}

static const Type* find_in(const Package& package, std::string_view name) {
  const auto it = std::ranges::lower_bound(package.types, name, {}, &Type::name);
  return it != package.types.end() && it->name == name ? &*it : nullptr;
}

const Type* find_type(std::string_view full_name) {
  const size_t dot = full_name.rfind('.');
  if (dot == std::string_view::npos) return nullptr;
  const std::string_view path = full_name.substr(0, dot);
  for (const Package& package : tables::packages)
    if (package.path == path) return find_in(package, full_name.substr(dot + 1));
  return nullptr;
}

const Type* find_type(std::string_view group, std::string_view version, std::string_view kind) {
  const Type* everywhere = nullptr;
  for (const Package& package : tables::packages) {
    if (package.version.empty()) continue;
    const bool here = package.version == version && package.group == group;
    if (!here && !package.path.ends_with(".meta.v1")) continue;
    const Type* type = find_in(package, kind);
    if (!type || !type->kind) continue;
    if (here) return type;
    if (type->everywhere) everywhere = type;
  }
  return everywhere && find_version(group, version) ? everywhere : nullptr;
}

const Type* find_kind(std::string_view api_version, std::string_view kind) {
  const auto [group, version] = split_api_version(api_version);
  return find_type(group, version, kind);
}

const Group* find_group(std::string_view group) {
  for (const Group& g : tables::groups)
    if (g.name == group) return &g;
  return nullptr;
}

const Version* find_version(std::string_view group, std::string_view version) {
  const Group* g = find_group(group);
  if (!g) return nullptr;
  for (const Version& v : g->versions)
    if (v.name == version) return &v;
  return nullptr;
}

const Resource* find_resource(std::string_view group, std::string_view version, std::string_view plural) {
  const Version* v = find_version(group, version);
  if (!v) return nullptr;
  for (const Resource& r : v->resources)
    if (r.plural == plural) return &r;
  return nullptr;
}

const Resource* find_resource_of_kind(std::string_view group, std::string_view version, std::string_view kind) {
  const Version* v = find_version(group, version);
  if (!v) return nullptr;
  for (const Resource& r : v->resources)
    if (r.kind == kind) return &r;
  return nullptr;
}

std::pair<std::string_view, std::string_view> split_api_version(std::string_view api_version) {
  const size_t slash = api_version.find('/');
  if (slash == std::string_view::npos) return {{}, api_version};
  return {api_version.substr(0, slash), api_version.substr(slash + 1)};
}

std::string join_api_version(std::string_view group, std::string_view version) {
  std::string out(group);
  if (!out.empty()) out += '/';
  return out += version;
}

}  // namespace estiba::model::schema
