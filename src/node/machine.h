// Facts of the machine that several parts of the node read.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace estiba::node {

/// /proc/meminfo in bytes, by name ("MemTotal").
std::map<std::string, uint64_t, std::less<>> meminfo();

struct MachineMemory {
  uint64_t total = 0, used = 0;
  uint64_t working_set = 0;  ///< what is used and cannot be had back without a fight: without inactive file pages
  uint64_t anonymous = 0;
  uint64_t swap_total = 0, swap_free = 0;
  uint64_t available() const { return total - (working_set < total ? working_set : total); }
};
MachineMemory machine_memory();

/// Huge pages of one size that the machine keeps (nr_hugepages in Documentation/admin-guide/mm/hugetlbpage.rst).
struct HugePages {
  uint64_t page_bytes = 0, count = 0;
};
/// Of every size that the kernel knows, smallest first; empty where it knows none.
std::vector<HugePages> huge_pages(const std::string& dir = "/sys/kernel/mm/hugepages");
/// "hugepages-2Mi", as the API names pages of that size.
std::string huge_page_resource(uint64_t page_bytes);

}  // namespace estiba::node
