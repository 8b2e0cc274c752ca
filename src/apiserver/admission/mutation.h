// What the expressions of mutating policies make, as JSON, and applied to an object. (Kubernetes: apiserver/pkg/admission/
// plugin/policy/mutating/patch.)
#pragma once
#include "base/result.h"
#include "cel/memory.h"
#include "model/json.h"
#include "model/schema.h"

namespace estiba::apiserver::admission {

/// A copy of the object, patched by a list of JSONPatch{…}. One whose test fails leaves it as it is.
Result<json::Document> json_patched(cel::Memory& memory, const cel::Value& operations, const json::Node& object);
/// A copy of the object with an Object{…} applied, by the rules of server-side apply. Atomic fields cannot be set.
Result<json::Document> configured(cel::Memory& memory, const cel::Value& configuration, const json::Node& object,
                                  const model::schema::Type* type);

}  // namespace estiba::apiserver::admission
