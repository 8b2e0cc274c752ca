// What a network namespace has sent and received, by interface.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace estiba::engine {

struct NetworkCounters {
  uint64_t rx_bytes = 0, rx_packets = 0, rx_errors = 0, rx_dropped = 0;
  uint64_t tx_bytes = 0, tx_packets = 0, tx_errors = 0, tx_dropped = 0;
};

/// Of /proc/<pid>/net/dev: the interfaces of that process's network namespace, without lo. None when there is no such process.
std::map<std::string, NetworkCounters> network_counters(int pid);
std::map<std::string, NetworkCounters> parse_net_dev(std::string_view text);

}  // namespace estiba::engine
