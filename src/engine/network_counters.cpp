#include "engine/network_counters.h"

#include "base/strings.h"
#include "engine/files.h"

namespace estiba::engine {

std::map<std::string, NetworkCounters> parse_net_dev(std::string_view text) {
  const auto number = [](std::string_view word) { return parse_number<uint64_t>(word).value_or(0); };
  std::map<std::string, NetworkCounters> out;
  for (std::string_view line : split(text, '\n')) {
    auto [name, rest] = split_once(line, ':');
    name = trim(name);
    if (!rest || name == "lo") continue;
    const auto fields = words(*rest);
    if (fields.size() < 16) continue;
    // bytes packets errs drop fifo frame compressed multicast, for each direction
    out.emplace(name, NetworkCounters{number(fields[0]), number(fields[1]), number(fields[2]), number(fields[3]), number(fields[8]),
                                      number(fields[9]), number(fields[10]), number(fields[11])});
  }
  return out;
}

std::map<std::string, NetworkCounters> network_counters(int pid) {
  if (pid <= 0) return {};
  return parse_net_dev(read_file("/proc/" + std::to_string(pid) + "/net/dev").value_or(std::string()));
}

}  // namespace estiba::engine
