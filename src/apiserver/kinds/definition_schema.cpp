// The openAPIV3Schema of a CustomResourceDefinition: that it is structural, that its extensions fit together, that its
// defaults are valid. (Kubernetes: apiextensions-apiserver, schema.ValidateStructural and
// ValidateCustomResourceDefinitionOpenAPISchema; the paths and words are theirs.)
#include <algorithm>

#include "apiserver/custom/checks.h"
#include "apiserver/custom/values.h"
#include "apiserver/edit.h"
#include "apiserver/kinds/definition.h"
#include "base/strings.h"
#include "model/custom/structural.h"

namespace estiba::apiserver::definition {
namespace {

using json::Node;
using model::Structural;

std::string child(const std::string& path, std::string_view key) { return path + "." + std::string(key); }
std::string property(const std::string& path, std::string_view key) { return at(path + ".properties", key); }
bool flag(const Node& schema, std::string_view key) {
  const Node* value = schema.find(key);
  return value && value->as_bool();
}
const Node* object_at(const Node& schema, std::string_view key) {
  const Node* value = schema.find(key);
  return value && value->is_object() ? value : nullptr;
}
bool is_meta(std::string_view key) { return key == "apiVersion" || key == "kind" || key == "metadata"; }

// anyOf: [{type: integer}, {type: string}], the one place where types may stand in alternatives.
bool is_int_or_string(const Node* list) {
  if (!present(list) || list->size() != 2) return false;
  const auto only = [](const Node& schema, std::string_view type) { return schema.size() == 1 && schema.string_at("type") == type; };
  return only((*list)[0], "integer") && only((*list)[1], "string");
}

// ---- structural invariants

enum class Level : uint8_t { root, item, field };

class StructuralRules {
 public:
  explicit StructuralRules(FieldErrors& errors) : errors_(errors) {}

  void schema(const Node& schema, Level level, const std::string& path) {
    below(schema, level, path);
    extensions(schema, path);
    const Node* all = schema.find("allOf");
    const bool first_any = present(all) && !all->empty() && is_int_or_string((*all)[0].find("anyOf"));
    values(schema, is_int_or_string(schema.find("anyOf")), first_any, path);
    type(schema, level, path);
    if (level == Level::root || flag(schema, "x-kubernetes-embedded-resource")) resource(schema, level, path);
  }

  // Every field that alternatives speak of must be declared outside of them.
  void complete(const Node& schema, const std::string& path) {
    complete_values(schema, schema, path, path);
    if (const Node* items = object_at(schema, "items")) complete(*items, child(path, "items"));
    if (const Node* additional = object_at(schema, "additionalProperties")) complete(*additional, child(path, "additionalProperties"));
    if (const Node* properties = object_at(schema, "properties"))
      for (const Node& each : *properties) complete(each, property(path, each.key()));
  }

 private:
  void below(const Node& schema, Level level, const std::string& path) {
    const Node* items = object_at(schema, "items");
    if (schema.string_at("type") == "array" && !items) errors_.required(child(path, "items"), "must be specified");
    if (items) this->schema(*items, Level::item, child(path, "items"));
    if (const Node* properties = object_at(schema, "properties"))
      for (const Node& each : *properties) this->schema(each, Level::field, property(path, each.key()));
    const Node* additional = schema.find("additionalProperties");
    if (!present(additional)) return;
    if (level == Level::root) errors_.forbidden(child(path, "additionalProperties"), "must not be used at the root");
    if (additional->is_object()) this->schema(*additional, Level::field, child(path, "additionalProperties"));
    if (flag(schema, "x-kubernetes-embedded-resource"))
      errors_.forbidden(child(path, "additionalProperties"), "must not be used if x-kubernetes-embedded-resource is set");
  }

  void extensions(const Node& schema, const std::string& path) {
    if (!flag(schema, "x-kubernetes-int-or-string")) return;
    for (std::string_view key : {"x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"})
      if (flag(schema, key)) errors_.invalid(child(path, key), schema.find(key), "must be false if x-kubernetes-int-or-string is true");
  }

