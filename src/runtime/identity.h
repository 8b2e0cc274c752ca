// The last steps before execve(2): limits, user, groups, capabilities, seccomp, and finding the program.
#pragma once
#include <string>
#include <vector>

#include "os/credentials.h"
#include "os/seccomp.h"
#include "runtime/spec.h"

namespace estiba::runtime {

/// Limits of the process; one above the hard limit is cut to it where this process may not raise it (no CAP_SYS_RESOURCE).
Result<void> apply_rlimits(const std::vector<SpecRlimit>& limits);
/// Names to bit sets; unknown names are errors, those that this kernel lacks are left out.
Result<os::Capabilities> capability_sets(const SpecCapabilities& spec);
/// Changes to the process's user with exactly its capabilities, no_new_privileges and the seccomp program (null: none), in the order that
/// lets each step still be done. Gives the seccomp listener, if there is one.
Result<os::Fd> become_user(const SpecProcess& process, const os::SeccompProgram* seccomp, bool may_set_groups);
/// Changes the working directory inside the container; one that leads outside of the root is refused.
Result<void> change_directory(const std::string& path);
/// The program's file by execvp's rules in the container's PATH. Code::not_found or Code::forbidden ("exec sh: …").
Result<std::string> find_program(const SpecProcess& process);
/// Adds HOME from the container's /etc/passwd when the environment has none.
void add_home(SpecProcess& process);

}  // namespace estiba::runtime
