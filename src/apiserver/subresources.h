// Subresources and resources that are not objects in the store: scale, binding, eviction, tokens, reviews.
#pragma once
#include "apiserver/registry.h"

namespace estiba::apiserver {

class Api;

/// Acts on an action with a subresource (other than status), or on a review; nullopt when it is neither.
using Act = Task<Result<Outcome>> (*)(Api& api, Action action);
Act special_action(const Action& action);

}  // namespace estiba::apiserver
