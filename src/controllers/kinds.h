// The kinds of objects that namespaces and the garbage collector cover.
#pragma once
#include <vector>

#include "controllers/options.h"

namespace estiba::controllers {

/// Every resource of the schema tables that can be listed, watched and deleted, in its group's preferred version.
std::vector<ResourceKind> stored_kinds();

}  // namespace estiba::controllers
