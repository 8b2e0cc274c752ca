// What server-side apply does with objects by the tables: which fields an object has, what differs between two, an applied
// configuration merged into an object, fields taken out of one. The rules and results are structured-merge-diff's
// (sigs.k8s.io, packages typed and fieldpath).
//
// Sets refer to texts of the objects and of the pool: both must live on.
#pragma once
#include <string>
#include <vector>

#include "base/result.h"
#include "model/field_set.h"
#include "model/json.h"
#include "model/schema.h"

namespace estiba::model {

/// What is wrong with an applied configuration: ".spec.foo: field not declared in schema", ".spec.replicas: expected
/// numeric (int or float), got string", ".spec.containers: duplicate entries for key [name=\"c\"]". Empty: nothing.
std::vector<std::string> check_typed(const json::Node& object, const schema::Type& type);

/// The fields that an object (or a partial one) has: every leaf, and every element of lists and maps.
FieldSet fields_of(FieldPool& pool, const json::Node& object, const schema::Type& type);

struct FieldChanges {
  FieldSet added = nullptr, modified = nullptr, removed = nullptr;
  bool none() const { return !added && !modified && !removed; }
};
FieldChanges compare_typed(FieldPool& pool, const json::Node& before, const json::Node& now, const schema::Type& type);

/// Merges a valid configuration into `object`. What it does not mention stays; lists of named elements take its order.
void merge_typed(FieldPool& pool, json::Document& document, json::Node& object, const json::Node& configuration, const schema::Type& type);

/// Takes fields, elements and members out of an object.
void remove_fields(FieldPool& pool, json::Document& document, json::Node& object, FieldSet fields, const schema::Type& type);

/// The set with every declared field that holds a member: a.b gives a and a.b, unless a is a map.
FieldSet with_named_fields(FieldPool& pool, FieldSet set, const schema::Type& type);
/// The set as the tables are now: what is below a field that is atomic becomes the field.
FieldSet with_atomic_fields(FieldPool& pool, FieldSet set, const schema::Type& type);

}  // namespace estiba::model
