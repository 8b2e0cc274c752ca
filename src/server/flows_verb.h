// `estiba network flows`: who talks to whom on this node.
#pragma once
#include "cli/flags.h"

namespace estiba::server {

Result<int> run_flows(const cli::Arguments& arguments);

}  // namespace estiba::server
