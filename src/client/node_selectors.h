// Which nodes a pod's spec allows: spec.nodeSelector and required node affinity.
#pragma once
#include "model/object.h"
#include "model/types/core_v1.h"

namespace estiba::client {

/// All requirements hold; metadata.name is the only field there is. A term without requirements matches nothing.
bool matches(const model::core_v1::NodeSelectorTerm& term, const model::Meta& node);

/// nodeSelector matches, and one term of the required node affinity, if there is one.
bool selects(const model::core_v1::PodSpec& pod, const model::Meta& node);

}  // namespace estiba::client
