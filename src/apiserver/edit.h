// Small verbs on JSON nodes that defaulting and validation share.
#pragma once
#include <string_view>

#include "model/json.h"

namespace estiba::apiserver {

inline bool present(const json::Node* node) { return node && !node->is_null(); }
inline bool has(const json::Node& object, std::string_view key) { return present(object.find(key)); }
/// Present and neither "", 0, false, {} nor [].
bool has_value(const json::Node& object, std::string_view key);

/// Each sets `key` when it is missing, null or (strings) empty.
void default_string(json::Document& doc, json::Node& object, std::string_view key, std::string_view value);
void default_int(json::Document& doc, json::Node& object, std::string_view key, int64_t value);
void default_bool(json::Document& doc, json::Node& object, std::string_view key, bool value);
/// The object member `key`, made when missing or null.
inline json::Node& ensure(json::Document& doc, json::Node& object, std::string_view key) { return doc.ensure_object(object, key); }
json::Node& ensure_array(json::Document& doc, json::Node& object, std::string_view key);

void set_int(json::Document& doc, json::Node& object, std::string_view key, int64_t value);
void set_bool(json::Document& doc, json::Node& object, std::string_view key, bool value);
/// A copy of `value`, or removes the member when it is null.
void set_copy(json::Document& doc, json::Node& object, std::string_view key, const json::Node* value);

using json::follow;
/// Both absent (or null), or deeply equal.
bool same(const json::Node* a, const json::Node* b);

}  // namespace estiba::apiserver
