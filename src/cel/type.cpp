#include "cel/type.h"

#include <array>
#include <cctype>

namespace estiba::cel {

namespace types {
const Type error{TypeKind::error, false, "!error!"}, dyn{TypeKind::dyn, false, "dyn"}, any{TypeKind::any, false, "any"},
    null{TypeKind::null, false, "null"}, boolean{TypeKind::boolean, false, "bool"}, integer{TypeKind::integer, false, "int"},
    uinteger{TypeKind::uinteger, false, "uint"}, real{TypeKind::real, false, "double"}, string{TypeKind::string, false, "string"},
    bytes{TypeKind::bytes, false, "bytes"}, duration{TypeKind::duration, false, "duration"},
    timestamp{TypeKind::timestamp, false, "timestamp"}, type{TypeKind::type, false, "type"};
const Type url{TypeKind::object, false, "kubernetes.URL"}, ip{TypeKind::opaque, false, "net.IP"}, cidr{TypeKind::opaque, false, "net.CIDR"},
    quantity{TypeKind::object, false, "kubernetes.Quantity"}, semver{TypeKind::object, false, "kubernetes.Semver"},
    format{TypeKind::object, false, "kubernetes.NamedFormat"}, authorizer{TypeKind::object, false, "kubernetes.authorization.Authorizer"},
    path_check{TypeKind::object, false, "kubernetes.authorization.PathCheck"},
    group_check{TypeKind::object, false, "kubernetes.authorization.GroupCheck"},
    resource_check{TypeKind::object, false, "kubernetes.authorization.ResourceCheck"},
    decision{TypeKind::object, false, "kubernetes.authorization.Decision"}, json_patch{TypeKind::object, false, "JSONPatch"};
static const Type* const one_dyn[] = {&dyn};
static const Type* const string_dyn[] = {&string, &dyn};
const Type list_dyn{TypeKind::list, false, "list", one_dyn}, map_dyn{TypeKind::map, false, "map", string_dyn};
}  // namespace types

static constexpr std::array simple_types = {
    &types::error,      &types::dyn,        &types::any,        &types::null,        &types::boolean,        &types::integer,
    &types::uinteger,   &types::real,       &types::string,     &types::bytes,       &types::duration,       &types::timestamp,
    &types::type,       &types::url,        &types::ip,         &types::cidr,        &types::quantity,       &types::semver,
    &types::format,     &types::authorizer, &types::path_check, &types::group_check, &types::resource_check, &types::decision,
    &types::json_patch,
};

const Type* TypePool::find(uint64_t hash, TypeKind kind, std::span<const Type* const> parameters) const {
  auto [from, to] = known_.equal_range(hash);
  for (; from != to; ++from) {
    const Type& other = *from->second;
    if (other.kind == kind && std::equal(parameters.begin(), parameters.end(), other.parameters.begin(), other.parameters.end()))
      return &other;
  }
  return base_ ? base_->find(hash, kind, parameters) : nullptr;
}

const Type* TypePool::make(TypeKind kind, std::string_view name, std::span<const Type* const> parameters) {
  if (kind == TypeKind::list && parameters[0] == &types::dyn) return &types::list_dyn;
  if (kind == TypeKind::map && parameters[0] == &types::string && parameters[1] == &types::dyn) return &types::map_dyn;
  uint64_t hash = uint64_t(kind) + 1;
  bool free = false;
  for (const Type* parameter : parameters) {
    hash = (hash ^ reinterpret_cast<uintptr_t>(parameter)) * 0x9e3779b97f4a7c15ull;
    free |= parameter->free;
  }
  if (const Type* known = find(hash, kind, parameters)) return known;
  lists_.emplace_back(parameters.begin(), parameters.end());
  owned_.push_back({kind, free, name, lists_.back()});
  known_.emplace(hash, &owned_.back());
  return &owned_.back();
}

const Type* TypePool::param(std::string_view name, uint32_t number) {
  names_.emplace_back(name);
  owned_.push_back({TypeKind::param, true, names_.back(), {}, nullptr, number});
  return &owned_.back();
}

const Type* TypePool::object(std::string_view name, const DeclType* decl) {
  names_.emplace_back(name);
  owned_.push_back({TypeKind::object, false, names_.back(), {}, decl});
  return &owned_.back();
}

const Type* TypePool::parse(std::string_view text) {
  const Type* type = parse_at(text);
  return text.empty() ? type : nullptr;
}

const Type* TypePool::parse_at(std::string_view& text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  size_t length = 0;
  while (length < text.size() && (isalnum(static_cast<unsigned char>(text[length])) || text[length] == '.' || text[length] == '_'))
    length++;
  const std::string_view name = text.substr(0, length);
  text.remove_prefix(length);
  if (text.starts_with('(')) {
    std::vector<const Type*> parameters;
    do {
      text.remove_prefix(1);
      const Type* parameter = parse_at(text);
      if (!parameter) return nullptr;
      parameters.push_back(parameter);
    } while (text.starts_with(','));
    if (!text.starts_with(')')) return nullptr;
    text.remove_prefix(1);
    if (name == "list" && parameters.size() == 1) return list(parameters[0]);
    if (name == "map" && parameters.size() == 2) return map(parameters[0], parameters[1]);
    if (name == "optional_type" && parameters.size() == 1) return optional(parameters[0]);
    if (name == "type" && parameters.size() == 1) return type_of(parameters[0]);
    return nullptr;
  }
  if (name.size() == 1 && name[0] >= 'A' && name[0] <= 'Z') {
    if (auto known = params_.find(name); known != params_.end()) return known->second;
    const Type* made = param(name, uint32_t(name[0]));
    params_.emplace(made->name, made);
    return made;
  }
  for (const Type* simple : simple_types)
    if (simple->name == name) return simple;
  return nullptr;
}

static void print(std::string& out, const Type& type, int depth) {
  out += type.name;
  if (type.parameters.empty()) return;
  // A type may hold another one many times over, so that its text would grow without bound.
  if (depth > 24 || out.size() > 4096) {
    out += "(...)";
    return;
  }
  out += '(';
  for (size_t i = 0; i < type.parameters.size(); i++) {
    if (i > 0) out += ", ";
    print(out, *type.parameters[i], depth + 1);
  }
  out += ')';
}

std::string to_string(const Type& type) {
  std::string out;
  print(out, type, 0);
  return out;
}

std::string_view runtime_name(const Type& type) {
  switch (type.kind) {
    case TypeKind::null: return "null_type";
    case TypeKind::duration: return "google.protobuf.Duration";
    case TypeKind::timestamp: return "google.protobuf.Timestamp";
    default: return type.name;
  }
}

const Type* find_named_type(std::string_view name) {
  for (const Type* simple : simple_types) {
    switch (simple->kind) {
      case TypeKind::error:
      case TypeKind::dyn:
      case TypeKind::any: continue;
      default: break;
    }
    if (simple != &types::json_patch && runtime_name(*simple) == name) return simple;
  }
  static TypePool& pool = *new TypePool;
  static const Type* const generic[] = {pool.parse("list(A)"), pool.parse("map(K,V)"), pool.parse("optional_type(T)")};
  for (const Type* type : generic)
    if (type->name == name) return type;
  return nullptr;
}

}  // namespace estiba::cel
