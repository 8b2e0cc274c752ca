#include <cstdio>

#include "cli/verbs.h"

namespace estiba::cli {

Result<int> version(const Arguments& arguments) {
  Flags flags("estiba version");
  const Arguments rest = TRY(flags.parse(arguments));
  if (flags.help_wanted()) {
    std::fputs(flags.help().c_str(), stdout);
    return 0;
  }
  if (!rest.empty()) return fail(Code::invalid, "it takes no arguments");
  std::puts("estiba " ESTIBA_VERSION);
  return 0;
}

}  // namespace estiba::cli
