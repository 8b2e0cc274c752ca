// Hooks of the runtime specification: programs that get the container's state as JSON on stdin.
#pragma once
#include <string>
#include <vector>

#include "runtime/spec.h"

namespace estiba::runtime {

/// The state as the specification's `state` operation gives it. `pid` 0 is left out.
std::string state_json(const std::string& id, std::string_view status, int pid, const std::string& bundle, const Spec& spec);

/// Runs the hooks in order; the first that fails (exit code, signal, timeout) ends it with an error that names it.
Result<void> run_hooks(std::string_view kind, const std::vector<SpecHook>& hooks, const std::string& state);

}  // namespace estiba::runtime
