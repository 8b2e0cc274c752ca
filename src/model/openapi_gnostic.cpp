// OpenAPI v2 in gnostic's protobuf (message openapi.v2.Document of github.com/google/gnostic, openapiv2/OpenAPIv2.proto):
// one walk over the JSON document, with a table of field numbers a message.
#include "base/protobuf_wire.h"
#include "model/openapi.h"
#include "model/yaml.h"

namespace estiba::model {

using json::Node;

namespace {

// How a member is written.
enum class As : uint8_t {
  text,
  texts,
  message,      // the message of `to`
  messages,     // a list of them
  named,        // an object: a message that repeats {name = 1, value = 2}, the value being the message of `to`
  boxed_text,   // TypeItem: a list with one string
  boxed,        // ItemsItem, SchemaItem, AdditionalPropertiesItem: the message of `to` as field 1
  named_lists,  // an object of lists of strings, as SecurityRequirement holds them
};

enum class Message : uint8_t { document, info, paths, path, operation, parameter, responses, response, schema, security, none };

struct Entry {
  Message in;
  std::string_view key;
  uint8_t number;
  As as;
  Message to = Message::none;
};

constexpr Entry entries[] = {
    {Message::document, "swagger", 1, As::text},
    {Message::document, "info", 2, As::message, Message::info},
    {Message::document, "paths", 8, As::message, Message::paths},
    {Message::document, "definitions", 9, As::named, Message::schema},
    {Message::document, "parameters", 10, As::named, Message::parameter},
    {Message::document, "security", 12, As::named_lists},
    {Message::document, "securityDefinitions", 13, As::named, Message::security},
    {Message::info, "title", 1, As::text},
    {Message::info, "version", 2, As::text},
    {Message::path, "get", 2, As::message, Message::operation},
    {Message::path, "put", 3, As::message, Message::operation},
    {Message::path, "post", 4, As::message, Message::operation},
    {Message::path, "delete", 5, As::message, Message::operation},
    {Message::path, "options", 6, As::message, Message::operation},
    {Message::path, "head", 7, As::message, Message::operation},
    {Message::path, "patch", 8, As::message, Message::operation},
    {Message::path, "parameters", 9, As::messages, Message::parameter},
    {Message::operation, "tags", 1, As::texts},
    {Message::operation, "operationId", 5, As::text},
    {Message::operation, "produces", 6, As::texts},
    {Message::operation, "consumes", 7, As::texts},
    {Message::operation, "parameters", 8, As::messages, Message::parameter},
    {Message::operation, "responses", 9, As::message, Message::responses},
    {Message::operation, "schemes", 10, As::texts},
    {Message::response, "description", 1, As::text},
    {Message::response, "schema", 2, As::boxed, Message::schema},
    {Message::schema, "$ref", 1, As::text},
    {Message::schema, "format", 2, As::text},
    {Message::schema, "description", 4, As::text},
    {Message::schema, "required", 19, As::texts},
    {Message::schema, "additionalProperties", 21, As::boxed, Message::schema},
    {Message::schema, "type", 22, As::boxed_text},
    {Message::schema, "items", 23, As::boxed, Message::schema},
    {Message::schema, "properties", 25, As::named, Message::schema},
};

uint8_t extension_number(Message message) {
  switch (message) {
    case Message::document: return 16;
    case Message::path: return 10;
    case Message::operation: return 13;
    case Message::schema: return 31;
    default: return 0;
  }
}

class Gnostic {
 public:
  std::string message(const Node& node, Message kind) {
    switch (kind) {
      case Message::paths: return named(node, 2, Message::path);
      case Message::responses: return responses(node);
      case Message::parameter: return parameter(node);
      case Message::security: return security(node);
      default: break;
    }
    std::string out;
    for (const Node& member : node) {
      if (member.key().starts_with("x-")) extension(out, member, extension_number(kind));
      else if (const Entry* entry = find(kind, member.key())) field(out, member, *entry);
    }
    return out;
  }

