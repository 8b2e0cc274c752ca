// The parts of devices' validation that stand alone: selectors' expressions, and the devices of a slice
// (pkg/apis/resource/validation/validation.go, k8s.io/dynamic-resource-allocation/cel).
#pragma once
#include <string>

#include "apiserver/field_errors.h"
#include "model/json.h"

namespace estiba::apiserver::devices {

/// Compiles the expression of each of `selectors`; one that is in `stored` as it is stays, whatever it says.
void validate_selectors(const json::Node& holder, const json::Node* stored, const std::string& path, FieldErrors& errors);

/// One device of a slice. `per_device`: each says for itself where it may be used.
void validate_device(const json::Node& device, bool per_device, const std::string& path, FieldErrors& errors);
/// One of a slice's sharedCounters.
void validate_counter_set(const json::Node& set, const std::string& path, FieldErrors& errors);

}  // namespace estiba::apiserver::devices
