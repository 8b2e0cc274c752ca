// What makes a merged document a project: names and defaults filled in, environments whole, references checked.
#pragma once
#include "cli/compose/project.h"

namespace estiba::cli::compose {

/// Errors are in Compose's words ("service "web" refers to undefined network x: invalid compose project") and name the nearest.
Result<void> complete(json::Document& document, const Project& project, const Environment& environment);

}  // namespace estiba::cli::compose
