// Custom objects against their schemas: types, bounds, patterns, formats, alternatives, in Kubernetes' words
// ("spec.replicas in body should be less than or equal to 10"). On updates, what was there before and has not changed
// passes even if it is wrong (CRDValidationRatcheting).
#pragma once
#include <string>
#include <string_view>

#include "apiserver/custom/checks.h"
#include "apiserver/field_errors.h"
#include "model/custom/structural.h"

namespace estiba::apiserver {

/// `prefix` is the path of the value ("", "status"); messages name fields relative to it. `old`: the stored value, or null.
void check_value(const json::Node& value, const model::Structural& schema, const Checks& checks, const json::Node* old,
                 const std::string& prefix, FieldErrors& errors);

/// Elements of sets and keys of maps that come twice.
void check_lists(const json::Node& value, const model::Structural& schema, const std::string& path, FieldErrors& errors);

/// apiVersion, kind and metadata of embedded resources.
void check_embedded(const json::Node& value, const model::Structural& schema, const std::string& path, FieldErrors& errors);

/// The element of `old` with the same keys as `element`, where the schema's list is a map; else null.
const json::Node* correlated_element(const json::Node* old, const json::Node& element, const model::Structural& list);

}  // namespace estiba::apiserver
