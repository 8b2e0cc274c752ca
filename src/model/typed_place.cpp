#include "model/typed_place.h"

#include <algorithm>

#include "base/strings.h"
#include "model/custom/definition.h"

namespace estiba::model {

using json::Node;
using schema::Field;
using schema::Form;
using schema::Kind;
using schema::ListType;
using schema::MapType;
using schema::Shape;
using schema::Type;

std::span<const std::string_view> Place::keys() const {
  if (field->list_type == ListType::map) return field->keys();
  // Lists that only strategic merge patches describe.
  if (field->list_type == ListType::none && !field->merge_key().empty()) return {&field->more->merge_key, 1};
  return {};
}

Place place_of(const Type& type) {
  switch (type.form) {
    case Form::message:
      if (type.fields.empty()) return {Place::Form::deduced, false, &type, nullptr};
      return {Place::Form::message, type.map_type == MapType::atomic, &type, nullptr};
    case Form::quantity:
    case Form::time:
    case Form::micro_time:
    case Form::int_or_string: return {Place::Form::scalar, false, &type, nullptr};
    case Form::raw_extension: return {Place::Form::untyped, true, &type, nullptr};
    default: return {Place::Form::deduced, false, &type, nullptr};
  }
}

static Place single_place(const Field& field) {
  if (field.kind == Kind::object || field.kind == Kind::any) return {Place::Form::deduced, false, nullptr, &field};
  if (field.kind != Kind::message && field.kind != Kind::special) return {Place::Form::scalar, false, nullptr, &field};
  Place out = place_of(*field.type);
  out.field = &field;
  if (field.shape == Shape::single && field.map_type != MapType::none) out.atomic = field.map_type == MapType::atomic;
  return out;
}

static Place field_place(const Field& field) {
  switch (field.shape) {
    case Shape::single: return single_place(field);
    case Shape::list: {
      const bool merged = field.list_type == ListType::none && field.merge;
      const bool associative = field.list_type == ListType::set || field.list_type == ListType::map || merged;
      return {Place::Form::list, !associative, nullptr, &field};
    }
    case Shape::map:
    case Shape::map_of_lists: return {Place::Form::map, field.map_type == MapType::atomic, nullptr, &field};
  }
  return {};
}

Place element_place(const Place& place) {
  switch (place.form) {
    case Place::Form::list: return single_place(*place.field);
    case Place::Form::map:
      if (place.field->shape == Shape::map_of_lists) return {Place::Form::list, true, nullptr, place.field};
      return single_place(*place.field);
    case Place::Form::deduced: return {Place::Form::deduced, false, nullptr, nullptr};
    default: return {};
  }
}

bool MemberPlaces::find(std::string_view key, Place& out, bool* declared) {
  field_ = nullptr;
  if (declared) *declared = place_.form == Place::Form::message;
  if (place_.form != Place::Form::message) {
    out = element_place(place_);
    return true;
  }
  const auto fields = place_.type->fields;
  for (size_t i = 0; i < fields.size(); ++i) {
    const size_t at = hint_ + i < fields.size() ? hint_ + i : hint_ + i - fields.size();
    if (fields[at].name != key) continue;
    hint_ = at + 1;
    field_ = &fields[at];
    out = field_place(*field_);
    return true;
  }
  if (is_open(*place_.type) && !(place_.type->kind && (key == "apiVersion" || key == "kind"))) {
    out = {Place::Form::deduced, false, nullptr, nullptr};
    return true;
  }
  out = {Place::Form::scalar, false, nullptr, nullptr};
  return place_.type->kind && (key == "apiVersion" || key == "kind");
}

static bool built_in(const Type& type) {
  const auto all = schema::packages();
  return type.package >= all.data() && type.package < all.data() + all.size();
}

bool always_there(const Type& parent, const Field& field) {
  if (field.kind != Kind::message || field.shape != Shape::single || !built_in(parent)) return false;
  if (parent.kind || field.default_value() == "{}") return true;
  const std::string_view type = field.type->name;
  if (type == "PodTemplateSpec") return parent.name != "ReplicationControllerSpec";
  return type == "ObjectMeta" || type == "PodSpec" || type == "JobTemplateSpec" || type == "JobSpec";
}

namespace {

// What an element without this key has: the default that the schema publishes, as JSON text; empty: none.
std::string_view default_of(const Place& element, std::string_view key) {
  if (element.form != Place::Form::message) return {};
  const Field* field = element.type->find(key);
  return field && field->more && field->more->default_published ? field->more->default_value : std::string_view{};
}

std::unexpected<Error> bad(std::string what) { return fail(Code::malformed, std::move(what)); }

}  // namespace

Result<FieldStep> element_step(FieldPool& pool, const Place& list, const Node& element) {
  thread_local std::string text;
  text.clear();
  const auto declared = list.keys();
  if (declared.empty()) {
    if (element.is_object()) return bad("associative list without keys has an element that's a map type");
    if (element.is_array()) return bad("not supported: associative list with lists as elements");
    if (element.is_null()) return bad("associative list without keys has an element that's an explicit null");
    append_canonical(text, element);
    return FieldStep{FieldStep::Kind::value, pool.keep(text)};
  }
  if (element.is_null()) return bad("associative list with keys may not have a null element");
  if (!element.is_object()) return bad("associative list with keys may not have non-map elements");
  std::vector<std::string_view> sorted(declared.begin(), declared.end());
  std::ranges::sort(sorted);
  const Place place = element_place(list);
  for (std::string_view key : sorted) {
    const Node* value = element.find(key);
    const std::string_view otherwise = value ? std::string_view{} : default_of(place, key);
    if (!value && otherwise.empty()) continue;
    text += text.empty() ? '{' : ',';
    json::append_string(text, key);
    text += ':';
    if (value) append_canonical(text, *value);
    else text += otherwise;
  }
  if (text.empty()) {
    std::string names;
    for (std::string_view key : declared) names += (names.empty() ? "" : " ") + quoted(key);
    return bad("associative list with keys has an element that omits all key fields [" + names +
               "] (and doesn't have default values for any key fields)");
  }
  text += '}';
  return FieldStep{FieldStep::Kind::key, pool.keep(text)};
}

}  // namespace estiba::model
