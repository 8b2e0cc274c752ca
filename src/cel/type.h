// Types as the checker sees them. Every type is interned in its pool, so that two equal types are one pointer; types
// without parameters of their own are constants of the program.
#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace estiba::cel {

struct DeclType;

enum class TypeKind : uint8_t {
  error,
  dyn,
  any,
  null,
  boolean,
  integer,
  uinteger,
  real,
  string,
  bytes,
  duration,
  timestamp,
  list,
  map,
  type,
  optional,
  opaque,
  object,
  param,
};

struct Type {
  TypeKind kind = TypeKind::error;
  bool free = false;                          ///< a type parameter stands somewhere in it
  std::string_view name;                      ///< "int", "list", "kubernetes.URL", "_var3"
  std::span<const Type* const> parameters{};  ///< of list, map, type, optional
  const DeclType* decl = nullptr;             ///< of objects with declared fields
  uint32_t number = 0;                        ///< of a parameter

  const Type* element() const { return parameters[0]; }
  const Type* value() const { return parameters[1]; }
  bool is_dyn_or_error() const { return kind == TypeKind::dyn || kind == TypeKind::any || kind == TypeKind::error; }
};

namespace types {
extern const Type error, dyn, any, null, boolean, integer, uinteger, real, string, bytes, duration, timestamp, type;
/// Kubernetes' own.
extern const Type url, ip, cidr, quantity, semver, format, authorizer, path_check, group_check, resource_check, decision, json_patch;
extern const Type list_dyn, map_dyn;
}  // namespace types

/// Makes and owns types with parameters. A pool may build on another one, whose types it reuses.
class TypePool {
 public:
  explicit TypePool(const TypePool* base = nullptr) : base_(base) {}
  TypePool(TypePool&&) = default;

  const Type* list(const Type* element) { return make(TypeKind::list, "list", {&element, 1}); }
  const Type* map(const Type* key, const Type* value) {
    const Type* both[] = {key, value};
    return make(TypeKind::map, "map", both);
  }
  const Type* optional(const Type* value) { return make(TypeKind::optional, "optional_type", {&value, 1}); }
  const Type* type_of(const Type* value) { return make(TypeKind::type, "type", {&value, 1}); }
  const Type* param(std::string_view name, uint32_t number);
  /// An object type with declared fields; a new one each time.
  const Type* object(std::string_view name, const DeclType* decl);
  /// "list(int)", "map(K, V)", "optional_type(T)", "kubernetes.URL"; single capital letters are parameters. Null when it is
  /// none.
  const Type* parse(std::string_view text);
  /// The same shape with other parameters.
  const Type* with(const Type* shape, std::span<const Type* const> parameters) { return make(shape->kind, shape->name, parameters); }

 private:
  const Type* make(TypeKind kind, std::string_view name, std::span<const Type* const> parameters);
  const Type* find(uint64_t hash, TypeKind kind, std::span<const Type* const> parameters) const;
  const Type* parse_at(std::string_view& text);

  const TypePool* base_;
  std::deque<Type> owned_;
  std::deque<std::vector<const Type*>> lists_;
  std::deque<std::string> names_;
  std::unordered_multimap<uint64_t, const Type*> known_;
  std::unordered_map<std::string_view, const Type*> params_;
};

/// As messages print it: "list(int)", "google.protobuf.Timestamp" is "timestamp".
std::string to_string(const Type& type);
/// The types that an expression may name ("int", "net.IP", …), or null.
const Type* find_named_type(std::string_view name);
/// What values of the type call themselves: "google.protobuf.Timestamp", "null_type".
std::string_view runtime_name(const Type& type);

}  // namespace estiba::cel
