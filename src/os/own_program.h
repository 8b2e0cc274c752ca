// The running program's own file, out of reach for whom it starts.
#pragma once
#include "base/result.h"

namespace estiba::os {

/// A program in a container that executes /proc/self/exe ("#!/proc/self/exe") before it is itself executes the one that has started it, and
/// its neighbours may open that file then, and write to it once nobody runs it any more: the host's (CVE-2019-5736).
///
/// Returns when that cannot be: the file is on a read-only mount, or sealed in memory. Else it executes the same file with the same
/// arguments and environment from a detached read-only mount, which nobody else can reach or change, or, where there are no such
/// (os::has_mount_api(), CAP_SYS_ADMIN), from a sealed copy in memory. An error when neither can be had. From a process with one thread,
/// before it opens anything.
Result<void> run_out_of_reach(char** argv);

}  // namespace estiba::os
