// What the API server compiles from one version of a CustomResourceDefinition: its patterns and rules. Made once, as the
// definition is read, and kept beside its tables.
#pragma once
#include <map>
#include <memory>
#include <string_view>

#include "apiserver/custom/pattern.h"
#include "apiserver/custom/rules.h"
#include "model/custom/definition.h"

namespace estiba::apiserver {

struct Checks final : model::CustomChecks {
  std::unique_ptr<const Rules> rules;  ///< null when there are none
  std::map<std::string_view, Pattern, std::less<>> patterns;

  const Pattern* pattern(std::string_view text) const {
    const auto it = patterns.find(text);
    return it != patterns.end() ? &it->second : nullptr;
  }
};

/// Compiles a version's patterns and rules; what cannot be compiled is left out (validation has refused it).
void add_checks(model::CustomVersion& version);
/// Null before add_checks.
const Checks* checks_of(const model::CustomVersion& version);
/// The patterns of a schema alone, for checking the defaults in it.
void compile_patterns(const model::Structural& schema, Checks& out);

}  // namespace estiba::apiserver
