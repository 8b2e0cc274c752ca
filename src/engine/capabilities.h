// Capability sets of containers: Docker's default set, changed by what a spec adds and drops.
#pragma once
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/spec.h"

namespace estiba::engine {

/// With their "CAP_" in front. An unknown name fails with reason CreateContainerError.
Result<std::vector<std::string>> container_capabilities(const ContainerSpec& spec);

}  // namespace estiba::engine
