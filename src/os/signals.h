#pragma once
#include "base/fd.h"
#include "base/result.h"

namespace estiba::os {

/// SIGTERM and SIGINT as a readable descriptor (signalfd(2)), and SIGPIPE ignored; call it before any thread starts, so that all threads
/// inherit it.
Result<Fd> ending_signals();

}  // namespace estiba::os