  void type(const Node& schema, Level level, const std::string& path) {
    const std::string_view type = schema.string_at("type");
    const std::string field = child(path, "type");
    if (flag(schema, "x-kubernetes-embedded-resource") && type != "object") {
      constexpr std::string_view why = "must be object if x-kubernetes-embedded-resource is true";
      if (type.empty()) errors_.required(field, why);
      else errors_.invalid_string(field, type, why);
    } else if (type.empty() && !flag(schema, "x-kubernetes-int-or-string") && !flag(schema, "x-kubernetes-preserve-unknown-fields")) {
      errors_.required(field, level == Level::root   ? "must not be empty at the root"
                              : level == Level::item ? "must not be empty for specified array items"
                                                     : "must not be empty for specified object fields");
    }
    if (level == Level::root && !type.empty() && type != "object") errors_.invalid_string(field, type, "must be object at the root");
  }

  void resource(const Node& schema, Level level, const std::string& path) {
    const Node* properties = object_at(schema, "properties");
    for (std::string_view key : {"kind", "apiVersion"}) {
      const Node* text = properties ? properties->find(key) : nullptr;
      if (text && text->string_at("type") != "string")
        errors_.invalid_string(child(property(path, key), "type"), text->string_at("type"), "must be string");
    }
    if (const Node* metadata = properties ? properties->find("metadata") : nullptr) {
      const std::string field = property(path, "metadata");
      if (metadata->string_at("type") != "object")
        errors_.invalid_string(child(field, "type"), metadata->string_at("type"), "must be object");
      if (level == Level::root && !only_names(*metadata))
        errors_.forbidden(field, "must not specify anything other than name and generateName, but metadata is implicitly specified");
    }
    if (flag(schema, "x-kubernetes-embedded-resource") && !flag(schema, "x-kubernetes-preserve-unknown-fields") &&
        (!properties || properties->empty()))
      errors_.required(child(path, "properties"),
                       "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields");
  }

  static bool only_names(const Node& metadata) {
    for (const Node& member : metadata) {
      if (member.key() == "type" || member.key() == "default") continue;
      if (member.key() != "properties") return false;
      for (const Node& each : member)
        if (each.key() != "name" && each.key() != "generateName") return false;
    }
    return true;
  }

  void values(const Node& schema, bool skip_any, bool skip_first_any, const std::string& path) {
    const auto each = [&](std::string_view key, auto&& visit) {
      const Node* list = schema.find(key);
      if (!present(list)) return;
      size_t i = 0;
      for (const Node& one : *list) visit(one, i), ++i;
    };
    if (!skip_any) each("anyOf", [&](const Node& one, size_t i) { nested(one, false, at(child(path, "anyOf"), i)); });
    each("allOf", [&](const Node& one, size_t i) { nested(one, skip_first_any && i == 0, at(child(path, "allOf"), i)); });
    each("oneOf", [&](const Node& one, size_t i) { nested(one, false, at(child(path, "oneOf"), i)); });
    if (const Node* negated = object_at(schema, "not")) nested(*negated, false, child(path, "not"));
    const std::string_view pattern = schema.string_at("pattern");
    if (pattern.empty()) return;
    if (auto compiled = Pattern::compile(pattern); !compiled)
      errors_.invalid_string(child(path, "pattern"), pattern, "must be a valid regular expression, but isn't: " + compiled.error().message);
  }

  void nested(const Node& schema, bool skip_any, const std::string& path) {
    values(schema, skip_any, false, path);
    if (const Node* items = object_at(schema, "items")) nested(*items, false, child(path, "items"));
    const Node* properties = object_at(schema, "properties");
    if (properties)
      for (const Node& each : *properties) nested(each, false, property(path, each.key()));
    struct Rule {
      std::string_view key, message;
    };
    static constexpr Rule rules[] = {{"type", "must be empty to be structural"},
                                     {"additionalProperties", "must be undefined to be structural"},
                                     {"default", "must be undefined to be structural"},
                                     {"title", "must be empty to be structural"},
                                     {"description", "must be empty to be structural"},
                                     {"nullable", "must be false to be structural"},
                                     {"x-kubernetes-preserve-unknown-fields", "must be false to be structural"},
                                     {"x-kubernetes-embedded-resource", "must be false to be structural"},
                                     {"x-kubernetes-int-or-string", "must be false to be structural"},
                                     {"x-kubernetes-list-map-keys", "must be empty to be structural"},
                                     {"x-kubernetes-list-type", "must be undefined to be structural"},
                                     {"x-kubernetes-map-type", "must be undefined to be structural"},
                                     {"x-kubernetes-validations", "must be empty to be structural"}};
    for (const Rule& rule : rules) {
      const Node* value = schema.find(rule.key);
      const bool said = value && (value->is_bool() && rule.key != "additionalProperties" ? value->as_bool() : !value->is_null());
      if (said) errors_.forbidden(child(path, rule.key), rule.message);
    }
    if (properties && properties->find("metadata"))
      errors_.forbidden(property(path, "metadata"), "must not be specified in a nested context");
  }

