// The verb `estiba engine`: the container engine alone, with Docker's API on a socket.
#pragma once
#include "cli/flags.h"

namespace estiba::server {

Result<int> run_engine(const cli::Arguments& arguments);

}  // namespace estiba::server
