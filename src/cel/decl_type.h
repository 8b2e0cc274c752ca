// Declared types: what a schema says of a JSON value, in the words of Kubernetes' CEL (k8s.io/apiserver/pkg/cel, DeclType).
// They give fields to the checker, forms to the reader of values and bounds to the cost estimate.
#pragma once
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cel/type.h"
#include "model/json.h"
#include "model/schema.h"

namespace estiba::cel {

/// How the JSON is read.
enum class DeclForm : uint8_t { dyn, boolean, integer, real, string, bytes, duration, date, date_time, int_or_string, list, map, object };

struct DeclField {
  std::string_view name;  ///< as expressions write it, escaped (escape.h)
  std::string_view json_name;
  const DeclType* type;
  bool required;
};

struct DeclType {
  const Type* type = nullptr;
  DeclForm form = DeclForm::dyn;
  model::schema::ListType list_type = model::schema::ListType::none;
  bool nullable = false;
  std::span<const std::string_view> keys{};  ///< of a list of type map
  const DeclType* key = nullptr;             ///< of a map
  const DeclType* element = nullptr;         ///< of a list or a map
  std::span<const DeclField> fields{};       ///< of an object, by name
  int64_t max_elements = 0;                  ///< length of the longest string, items of the longest list, …
  int64_t min_size = 0;                      ///< bytes of the shortest JSON

  const DeclField* find(std::string_view field) const;
};

/// Owns declared types and their Types.
class DeclPool {
 public:
  DeclPool() = default;
  DeclPool(DeclPool&&) = default;

  TypePool& types() { return types_; }

  /// From an OpenAPI v3 schema as custom resources carry it. `name` begins the names of its object types. A resource (or an
  /// embedded one) always has apiVersion, kind, metadata.name and metadata.generateName. Null when the schema says nothing
  /// that CEL could use (no type).
  const DeclType* from_schema(const json::Node& schema, std::string_view name, bool resource);
  /// Of a built-in type.
  const DeclType* from_model(const model::schema::Type& type);

  // By hand, for what is no resource (requests, devices).
  const DeclType* simple(DeclForm form, int64_t max_elements = 0);
  /// A value of a type that is no JSON (types::quantity).
  const DeclType* of(const Type* type, int64_t max_elements = 0);
  const DeclType* list(const DeclType* element, int64_t max_elements);
  const DeclType* map(const DeclType* element, int64_t max_elements, const DeclType* key = nullptr);
  struct NewField {
    std::string_view name;
    const DeclType* type;
    bool required = false;
  };
  const DeclType* object(std::string_view name, std::span<const NewField> fields);

 private:
  DeclType& add(const Type* type, DeclForm form, int64_t min_size, int64_t max_elements);
  std::string_view keep(std::string_view text);
  const DeclType* schema_list(const json::Node& schema, std::string_view name);
  const DeclType* schema_map(const json::Node& schema, const json::Node& values, std::string_view name);
  const DeclType* schema_object(const json::Node& schema, std::string_view name, bool resource);
  const DeclType* schema_string(const json::Node& schema);
  const DeclType* model_field(const model::schema::Field& field);
  const DeclType* model_value(const model::schema::Field& field);

  TypePool types_;
  std::deque<DeclType> owned_;
  std::deque<std::string> texts_;
  std::deque<std::vector<DeclField>> fields_;
  std::deque<std::vector<std::string_view>> keys_;
  std::unordered_map<const model::schema::Type*, DeclType*> known_;
};

}  // namespace estiba::cel