  void complete_values(const Node& values, const Node& schema, const std::string& path, const std::string& values_path) {
    for (std::string_view key : {"allOf", "anyOf", "oneOf"}) {
      const Node* list = values.find(key);
      if (!present(list)) continue;
      size_t i = 0;
      for (const Node& one : *list) complete_nested(one, &schema, path, at(child(values_path, key), i++));
    }
    if (const Node* negated = object_at(values, "not")) complete_nested(*negated, &schema, path, child(values_path, "not"));
  }

  void complete_nested(const Node& values, const Node* schema, const std::string& path, const std::string& values_path) {
    if (!schema) return errors_.required(path, "because it is defined in " + values_path);
    complete_values(values, *schema, path, values_path);
    if (const Node* items = object_at(values, "items"))
      complete_nested(*items, object_at(*schema, "items"), child(path, "items"), child(values_path, "items"));
    const Node *properties = object_at(values, "properties"), *declared = object_at(*schema, "properties");
    if (!properties) return;
    for (const Node& each : *properties)
      complete_nested(each, declared ? declared->find(each.key()) : nullptr, property(path, each.key()), property(values_path, each.key()));
  }

  FieldErrors& errors_;
};

// ---- what OpenAPI offers and Kubernetes does not, and extensions that must fit together

class SchemaRules {
 public:
  explicit SchemaRules(FieldErrors& errors) : errors_(errors) {}

  struct Place {
    bool root = false, inside_meta = false;
    std::string_view no_defaults{};  // why defaults are forbidden here; empty: they are not
  };

  void schema(const Node& schema, const std::string& path, const Place& place) {
    offered(schema, path, place);
    if (flag(schema, "uniqueItems"))
      errors_.forbidden(child(path, "uniqueItems"), "uniqueItems cannot be set to true since the runtime complexity becomes quadratic");
    below(schema, path, place);
    const Node* preserve = schema.find("x-kubernetes-preserve-unknown-fields");
    if (preserve && preserve->is_bool() && !preserve->as_bool())
      errors_.invalid(child(path, "x-kubernetes-preserve-unknown-fields"), preserve, "must be true or undefined");
    map_type(schema, path);
    list_type(schema, path);
    list_items(schema, path);
    check_rule_texts(schema, path, errors_);
  }

 private:
  void offered(const Node& schema, const std::string& path, const Place& place) {
    const std::string_view type = schema.string_at("type");
    static constexpr std::string_view types[] = {"array", "boolean", "integer", "number", "object", "string"};
    if (!type.empty() && std::find(std::begin(types), std::end(types), type) == std::end(types))
      errors_.not_supported(child(path, "type"), type, types);
    if (present(schema.find("default")) && !place.no_defaults.empty())
      errors_.forbidden(child(path, "default"), "must not be set " + std::string(place.no_defaults));
    for (std::string_view key : {"id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"}) {
      const Node* value = schema.find(key);
      if (present(value) && !(value->is_string() && value->as_string().empty()))
        errors_.forbidden(child(path, key), std::string(key) + " is not supported");
    }
    if (type == "null") errors_.forbidden(child(path, "type"), "type cannot be set to null, use nullable as an alternative");
    if (const Node* items = schema.find("items"); items && items->is_array())
      errors_.forbidden(child(path, "items"), "items must be a schema object and not an array");
    if (place.inside_meta && flag(schema, "x-kubernetes-embedded-resource"))
      errors_.forbidden(child(path, "x-kubernetes-embedded-resource"), "must not be used inside of resource meta");
  }

