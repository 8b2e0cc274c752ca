// Which keys a Compose file may have, and of what kind their values are.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/json.h"

namespace estiba::cli::compose {

/// Checks one file's document before anything is made of it. The error names file, path, key and the nearest known one:
/// `compose.yaml: services.web.prots: unknown key; did you mean "ports"?`
Result<void> check_schema(const json::Node& root, std::string_view file);

/// Makes numbers and booleans of texts where the schema wants them: variables only give texts. Call it on what was checked.
void cast_scalars(json::Document& document, json::Node& root);

}  // namespace estiba::cli::compose
