#include "docker/signals.h"

#include "base/signals.h"

namespace estiba::docker {

Result<int> parse_signal(std::string_view text) {
  if (const auto number = signal_number(text)) return *number;
  return fail(Code::invalid, "invalid signal: " + std::string(text));
}

}  // namespace estiba::docker