  void below(const Node& schema, const std::string& path, const Place& place) {
    Place inner = place;
    inner.root = false;
    const Node *properties = object_at(schema, "properties"), *additional = schema.find("additionalProperties");
    if (present(additional)) {
      if (properties && !properties->empty() && (additional->is_object() || !additional->as_bool()))
        errors_.forbidden(child(path, "additionalProperties"), "additionalProperties and properties are mutual exclusive");
      Place values = inner;
      if (place.inside_meta) values.no_defaults = "inside additionalProperties applying to object metadata";
      if (additional->is_object()) this->schema(*additional, child(path, "additionalProperties"), values);
    }
    if (properties) {
      for (const Node& each : *properties) {
        Place member = inner;
        if ((place.root || flag(schema, "x-kubernetes-embedded-resource")) && is_meta(each.key())) {
          member.inside_meta = true;
          if (place.root)
            member.no_defaults = each.key() == "metadata" ? "in top-level metadata"
                                 : each.key() == "kind"   ? "in top-level kind"
                                                          : "in top-level apiVersion";
        }
        this->schema(each, property(path, each.key()), member);
      }
    }
    if (const Node* negated = object_at(schema, "not")) this->schema(*negated, child(path, "not"), inner);
    for (std::string_view key : {"allOf", "oneOf", "anyOf"}) {
      const Node* list = schema.find(key);
      if (!present(list)) continue;
      size_t i = 0;
      for (const Node& one : *list) this->schema(one, at(child(path, key), i++), inner);
    }
    if (const Node* items = object_at(schema, "items")) this->schema(*items, child(path, "items"), inner);
  }

  void needs_type(const Node& schema, const std::string& path, std::string_view type, std::string_view extension) {
    const std::string why = "must be " + std::string(type) + " if " + std::string(extension) + " is specified";
    if (schema.string_at("type").empty()) errors_.required(child(path, "type"), why);
    else errors_.invalid_string(child(path, "type"), schema.string_at("type"), why);
  }

  void map_type(const Node& schema, const std::string& path) {
    const Node* type = schema.find("x-kubernetes-map-type");
    if (!present(type)) return;
    if (schema.string_at("type") != "object") needs_type(schema, path, "object", "x-kubernetes-map-type");
    if (type->as_string() != "atomic" && type->as_string() != "granular")
      errors_.not_supported(child(path, "x-kubernetes-map-type"), type->as_string(), {"atomic", "granular"});
  }

  void list_type(const Node& schema, const std::string& path) {
    const Node *type = schema.find("x-kubernetes-list-type"), *keys = schema.find("x-kubernetes-list-map-keys");
    if (present(type)) {
      const std::string_view text = type->as_string();
      if (schema.string_at("type") != "array") needs_type(schema, path, "array", "x-kubernetes-list-type");
      else if (text == "set") set_items(schema, path);
      if (text != "atomic" && text != "set" && text != "map")
        errors_.not_supported(child(path, "x-kubernetes-list-type"), text, {"atomic", "set", "map"});
    }
    if (present(keys) && !keys->empty()) {
      constexpr std::string_view why = "must be map if x-kubernetes-list-map-keys is non-empty";
      if (!present(type)) errors_.required(child(path, "x-kubernetes-list-type"), why);
      else if (type->as_string() != "map") errors_.invalid(child(path, "x-kubernetes-list-type"), type, why);
    }
    if (present(type) && type->as_string() == "map") map_keys(schema, keys, path);
  }

  void set_items(const Node& schema, const std::string& path) {
    const Node* items = object_at(schema, "items");
    if (!items) return;
    const std::string_view type = items->string_at("type");
    constexpr std::string_view why = "must be atomic as item of a list with x-kubernetes-list-type=set";
    const Node *list = items->find("x-kubernetes-list-type"), *map = items->find("x-kubernetes-map-type");
    if (type == "array" && present(list) && list->as_string() != "atomic")
      errors_.invalid(path + ".items.x-kubernetes-list-type", list, why);
    if (type == "object" && (!present(map) || map->as_string() != "atomic"))
      errors_.invalid(path + ".items.x-kubernetes-map-type", map, why);
  }

