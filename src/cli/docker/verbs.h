// Every verb's function; the rows of the table (table.cpp) name them.
#pragma once
#include "base/result.h"

namespace estiba::cli::docker {

struct Call;

Result<int> version(Call& call);

}  // namespace estiba::cli::docker
