// The three patches of Kubernetes' API, on documents. A failed patch leaves the document half changed: apply to a copy.
//
// Code::malformed: the patch itself is wrong (400). Code::invalid: it does not apply to this object (422).
#pragma once
#include <cstddef>

#include "base/result.h"
#include "model/json.h"
#include "model/schema.h"

namespace estiba::model {

/// Kubernetes' limits, and the depth that the JSON parser allows.
struct PatchLimits {
  size_t operations = 10'000;
  size_t copied_bytes = 3 << 20;  ///< what the copy operations of one JSON patch may copy together
  int depth = 512;
};

/// RFC 6902: add, remove, replace, move, copy, test.
Result<void> apply_json_patch(json::Document& document, const json::Node& patch, const PatchLimits& limits = {});
/// RFC 7386.
Result<void> apply_merge_patch(json::Document& document, const json::Node& patch);
/// Kubernetes' strategic merge patch: lists are merged by the merge keys of the tables; with the directives $patch,
/// $retainKeys, $setElementOrder/… and $deleteFromPrimitiveList/….
Result<void> apply_strategic_merge_patch(json::Document& document, const json::Node& patch, const schema::Type& type);

}  // namespace estiba::model