 private:
  static const Entry* find(Message kind, std::string_view key) {
    for (const Entry& entry : entries)
      if (entry.in == kind && entry.key == key) return &entry;
    return nullptr;
  }

  void field(std::string& out, const Node& node, const Entry& entry) {
    switch (entry.as) {
      case As::text: wire::put_bytes(out, entry.number, node.as_string()); return;
      case As::texts:
        for (const Node& element : node) wire::put_bytes(out, entry.number, element.as_string());
        return;
      case As::message: wire::put_bytes(out, entry.number, message(node, entry.to)); return;
      case As::messages:
        for (const Node& element : node) wire::put_bytes(out, entry.number, parameter_item(element));
        return;
      case As::named: wire::put_bytes(out, entry.number, named(node, 1, entry.to)); return;
      case As::boxed_text: wire::put_bytes(out, entry.number, boxed(node.as_string())); return;
      case As::boxed: wire::put_bytes(out, entry.number, boxed(message(node, entry.to))); return;
      case As::named_lists:
        for (const Node& element : node) wire::put_bytes(out, entry.number, requirement(element));
        return;
    }
  }

  static std::string boxed(std::string_view inner, uint8_t number = 1) {
    std::string out;
    wire::put_bytes(out, number, inner);
    return out;
  }

  static std::string pair(std::string_view name, std::string_view value) {
    std::string out;
    wire::put_bytes(out, 1, name);
    wire::put_bytes(out, 2, value);
    return out;
  }

  std::string named(const Node& node, uint8_t number, Message kind) {
    std::string out;
    for (const Node& member : node) wire::put_bytes(out, number, pair(member.key(), message(member, kind)));
    return out;
  }

  // NamedAny{name, Any{yaml}}
  void extension(std::string& out, const Node& node, uint8_t number) {
    if (number) wire::put_bytes(out, number, pair(node.key(), boxed(print_yaml(node), 2)));
  }

  std::string responses(const Node& node) {
    std::string out;
    for (const Node& member : node) wire::put_bytes(out, 1, pair(member.key(), boxed(message(member, Message::response))));
    return out;
  }

  std::string requirement(const Node& node) {
    std::string out;
    for (const Node& member : node) wire::put_bytes(out, 1, pair(member.key(), ""));
    return out;
  }

  // SecurityDefinitionsItem{api_key_security = 2}
  std::string security(const Node& node) {
    std::string key;
    wire::put_bytes(key, 1, node.string_at("type"));
    wire::put_bytes(key, 2, node.string_at("name"));
    wire::put_bytes(key, 3, node.string_at("in"));
    return boxed(key, 2);
  }

  std::string parameter_item(const Node& node) {
    if (const Node* reference = node.find("$ref")) return boxed(boxed(reference->as_string()), 2);
    return boxed(parameter(node));
  }

  // Parameter: a body, or the sub-schema of its place.
  std::string parameter(const Node& node) {
    std::string out;
    const std::string_view in = node.string_at("in");
    const Node* flag = node.find("required");
    if (in == "body") {
      wire::put_bytes(out, 2, node.string_at("name"));
      wire::put_bytes(out, 3, in);
      if (flag) wire::put_int(out, 4, flag->as_bool());
      if (const Node* schema = node.find("schema")) wire::put_bytes(out, 5, message(*schema, Message::schema));
      return boxed(out);
    }
    const bool query = in == "query";
    if (flag) wire::put_int(out, 1, flag->as_bool());
    wire::put_bytes(out, 2, in);
    wire::put_bytes(out, 4, node.string_at("name"));
    wire::put_bytes(out, query ? 6 : 5, node.string_at("type"));
    wire::put_int(out, query ? 20 : 19, 1);  // unique_items
    return boxed(boxed(out, query ? 3 : 4), 2);
  }
};

}  // namespace

std::string openapi_v2_protobuf(const Node& document) { return Gnostic().message(document, Message::document); }

}  // namespace estiba::model
