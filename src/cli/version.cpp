#include "cli/version.h"

namespace estiba::cli {

std::string_view program_version() { return ESTIBA_VERSION; }

}  // namespace estiba::cli
