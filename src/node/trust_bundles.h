// ClusterTrustBundles as pods read them: projected volumes, sources[].clusterTrustBundle (KEP-3257).
#pragma once
#include <string>
#include <vector>

#include "base/task.h"
#include "model/types/core_v1.h"
#include "node/context.h"

namespace estiba::node {

/// The certificates that the source names, each once, as PEM in a fixed order: those of one bundle by its name, or of all that a signer has
/// made and a selector chooses (an empty one chooses all, none chooses none). Without any: empty if the source is optional, else not_found.
Task<Result<std::string>> trust_bundle(const Context& context, model::core_v1::ClusterTrustBundleProjection source);

/// The certificates of PEM texts, without what is between them and without doubles, sorted.
std::string merge_certificates(const std::vector<std::string>& bundles);

}  // namespace estiba::node
