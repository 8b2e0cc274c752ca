// Compiling a profile of some 350 rules takes libseccomp milliseconds; the programs are kept in files.
#pragma once
#include "os/seccomp.h"

namespace estiba::runtime {

/// The compiled filter, from /run/estiba/seccomp/ if it was compiled before on this machine since it was booted.
Result<os::SeccompProgram> cached_seccomp(const os::SeccompFilter& filter);

}  // namespace estiba::runtime
