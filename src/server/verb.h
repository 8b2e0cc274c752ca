// The verb `estiba server`.
#pragma once
#include "cli/flags.h"

namespace estiba::server {

Result<int> run(const cli::Arguments& arguments);

}  // namespace estiba::server
