// A structural schema: what a CustomResourceDefinition's openAPIV3Schema says of a value, parsed once. It is to custom
// kinds what the fields of the tables are to built-in ones: pruning, defaults, checks and OpenAPI are walks over it.
//
// The nodes point into the document that the schema was parsed from, which must live as long.
// (Kubernetes: apiextensions.k8s.io/v1 JSONSchemaProps, "Specifying a structural schema".)
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/json.h"
#include "model/schema.h"

namespace estiba::model {

/// One rule of x-kubernetes-validations, as it is written.
struct ValidationRule {
  std::string_view rule, message, message_expression, reason, field_path;
  std::optional<bool> optional_old_self;
};

struct Structural {
  enum class Type : uint8_t { none, object, array, string, integer, number, boolean };
  using Properties = std::map<std::string_view, Structural, std::less<>>;

  Type type = Type::none;
  schema::ListType list_type = schema::ListType::none;
  schema::MapType map_type = schema::MapType::none;
  bool nullable = false;
  bool preserve = false;  ///< x-kubernetes-preserve-unknown-fields
  bool embedded = false;  ///< x-kubernetes-embedded-resource
  bool int_or_string = false;
  bool exclusive_maximum = false, exclusive_minimum = false;
  bool has_defaults = false;    ///< here or below
  bool has_rules = false;       ///< x-kubernetes-validations, here or below
  bool has_embedded = false;    ///< embedded resources, here or below
  bool additional_any = false;  ///< additionalProperties: true

  Properties properties;
  std::unique_ptr<Structural> items;
  std::unique_ptr<Structural> additional;  ///< additionalProperties with a schema

  std::string_view format;  ///< empty for formats that Kubernetes does not know
  std::string_view pattern;
  std::optional<double> maximum, minimum, multiple_of;
  std::optional<int64_t> max_length, min_length, max_items, min_items, max_properties, min_properties;
  std::vector<std::string_view> required, list_keys;
  std::vector<Structural> all_of, any_of, one_of;
  std::unique_ptr<Structural> negated;  ///< not
  std::vector<ValidationRule> rules;

  const json::Node* allowed = nullptr;        ///< the enum's array
  const json::Node* default_value = nullptr;  ///< null when there is none
  const json::Node* source = nullptr;         ///< the JSONSchemaProps

  /// Never fails: what makes no sense is left out; check_structural (custom/structural_rules.h) finds it.
  static Structural parse(const json::Node& source);
  /// What a member of an object is described by; null when nothing does.
  const Structural* member(std::string_view key) const {
    const auto it = properties.find(key);
    return it != properties.end() ? &it->second : additional.get();
  }
  /// Whether anything beyond `properties` may be there.
  bool open() const { return preserve || additional || additional_any; }
};

std::string_view to_string(Structural::Type type);

/// The formats of strings that CustomResourceDefinitions know, without dashes ("datetime").
bool is_known_format(Structural::Type type, std::string_view format);

// The walks that change an object. `root`: the object is a resource itself, whose apiVersion, kind and metadata the
// schema does not speak of.

/// Removes what the schema does not name and appends the paths of it ("spec.foo", "spec.list[0].bar") in sorted order.
void prune(json::Document& document, json::Node& object, const Structural& schema, bool root, std::vector<std::string>* unknown = nullptr);
/// Sets the defaults of absent members and of nulls that may be none; then removes the other nulls that may be none.
void set_defaults(json::Document& document, json::Node& value, const Structural& schema);
/// Makes metadata of the object, and of the resources embedded in it, what Kubernetes would read: unknown fields go, their
/// paths into `unknown`. A value of the wrong type is an error, or is dropped with `drop_malformed`.
Result<void> coerce_metadata(json::Document& document, json::Node& object, const Structural* schema, bool root, bool drop_malformed,
                             std::vector<std::string>* unknown = nullptr);

}  // namespace estiba::model
