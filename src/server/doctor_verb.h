// `estiba doctor`: what is wrong with this machine's network, and what to do.
#pragma once
#include "cli/flags.h"

namespace estiba::server {

/// 0 when nothing is a problem, else 1.
Result<int> run_doctor(const cli::Arguments& arguments);

}  // namespace estiba::server
