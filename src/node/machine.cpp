#include "node/machine.h"

#include <algorithm>

#include "base/strings.h"
#include "engine/files.h"

namespace estiba::node {

std::map<std::string, uint64_t, std::less<>> meminfo() {
  std::map<std::string, uint64_t, std::less<>> out;
  for (std::string_view line : split(engine::read_file("/proc/meminfo").value_or(std::string()), '\n')) {
    const auto [name, rest] = split_once(line, ':');
    if (rest) out[std::string(name)] = parse_number<uint64_t>(split_once(trim(*rest), ' ').first).value_or(0) * 1024;
  }
  return out;
}

MachineMemory machine_memory() {
  const auto memory = meminfo();
  const auto of = [&](std::string_view name) {
    const auto at = memory.find(name);
    return at == memory.end() ? 0 : at->second;
  };
  MachineMemory out{.total = of("MemTotal"), .used = of("MemTotal") - of("MemFree"), .anonymous = of("AnonPages")};
  out.working_set = out.used - std::min(out.used, of("Inactive(file)"));
  return out;
}

}  // namespace estiba::node