  void map_keys(const Node& schema, const Node* keys, const std::string& path) {
    const std::string field = child(path, "x-kubernetes-list-map-keys");
    const Node* items = object_at(schema, "items");
    if (!present(keys) || keys->empty()) errors_.required(field, "must not be empty if x-kubernetes-list-type is map");
    if (!items) return errors_.required(child(path, "items"), "must have a schema if x-kubernetes-list-type is map");
    if (items->string_at("type") != "object")
      return errors_.invalid_string(path + ".items.type", items->string_at("type"),
                                    "must be object if parent array's x-kubernetes-list-type is map");
    if (!present(keys)) return;
    std::vector<std::string_view> seen;
    for (const Node& key : *keys) {
      const Node* declared = items->at("properties", key.as_string());
      if (!declared) {
        errors_.invalid(field, keys, "entries must all be names of item properties");
      } else if (const std::string_view type = declared->string_at("type"); type == "array" || type == "object") {
        errors_.invalid_string(child(property(path + ".items", key.as_string()), "type"), items->string_at("type"),
                               "must be a scalar type if parent array's x-kubernetes-list-type is map");
      }
      if (std::find(seen.begin(), seen.end(), key.as_string()) != seen.end())
        errors_.invalid(field, keys, "must not contain duplicate entries");
      seen.push_back(key.as_string());
    }
  }

  // Elements of sets and maps must be there, with their keys.
  void list_items(const Node& schema, const std::string& path) {
    const std::string_view type = schema.string_at("x-kubernetes-list-type");
    const Node* items = object_at(schema, "items");
    if (!items || (type != "set" && type != "map")) return;
    if (flag(*items, "nullable"))
      errors_.forbidden(path + ".items.nullable", "cannot be nullable when x-kubernetes-list-type is " + std::string(type));
    const Node* keys = schema.find("x-kubernetes-list-map-keys");
    if (type != "map" || !present(keys)) return;
    const Node* required = items->find("required");
    for (const Node& key : *keys) {
      const Node* declared = items->at("properties", key.as_string());
      if (!declared) continue;
      const std::string field = property(path + ".items", key.as_string());
      const bool needed = present(required) &&
                          std::any_of(required->begin(), required->end(), [&](const Node& n) { return n.as_string() == key.as_string(); });
      if (!needed && !present(declared->find("default")))
        errors_.required(field + ".default",
                         "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property");
      if (flag(*declared, "nullable"))
        errors_.forbidden(field + ".nullable", "this property is in x-kubernetes-list-map-keys, so it cannot be nullable");
    }
  }

  FieldErrors& errors_;
};

// With a subresource status, the root may only say what can be said of the status alone too.
void check_root(const Node& schema, const std::string& path, FieldErrors& errors) {
  struct Allowed {
    std::string_view key, shown;
  };
  static constexpr Allowed allowed[] = {{"description", "Description"},
                                        {"type", "Type"},
                                        {"format", "Format"},
                                        {"title", "Title"},
                                        {"maximum", "Maximum"},
                                        {"exclusiveMaximum", "ExclusiveMaximum"},
                                        {"minimum", "Minimum"},
                                        {"exclusiveMinimum", "ExclusiveMinimum"},
                                        {"maxLength", "MaxLength"},
                                        {"minLength", "MinLength"},
                                        {"pattern", "Pattern"},
                                        {"maxItems", "MaxItems"},
                                        {"minItems", "MinItems"},
                                        {"uniqueItems", "UniqueItems"},
                                        {"multipleOf", "MultipleOf"},
                                        {"required", "Required"},
                                        {"items", "Items"},
                                        {"properties", "Properties"},
                                        {"externalDocs", "ExternalDocs"},
                                        {"example", "Example"},
                                        {"x-kubernetes-preserve-unknown-fields", "XPreserveUnknownFields"},
                                        {"x-kubernetes-validations", "XValidations"}};
  const std::string_view type = schema.string_at("type");
  if (!type.empty() && type != "object")
    return errors.invalid_string(child(path, "type"), type,
                                 "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled");
  for (const Node& member : schema) {
    if (member.is_null() ||
        std::any_of(std::begin(allowed), std::end(allowed), [&](const Allowed& one) { return one.key == member.key(); }))
      continue;
    std::string names;
    for (const Allowed& one : allowed) names.append(names.empty() ? "" : " ").append(one.shown);
    return errors.invalid(path, &schema,
                          "only [" + names + "] fields are allowed at the root of the schema if the status subresource is enabled");
  }
}

// ---- defaults

class DefaultRules {
 public:
  DefaultRules(const Checks& checks, FieldErrors& errors) : checks_(checks), errors_(errors) {}

