// The families of a Service's addresses: what ipFamilyPolicy, ipFamilies and clusterIPs say of each other
// (pkg/registry/core/service/storage/alloc.go: initIPFamilyFields).
#pragma once
#include "apiserver/strategy.h"

namespace estiba::apiserver::service {

/// Fills in the policy and the families as the cluster has them; `old` is the stored spec, null when creating. What cannot be goes to the
/// draft's errors.
void choose_families(Draft& draft, const json::Node* old);

}  // namespace estiba::apiserver::service
