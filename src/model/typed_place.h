// How server-side apply sees a value: by the tables, or, where they say nothing (free-form objects, unknown fields that are
// preserved), by what the value is. The rules are those of kube-openapi's schemaconv and structured-merge-diff.
#pragma once
#include <span>
#include <string_view>

#include "model/field_set.h"
#include "model/json.h"
#include "model/schema.h"

namespace estiba::model {

struct Place {
  enum class Form : uint8_t {
    scalar,
    list,
    message,  ///< an object with the fields of `type`
    map,      ///< an object with any keys, whose values are those of `field`
    deduced,  ///< a scalar or list is a leaf, an object is a map of such values
    untyped,  ///< always a leaf
  };
  Form form = Form::untyped;
  bool atomic = false;  ///< lists and maps: a leaf, with all that is in it
  const schema::Type* type = nullptr;
  const schema::Field* field = nullptr;  ///< scalars: their field; lists and maps: what declares their elements

  bool is_map(const json::Node* value) const {
    return form == Form::message || form == Form::map || (form == Form::deduced && value && value->is_object());
  }
  bool is_list() const { return form == Form::list; }
  /// Of a list that is not atomic; none: a set.
  std::span<const std::string_view> keys() const;
};

Place place_of(const schema::Type& type);
/// The element of a list, or of a map.
Place element_place(const Place& place);

/// The places of an object's members. Members nearly always come in the order of the table.
class MemberPlaces {
 public:
  explicit MemberPlaces(const Place& place) : place_(place) {}
  /// False: no such field is declared. `declared`: it is a field of a message, no key of a map.
  bool find(std::string_view key, Place& out, bool* declared = nullptr);
  /// The field that the last find() met, or null.
  const schema::Field* field() const { return field_; }

 private:
  const Place& place_;
  const schema::Field* field_ = nullptr;
  size_t hint_ = 0;
};

/// Whether Go holds this field's object by value, so that it is there in every object of the kind: spec, template, …
bool always_there(const schema::Type& parent, const schema::Field& field);

/// The step to an element of a list that is not atomic, with the defaults of keys that it lacks. Code::malformed, worded as
/// structured-merge-diff does, for one without keys or of a wrong type.
Result<FieldStep> element_step(FieldPool& pool, const Place& list, const json::Node& element);

}  // namespace estiba::model
