// What the tables know of an object, applied to its JSON: types, unknown fields, required fields, enums, defaults. Each is
// one walk over the object and the tables, for every kind.
#pragma once
#include <string>
#include <vector>

#include "base/result.h"
#include "model/json.h"
#include "model/schema.h"

namespace estiba::model {

/// So many unknown fields of an object are told: naming them must not cost more than reading them.
inline constexpr size_t most_unknown_fields = 64;

/// Makes a document what Kubernetes' decoder and encoder would make of it: unknown fields and nulls are removed, empty
/// values that Go would not write are removed, quantities and times get their canonical form.
///
/// Returns the paths of the unknown fields that were removed ("spec.template.spec.containers[0].imagee").
/// Code::malformed for a value of the wrong type:
///   json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32
Result<std::vector<std::string>> conform(json::Document& document, json::Node& object, const schema::Type& type);

/// Missing required fields and values outside of an enum, below the fields `metadata` and `status` excepted. Their paths
/// begin with `path` ("spec.template.").
std::vector<FieldCause> check_required(const json::Node& object, const schema::Type& type, std::string path = {});

/// Fills in the tables' defaults where a field is absent, also in lists and maps.
void set_defaults(json::Document& document, json::Node& object, const schema::Type& type);

}  // namespace estiba::model
