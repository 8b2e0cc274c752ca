// Waiting for a container or exec process in the foreground: its terminal or streams are this command's, signals go on.
#pragma once
#include "base/result.h"
#include "os/fd.h"
#include "runtime/launch.h"

namespace estiba::cli::oci {

/// Blocks the signals that are to be passed on; before the process is made, so that none is lost.
void hold_signals();
/// Passes signals on and, with a terminal, bytes both ways, until the process has ended: its exit code (128 + signal).
Result<int> wait_in_foreground(runtime::Launched& process);

}  // namespace estiba::cli::oci
