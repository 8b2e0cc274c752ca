// Pods that a node takes from files: the same defaults and rules as for those that are created by the API.
#pragma once
#include "base/result.h"
#include "model/json.h"

namespace estiba::apiserver {

/// Makes the document what the API server would make of it, and validates it: unknown fields go, defaults come. Code::invalid names each
/// field that is wrong. No cluster is asked.
Result<void> complete_static_pod(json::Document& doc);

}  // namespace estiba::apiserver