  void schema(const Structural& schema, const std::string& path, bool resource) {
    if (!schema.has_defaults) return;
    if (schema.default_value) value(schema, child(path, "default"));
    if (schema.items) this->schema(*schema.items, child(path, "items"), schema.items->embedded);
    for (const auto& [key, each] : schema.properties)
      if (!resource || !is_meta(key)) this->schema(each, property(path, key), each.embedded);
  }

 private:
  void value(const Structural& schema, const std::string& path) {
    json::Document doc;
    json::Node& copy = doc.copy(*schema.default_value);
    doc.set_root(copy);
    model::prune(doc, copy, schema, schema.embedded);
    if (!json::equal(copy, *schema.default_value)) errors_.invalid(path, schema.default_value, "must not have unknown fields");
    if (auto read = model::coerce_metadata(doc, copy, &schema, schema.embedded, false); !read)
      return errors_.invalid(path, schema.default_value, read.error().message);
    const size_t before = errors_.causes().size();
    check_embedded(*schema.default_value, schema, path, errors_);
    if (errors_.causes().size() == before) check_value(*schema.default_value, schema, checks_, nullptr, path, errors_);
  }

  const Checks& checks_;
  FieldErrors& errors_;
};

}  // namespace

void check_structural(const Node& schema, const std::string& path, FieldErrors& errors) {
  FieldErrors found;
  StructuralRules rules(found);
  rules.schema(schema, Level::root, path);
  rules.complete(schema, path);
  auto causes = found.take();
  std::ranges::sort(causes, {}, [](const FieldCause& cause) { return cause.field + ": " + cause.message; });
  for (FieldCause& cause : causes) errors.add(std::move(cause));
}

void check_defaults(const Node& schema, const std::string& path, FieldErrors& errors) {
  const Structural parsed = Structural::parse(schema);
  if (!parsed.has_defaults) return;
  Checks checks;
  compile_patterns(parsed, checks);
  DefaultRules(checks, errors).schema(parsed, path, true);
}

void check_rule_texts(const Node& schema, const std::string& path, FieldErrors& errors) {
  const Node* rules = schema.find("x-kubernetes-validations");
  if (!present(rules)) return;
  static constexpr std::string_view reasons[] = {"FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"};
  const auto lines = [](std::string_view text) { return text.find_first_of("\n\r") != std::string_view::npos; };
  size_t i = 0;
  for (const Node& rule : *rules) {
    const std::string where = at(child(path, "x-kubernetes-validations"), i++);
    const std::string_view message = rule.string_at("message"), expression = trim(rule.string_at("rule")),
                           field = rule.string_at("fieldPath");
    if (expression.empty()) errors.required(where + ".rule", "rule is not specified");
    else if (!message.empty() && trim(message).empty())
      errors.invalid_string(where + ".message", message, "must be non-empty if specified");
    else if (lines(trim(message))) errors.invalid_string(where + ".message", message, "must not contain line breaks");
    else if (lines(expression) && trim(message).empty())
      errors.required(where + ".message", "message must be specified if rule contains line breaks");
    const std::string_view made = rule.string_at("messageExpression");
    if (!made.empty() && trim(made).empty())
      errors.required(where + ".messageExpression", "messageExpression must be non-empty if specified");
    const Node* reason = rule.find("reason");
    if (present(reason) && std::find(std::begin(reasons), std::end(reasons), reason->as_string()) == std::end(reasons))
      errors.not_supported(where + ".reason", reason->as_string(), reasons);
    if (!field.empty() && trim(field).empty()) errors.invalid_string(where + ".fieldPath", field, "must be non-empty if specified");
    if (lines(field)) errors.invalid_string(where + ".fieldPath", field, "must not contain line breaks");
  }
}

void check_schema(const Node& schema, const std::string& path, bool status_enabled, FieldErrors& errors) {
  if (status_enabled) check_root(schema, path, errors);
  if (flag(schema, "nullable")) errors.forbidden(child(path, "nullable"), "nullable cannot be true at the root");
  const size_t before = errors.causes().size();
  check_structural(schema, path, errors);
  if (errors.causes().size() == before) check_defaults(schema, path, errors);
  SchemaRules(errors).schema(schema, path, {.root = true});
  // Expressions are looked at only where their types are sound.
  if (errors.causes().size() == before) check_rules(Structural::parse(schema), path, errors);
}

}  // namespace estiba::apiserver::definition
