// Which stages a target needs, and on which others each of them waits.
#pragma once
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "build/dockerfile/instruction.h"

namespace estiba::build {

struct Graph {
  struct Node {
    std::optional<size_t> base;  ///< the stage that FROM names; none: an image
    std::set<size_t> copies;     ///< stages that COPY --from and RUN --mount=from name
  };
  std::vector<Node> nodes;     ///< of all stages
  std::vector<size_t> needed;  ///< what the target needs, itself included, in the file's order
};

/// The stage that `--from=name` in stage `index` means; none: an image. Malformed: a variable in it, or the stage itself.
Result<std::optional<size_t>> stage_of(const Dockerfile& file, const Instruction& instruction, const std::string& name, size_t index);
/// `from=` of a RUN --mount's raw value; empty without.
std::string mount_from(std::string_view mount);
/// Errors are those of stage_of, or "circular dependency detected on stage: a", at the line that closes the circle. `base_of` gives
/// FROM's expanded base of each stage.
Result<Graph> plan_graph(const Dockerfile& file, const std::vector<std::string>& bases, size_t target);

}  // namespace estiba::build
