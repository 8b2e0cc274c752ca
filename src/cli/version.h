// The program's version, from the file VERSION.
#pragma once
#include <string_view>

namespace estiba::cli {

/// "0.1.0", NUL-terminated.
std::string_view program_version();

}  // namespace estiba::cli
