// The API as data: constant tables of every type and resource, made from src/model/schema/*.api by tools/schema.py
// (notation: docs/schema.md). Everything generic — checking, defaulting, patches, protobuf, OpenAPI, structs — loops over
// these. The tables are constants of the program: no start-up cost, shared pages.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace estiba::model::schema {

struct Type;

/// What one value is, in JSON. `message` is an object with the fields of Field::type; `special` is written as its type's
/// Form says.
enum class Kind : uint8_t { string, boolean, int32, int64, number, bytes, object, any, message, special };

/// How a type is written. All but `message` are one value in JSON and have a protobuf form of their own.
enum class Form : uint8_t {
  message,
  quantity,    ///< string "500m"; a number is accepted
  time,        ///< RFC 3339, seconds
  micro_time,  ///< RFC 3339, microseconds
  int_or_string,
  raw_extension,      ///< any object, kept as it is
  fields,             ///< FieldsV1: any object
  patch,              ///< the body of a PATCH
  json,               ///< any value
  schema_or_array,    ///< a JSONSchemaProps or a list of them
  schema_or_bool,     ///< a JSONSchemaProps or a boolean
  schema_or_strings,  ///< a JSONSchemaProps or a list of strings
};

/// single: the value itself. map: an object with any keys. map_of_lists: an object whose values are lists.
enum class Shape : uint8_t { single, list, map, map_of_lists };
enum class ListType : uint8_t { none, atomic, set, map };
enum class MapType : uint8_t { none, atomic, granular };

/// What few fields have.
struct FieldMore {
  std::span<const std::string_view> keys;     ///< of a list of type map
  std::string_view merge_key;                 ///< for strategic merge patches
  std::string_view default_value;             ///< JSON text
  std::span<const std::string_view> allowed;  ///< an enum's values
  bool default_published;                     ///< the default stands in OpenAPI too; the others are only set by the server
};

struct Field {
  std::string_view name;  ///< in JSON
  const Type* type;       ///< for Kind::message and Kind::special, else null
  const FieldMore* more;  ///< may be null
  uint16_t number;        ///< in protobuf; 0: not there
  Kind kind;
  Shape shape;
  ListType list_type;
  MapType map_type;
  uint8_t embed;  ///< 0: directly in the message; else Type::embeds[embed - 1] holds it in protobuf
  bool required : 1;
  bool pointer : 1;  ///< zero differs from absent
  bool merge : 1;    ///< strategic merge patches merge this list
  bool replace : 1;
  bool retain_keys : 1;
  bool wrapped : 1;       ///< in protobuf the list is field 1 of a message of its own
  bool may_be_empty : 1;  ///< published as required, but an empty list is one: a node without storage drivers

  std::string_view merge_key() const { return more ? more->merge_key : std::string_view{}; }
  std::string_view default_value() const { return more ? more->default_value : std::string_view{}; }
  std::span<const std::string_view> keys() const { return more ? more->keys : std::span<const std::string_view>{}; }
};

/// A nested protobuf message whose fields are in JSON those of the outer object (an embedded struct of Go).
struct Embed {
  uint16_t number;
  uint8_t parent;  ///< like Field::embed
};

struct Package {
  std::string_view path;  ///< "io.k8s.api.apps.v1"
  std::string_view group, version;
  std::span<const Type> types;  ///< by name
};

struct Type {
  std::string_view name;  ///< "Deployment"
  const Package* package;
  std::span<const Field> fields;  ///< by protobuf number
  std::span<const Embed> embeds;
  std::string_view json;  ///< scalars: type and format for OpenAPI, "string:date-time"; else "object"
  Form form;
  MapType map_type;
  bool kind;        ///< has apiVersion and kind (which `fields` does not list)
  bool everywhere;  ///< belongs to every group and version (DeleteOptions)

  const Field* find(std::string_view field) const;
  /// "io.k8s.api.apps.v1.Deployment"
  std::string full_name() const;
};

struct Subresource {
  std::string_view name;  ///< "status"
  std::string_view group, version, kind;
  std::span<const std::string_view> verbs;
};

/// A column of `kubectl get`. `source` is a path (".spec.nodeName", with "|<none>" what stands for an absent value), a
/// function of one ("count:.data"), or the name of a computation ("pod-status"); docs/schema.md lists them.
struct Column {
  std::string_view name, type, source;
  bool wide;
};

struct Resource {
  std::string_view group, version, plural, singular, kind;
  const Type* type;  ///< of the kind
  bool namespaced;
  bool returns_deleted;  ///< DELETE answers with the object, not with a Status
  std::span<const std::string_view> short_names, categories, verbs;
  std::span<const Subresource> subresources;
  std::span<const Column> columns;

  bool can(std::string_view verb) const;
  const Subresource* find_subresource(std::string_view name) const;
};

struct Version {
  std::string_view name;
  std::span<const Resource> resources;
};

/// A group with its versions, the preferred one first.
struct Group {
  std::string_view name;
  std::span<const Version> versions;
};

std::span<const Package> packages();
std::span<const Type> types();
/// In the order of discovery.
std::span<const Group> groups();
std::span<const Resource> resources();

/// By its full name ("io.k8s.api.core.v1.Pod"), or null.
const Type* find_type(std::string_view full_name);
/// The type of a kind ("apps", "v1", "Deployment"), or null.
const Type* find_type(std::string_view group, std::string_view version, std::string_view kind);
/// The same by apiVersion ("apps/v1").
const Type* find_kind(std::string_view api_version, std::string_view kind);
const Group* find_group(std::string_view group);
const Version* find_version(std::string_view group, std::string_view version);
/// By its plural name ("deployments"), or null.
const Resource* find_resource(std::string_view group, std::string_view version, std::string_view plural);
const Resource* find_resource_of_kind(std::string_view group, std::string_view version, std::string_view kind);

/// "apps/v1" → {"apps", "v1"}; "v1" → {"", "v1"}.
std::pair<std::string_view, std::string_view> split_api_version(std::string_view api_version);
std::string join_api_version(std::string_view group, std::string_view version);

}  // namespace estiba::model::schema
