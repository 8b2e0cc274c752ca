// matchLabelKeys and mismatchLabelKeys: keys of labels whose values a pod's selectors take from the pod itself.
#pragma once
#include "model/json.h"

namespace estiba::apiserver::pod {

/// Adds to the selectors of affinity terms and topology spread constraints of a PodSpec a requirement for each such key that is among
/// `labels` (null: none), so that who places pods looks at selectors alone (pkg/registry/core/pod/strategy.go, at creation only).
void merge_label_keys(json::Document& doc, json::Node& spec, const json::Node* labels);

}  // namespace estiba::apiserver::pod
