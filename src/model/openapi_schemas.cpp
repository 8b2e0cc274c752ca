#include <algorithm>

#include "base/strings.h"
#include "model/custom/definition.h"
#include "model/openapi_routes.h"
#include "model/openapi_texts.h"

namespace estiba::model::openapi {

using json::Document;
using json::Node;
using schema::Field;
using schema::Form;
using schema::Kind;
using schema::ListType;
using schema::MapType;
using schema::Shape;
using schema::Type;

Node& strings(Document& document, std::span<const std::string_view> values) {
  Node& out = document.make_array();
  for (std::string_view value : values) document.append(out, document.make_string(value));
  return out;
}

Node& gvk(Document& document, std::string_view group, std::string_view version, std::string_view kind) {
  Node& out = document.make_object();
  document.set(out, "group", group);
  document.set(out, "kind", kind);
  document.set(out, "version", version);
  return out;
}

Node& reference_to(Document& document, const Type& type, Dialect dialect) {
  Node& out = document.make_object();
  document.set(out, "$ref", (dialect == Dialect::v2 ? "#/definitions/" : "#/components/schemas/") + type.full_name());
  return out;
}

namespace {

class Schemas {
 public:
  Schemas(Document& document, Dialect dialect, std::vector<const Type*>* references)
      : document_(document), dialect_(dialect), references_(references) {}

  Node& type(const Type& type) {
    if (structural_of(type)) return custom(type);
    Node& out = document_.make_object();
    if (type.form != Form::message) {
      scalar(out, type);
      return out;
    }
    describe(out, &type, "");
    document_.set(out, "type", "object");
    std::vector<std::string_view> required;
    std::vector<std::pair<std::string_view, const Field*>> members;
    for (const Field& field : type.fields) {
      members.emplace_back(field.name, &field);
      if (field.required) required.push_back(field.name);
    }
    if (type.kind) {
      members.emplace_back("apiVersion", nullptr);
      members.emplace_back("kind", nullptr);
    }
    std::ranges::sort(members);
    if (!members.empty()) {
      Node& properties = document_.set(out, "properties", document_.make_object());
      for (const auto& [name, field] : members)
        document_.add(properties, name, described(field ? property(*field) : plain("string", ""), &type, name));
    }
    if (!required.empty()) document_.set(out, "required", strings(document_, required));
    if (type.kind) document_.set(out, "x-kubernetes-group-version-kind", kinds(type));
    map_type(out, type.map_type);
    return out;
  }

 private:
  // `member` empty: the type itself.
  void describe(Node& out, const Type* type, std::string_view member) {
    if (std::string_view text = description_of(type, member); !text.empty()) document_.set(out, "description", text);
  }

  Node& described(Node& out, const Type* type, std::string_view member) {
    describe(out, type, member);
    return out;
  }

  Node& plain(std::string_view type, std::string_view format) {
    Node& out = document_.make_object();
    document_.set(out, "type", type);
    if (!format.empty()) document_.set(out, "format", format);
    return out;
  }

  void scalar(Node& out, const Type& type) {
    if (dialect_ == Dialect::v3 && (type.form == Form::quantity || type.form == Form::int_or_string)) {
      if (type.form == Form::int_or_string) document_.set(out, "format", "int-or-string");
      Node& choices = document_.set(out, "oneOf", document_.make_array());
      document_.append(choices, plain(type.form == Form::quantity ? "string" : "integer", ""));
      document_.append(choices, plain(type.form == Form::quantity ? "number" : "string", ""));
      return;
    }
    const auto [name, format] = split_once(type.json, ':');
    if (name == "any") return;
    document_.set(out, "type", name);
    if (format) document_.set(out, "format", *format);
  }

  Node& kinds(const Type& type) {
    Node& out = document_.make_array();
    if (!type.everywhere) {
      document_.append(out, gvk(document_, type.package->group, type.package->version, type.name));
      return out;
    }
    for (const schema::Group& group : schema::groups())
      for (const schema::Version& version : group.versions) document_.append(out, gvk(document_, group.name, version.name, type.name));
    return out;
  }

  // A custom kind: its own schema, with what every object has.
  Node& custom(const Type& type) {
    const Structural& schema = *structural_of(type);
    Node* out = nullptr;
    if (dialect_ == Dialect::v2 && (schema.preserve || !schema.source)) {
      out = &plain("object", "");  // old clients complain about every field if some are listed
    } else {
      out = schema.source ? &copied(*schema.source) : &plain("object", "");
      if (out->string_at("type").empty()) document_.set(*out, "type", "object");
      common(*out);
    }
    document_.set(*out, "x-kubernetes-group-version-kind", kinds(type));
    return *out;
  }

