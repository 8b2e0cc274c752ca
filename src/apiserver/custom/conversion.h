// Custom objects from one version to another by the webhook of their definition (ConversionReview v1 and v1beta1).
#pragma once
#include <vector>

#include "apiserver/cluster.h"
#include "model/custom/definition.h"
#include "model/object.h"

namespace estiba::apiserver {

/// Converts in place those of the objects that have another version than `wanted`, all in one call. Errors are worded as
/// Kubernetes': `conversion webhook for example.com/v1, Kind=CronTab failed: …`.
Task<Result<void>> convert_by_webhook(Cluster& cluster, const model::CustomVersion& wanted, std::vector<model::ObjectRef>& objects);

}  // namespace estiba::apiserver
