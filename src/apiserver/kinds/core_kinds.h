// Rules of the core group's small kinds: namespaces, nodes, secrets, bindings of names; and of policy, node, coordination.
#pragma once
#include "apiserver/strategy.h"

namespace estiba::apiserver::core {

void validate_namespace(Draft& draft);
void validate_namespace_status(Draft& draft);
void validate_node(Draft& draft);
void validate_node_status(Draft& draft);
void validate_new_event(Draft& draft);
void validate_disruption_budget(Draft& draft);
void validate_disruption_budget_status(Draft& draft);
void validate_runtime_class(Draft& draft);
void validate_lease(Draft& draft);
void validate_lease_candidate(Draft& draft);

}  // namespace estiba::apiserver::core
