// Facts of the machine that several parts of the node read.
#pragma once
#include <cstdint>
#include <map>
#include <string>

namespace estiba::node {

/// /proc/meminfo in bytes, by name ("MemTotal").
std::map<std::string, uint64_t, std::less<>> meminfo();

struct MachineMemory {
  uint64_t total = 0, used = 0;
  uint64_t working_set = 0;  ///< what is used and cannot be had back without a fight: without inactive file pages
  uint64_t anonymous = 0;
  uint64_t available() const { return total - (working_set < total ? working_set : total); }
};
MachineMemory machine_memory();

}  // namespace estiba::node
