// What the API server writes by itself.
#pragma once
#include <string>

#include "apiserver/action.h"

namespace estiba::apiserver {

/// By system:apiserver, which may do everything; a body is JSON. `name` is for what is there already: a new object's body has its own.
Action own_action(Verb verb, const Resource& resource, std::string ns, std::string name);

}  // namespace estiba::apiserver
