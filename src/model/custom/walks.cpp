// What changes an object by its structural schema: pruning, defaults, metadata.
#include <algorithm>

#include "model/check.h"
#include "model/custom/structural.h"

namespace estiba::model {

using json::Document;
using json::Node;

namespace {

bool is_meta(std::string_view key) { return key == "apiVersion" || key == "kind" || key == "metadata"; }

// A step of the path to a value; printed only when something is reported.
struct Step {
  const Step* up;
  std::string_view key;  // null data: an element
  uint32_t index = 0;
};

std::string print(const Step* step) {
  if (!step) return {};
  std::string out = print(step->up);
  if (!step->key.data()) return out + "[" + std::to_string(step->index) + "]";
  if (!out.empty()) out += '.';
  return out += step->key;
}

class Prune {
 public:
  Prune(Document& document, std::vector<std::string>* unknown) : document_(document), unknown_(unknown) {}

  // `embedded`: metadata, kind and apiVersion stay. `schema` null: nothing is known below.
  void value(Node& node, const Structural* schema, bool embedded, const Step* path) {
    if (node.is_object()) return object(node, schema, embedded, path);
    if (!node.is_array()) return;
    const bool keep = schema && schema->preserve;
    uint32_t i = 0;
    for (Node& element : node) {
      const Step step{path, {}, i++};
      const Structural* items = schema ? schema->items.get() : nullptr;
      // Below an open list without a schema of its items everything stays.
      if (keep && !items) continue;
      value(element, items, items && items->embedded, &step);
    }
  }

 private:
  void object(Node& node, const Structural* schema, bool embedded, const Step* path) {
    std::vector<std::string_view> gone;
    for (Node& member : node) {
      const std::string_view key = member.key();
      if (embedded && is_meta(key)) continue;
      const Structural* below = schema ? schema->member(key) : nullptr;
      const Step step{path, key};
      if (below) {
        value(member, below, below->embedded, &step);
      } else if (schema && (schema->preserve || schema->additional_any)) {
        // additionalProperties: true keeps the member, but nothing below it is known.
        if (!schema->preserve) value(member, nullptr, false, &step);
      } else {
        if (unknown_ && unknown_->size() < most_unknown_fields) unknown_->push_back(print(&step));
        gone.push_back(key);
      }
    }
    for (std::string_view key : gone) document_.remove(node, key);
  }

  Document& document_;
  std::vector<std::string>* unknown_;
};

bool needs_default(const Node* value, const Structural& schema) {
  return schema.default_value && (!value || (value->is_null() && !schema.nullable));
}

void fill(Document& document, Node& value, const Structural& schema) {
  if (!schema.has_defaults) return;
  if (value.is_object()) {
    for (const auto& [key, property] : schema.properties) {
      if (!property.has_defaults) continue;
      Node* member = value.find(key);
      if (needs_default(member, property)) member = &document.set(value, key, document.copy(*property.default_value));
      if (member) fill(document, *member, property);
    }
    if (!schema.additional || !schema.additional->has_defaults) return;
    for (Node& member : value) {
      if (schema.properties.contains(member.key())) continue;
      if (needs_default(&member, *schema.additional)) document.assign(member, *schema.additional->default_value);
      fill(document, member, *schema.additional);
    }
  } else if (value.is_array() && schema.items) {
    for (Node& element : value) {
      if (needs_default(&element, *schema.items)) document.assign(element, *schema.items->default_value);
      fill(document, element, *schema.items);
    }
  }
}

// Nulls that may be none and have no default.
void drop_nulls(Document& document, Node& value, const Structural& schema) {
  if (value.is_object()) {
    std::vector<std::string_view> gone;
    for (Node& member : value) {
      const Structural* below = schema.member(member.key());
      if (!below) continue;
      if (member.is_null() && !below->nullable && !below->default_value) gone.push_back(member.key());
      else drop_nulls(document, member, *below);
    }
    for (std::string_view key : gone) document.remove(value, key);
  } else if (value.is_array() && schema.items) {
    for (Node& element : value) drop_nulls(document, element, *schema.items);
  }
}

const schema::Type& object_meta() {
  static const schema::Type& type = *schema::find_type("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
  return type;
}

class Coerce {
 public:
  Coerce(Document& document, bool drop, std::vector<std::string>* unknown) : document_(document), drop_(drop), unknown_(unknown) {}

  Result<void> value(Node& node, const Structural* schema, bool embedded, const Step* path) {
    if (node.is_object()) {
      if (embedded) TRY(resource(node, path));
      if (!schema || !schema->has_embedded) return {};
      for (Node& member : node) {
        if (embedded && is_meta(member.key())) continue;
        const Step step{path, member.key()};
        if (const Structural* below = schema->member(member.key())) TRY(value(member, below, below->embedded, &step));
      }
    } else if (node.is_array() && schema && schema->items && schema->items->has_embedded) {
      uint32_t i = 0;
      for (Node& element : node) {
        const Step step{path, {}, i++};
        TRY(value(element, schema->items.get(), schema->items->embedded, &step));
      }
    }
    return {};
  }

 private:
  Result<void> resource(Node& node, const Step* path) {
    for (std::string_view key : {"apiVersion", "kind"}) {
      const Node* text = node.find(key);
      if (!text || text->is_string()) continue;
      const Step step{path, key};
      if (!drop_) return fail(Code::malformed, print(&step) + ": Invalid value: " + json::print(*text) + ": must be a string");
      document_.remove(node, key);
    }
    Node* metadata = node.find("metadata");
    if (!metadata) return {};
    const Step step{path, "metadata"};
    if (metadata->is_null() || (drop_ && !metadata->is_object())) {
      document_.remove(node, "metadata");
      return {};
    }
    auto unknown = conform(document_, *metadata, object_meta());
    if (!unknown && drop_) unknown = without_malformed(*metadata);
    if (!unknown) {
      Error error = std::move(unknown.error());
      return std::unexpected(std::move(error).context(print(&step)));
    }
    if (!unknown_) return {};
    for (const std::string& field : *unknown) unknown_->push_back(print(&step) + "." + field);
    return {};
  }

  // Field by field, without those that cannot be read.
  Result<std::vector<std::string>> without_malformed(Node& metadata) {
    std::vector<std::string> unknown;
    std::vector<std::string_view> keys;
    for (const Node& member : metadata) keys.push_back(member.key());
    for (std::string_view key : keys) {
      Node& one = document_.make_object();
      document_.set(one, key, document_.copy(*metadata.find(key)));
      auto read = conform(document_, one, object_meta());
      if (const Node* made = one.find(key); read && made) document_.assign(*metadata.find(key), *made);
      else document_.remove(metadata, key);
      if (read) unknown.insert(unknown.end(), read->begin(), read->end());
    }
    return unknown;
  }

  Document& document_;
  bool drop_;
  std::vector<std::string>* unknown_;
};

}  // namespace

void prune(Document& document, Node& object, const Structural& schema, bool root, std::vector<std::string>* unknown) {
  Prune(document, unknown).value(object, &schema, root || schema.embedded, nullptr);
  if (unknown) std::ranges::sort(*unknown);
}

void set_defaults(Document& document, Node& value, const Structural& schema) {
  drop_nulls(document, value, schema);
  fill(document, value, schema);
}

Result<void> coerce_metadata(Document& document, Node& object, const Structural* schema, bool root, bool drop_malformed,
                             std::vector<std::string>* unknown) {
  return Coerce(document, drop_malformed, unknown).value(object, schema, root || (schema && schema->embedded), nullptr);
}

}  // namespace estiba::model
