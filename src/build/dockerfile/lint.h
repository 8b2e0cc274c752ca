// Remarks on a Dockerfile that builds but should be better: what BuildKit's checks say, by their names, and what the course warns
// of (secrets in ENV or ARG, no .dockerignore, `latest`, the root user, caches left in layers).
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "build/dockerfile/instruction.h"

namespace estiba::build {

struct LintFacts {
  std::optional<bool> has_dockerignore;  ///< unknown: no remark on it
  size_t target = 0;                     ///< the stage that becomes the image
};

/// The parser's remarks and the lint's, in the order of lines; those that "# check=skip=A,B" names are left out.
std::vector<Warning> lint(const Dockerfile& file, const LintFacts& facts);
/// Whether "# check=error=true" makes remarks fatal.
bool warnings_are_errors(const Dockerfile& file);

}  // namespace estiba::build