  void common(Node& out) {
    static const Type& metadata = *schema::find_type("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    Node& properties = document_.ensure_object(out, "properties");
    document_.set(properties, "apiVersion", described(plain("string", ""), nullptr, "apiVersion"));
    document_.set(properties, "kind", described(plain("string", ""), nullptr, "kind"));
    if (references_) references_->push_back(&metadata);
    document_.set(properties, "metadata", reference_to(document_, metadata, dialect_));
  }

  // Version 2 cannot say nullable, alternatives and open objects: there they say less.
  bool left_out(std::string_view key, bool nullable, bool preserve) const {
    if (key == "properties" || key == "items" || key == "additionalProperties")
      return dialect_ == Dialect::v2 && (nullable || (preserve && key != "additionalProperties"));
    if (dialect_ == Dialect::v3) return false;
    if (key == "type") return nullable;
    return key == "nullable" || key == "allOf" || key == "anyOf" || key == "oneOf" || key == "not" || key == "default";
  }

  static bool is_true(const Node& schema, std::string_view key) {
    const Node* node = schema.find(key);
    return node && node->as_bool();
  }

  Node& copied(const Node& source) {
    const bool nullable = is_true(source, "nullable"), preserve = is_true(source, "x-kubernetes-preserve-unknown-fields");
    Node& out = document_.make_object();
    for (const Node& member : source) {
      const std::string_view key = member.key();
      if (left_out(key, nullable, preserve)) continue;
      if (key == "properties") {
        Node& properties = document_.add(out, key, document_.make_object());
        for (const Node& property : member) document_.add(properties, property.key(), copied(property));
      } else if (key == "items" || (key == "additionalProperties" && member.is_object())) {
        document_.add(out, key, copied(member));
      } else if (key == "required" && dialect_ == Dialect::v2) {
        required(out, source, member);
      } else {
        document_.add(out, key, document_.copy(member));
      }
    }
    if (is_true(source, "x-kubernetes-embedded-resource") && !(dialect_ == Dialect::v2 && (preserve || nullable))) common(out);
    return out;
  }

  // A required member that may be null is not required where null cannot be told.
  void required(Node& out, const Node& source, const Node& names) {
    Node& kept = document_.make_array();
    for (const Node& name : names) {
      const Node* property = source.at("properties", name.as_string());
      if (!property || !is_true(*property, "nullable")) document_.append(kept, document_.copy(name));
    }
    if (!kept.empty()) document_.add(out, "required", kept);
  }

  void map_type(Node& out, MapType type) {
    if (type != MapType::none) document_.set(out, "x-kubernetes-map-type", type == MapType::atomic ? "atomic" : "granular");
  }

  Node& one(const Field& field) {
    switch (field.kind) {
      case Kind::string: return plain("string", "");
      case Kind::boolean: return plain("boolean", "");
      case Kind::int32: return plain("integer", "int32");
      case Kind::int64: return plain("integer", "int64");
      case Kind::number: return plain("number", "double");
      case Kind::bytes: return plain("string", "byte");
      case Kind::object: return plain("object", "");
      case Kind::any: return document_.make_object();
      case Kind::message:
      case Kind::special: break;
    }
    if (references_) references_->push_back(field.type);
    return reference_to(document_, *field.type, dialect_);
  }

  Node& array(const Field& field) {
    Node& out = plain("array", "");
    document_.set(out, "items", one(field));
    return out;
  }

  Node& property(const Field& field) {
    Node* out = nullptr;
    switch (field.shape) {
      case Shape::single: out = &one(field); break;
      case Shape::list: out = &array(field); break;
      case Shape::map:
      case Shape::map_of_lists:
        out = &plain("object", "");
        document_.set(*out, "additionalProperties", field.shape == Shape::map ? one(field) : array(field));
    }
    static constexpr std::string_view list_types[] = {"", "atomic", "set", "map"};
    if (!field.keys().empty()) document_.set(*out, "x-kubernetes-list-map-keys", strings(document_, field.keys()));
    if (field.list_type != ListType::none) document_.set(*out, "x-kubernetes-list-type", list_types[size_t(field.list_type)]);
    if (!field.merge_key().empty()) document_.set(*out, "x-kubernetes-patch-merge-key", field.merge_key());
    std::string strategy = field.replace ? "replace" : field.merge ? "merge" : "";
    if (field.retain_keys) strategy += strategy.empty() ? "retainKeys" : ",retainKeys";
    if (!strategy.empty()) document_.set(*out, "x-kubernetes-patch-strategy", strategy);
    map_type(*out, field.map_type);
    if (dialect_ == Dialect::v3 && field.more && field.more->default_published)
      if (const auto value = Document::parse(field.default_value())) document_.set(*out, "default", document_.copy(value->root()));
    return *out;
  }

  Document& document_;
  Dialect dialect_;
  std::vector<const Type*>* references_;
};

}  // namespace

Node& schema_of(Document& document, const Type& type, Dialect dialect, std::vector<const Type*>* references) {
  return Schemas(document, dialect, references).type(type);
}

}  // namespace estiba::model::openapi
