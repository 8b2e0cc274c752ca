#include "server/process_metrics.h"

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/strings.h"
#include "model/object.h"
#include "observe/metrics.h"
#include "os/file.h"

namespace estiba::server {
namespace {

// proc(5), /proc/pid/statm: pages of the address space and in memory.
double pages_at(size_t field) {
  const auto text = os::read_file("/proc/self/statm");
  if (!text) return 0;
  const auto fields = split(*text, ' ');
  return field < fields.size() ? double(parse_number<uint64_t>(fields[field]).value_or(0)) * double(sysconf(_SC_PAGESIZE)) : 0;
}

double open_files() {
  std::error_code error;
  size_t count = 0;
  for (std::filesystem::directory_iterator entry("/proc/self/fd", error), end; !error && entry != end; entry.increment(error)) ++count;
  return count ? double(count - 1) : 0;  // without the one that reads
}

double most_files() {
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? double(limit.rlim_cur) : 0;
}

double cpu_seconds() {
  timespec used{};
  return clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) == 0 ? double(used.tv_sec) + double(used.tv_nsec) / 1e9 : 0;
}

// proc(5), /proc/pid/stat: field 22, in ticks after the boot; the name, field 2, may hold anything but ends with the last ')'.
double start_time() {
  const auto text = os::read_file("/proc/self/stat");
  timespec wall{}, since_boot{};
  if (!text || clock_gettime(CLOCK_REALTIME, &wall) != 0 || clock_gettime(CLOCK_BOOTTIME, &since_boot) != 0) return 0;
  const auto fields = split(std::string_view(*text).substr(std::min(text->rfind(')'), text->size() - 1) + 1), ' ');
  if (fields.size() < 21) return 0;
  const double ticks = double(parse_number<uint64_t>(fields[20]).value_or(0)) / double(sysconf(_SC_CLK_TCK));
  return double(wall.tv_sec - since_boot.tv_sec) + double(wall.tv_nsec - since_boot.tv_nsec) / 1e9 + ticks;
}

}  // namespace

HeapUse heap_use() {
  const struct mallinfo2 info = mallinfo2();
  return {.allocated = info.uordblks + info.hblkhd, .free = info.fordblks};
}

void tell_process_metrics() {
  auto& metrics = observe::metrics();
  metrics.callback("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", "counter", cpu_seconds);
  metrics.callback("process_resident_memory_bytes", "Resident memory size in bytes.", "gauge", [] { return pages_at(1); });
  metrics.callback("process_virtual_memory_bytes", "Virtual memory size in bytes.", "gauge", [] { return pages_at(0); });
  metrics.callback("process_open_fds", "Number of open file descriptors.", "gauge", open_files);
  metrics.callback("process_max_fds", "Maximum number of open file descriptors.", "gauge", most_files);
  metrics.callback("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", "gauge",
                   [at = start_time()] { return at; });
  metrics.callback("estiba_heap_allocated_bytes", "What the program has allocated.", "gauge", [] { return double(heap_use().allocated); });
  metrics.callback("estiba_heap_free_bytes", "What the allocator keeps for it.", "gauge", [] { return double(heap_use().free); });
  metrics.callback("estiba_decoded_objects", "API objects that are held as structs beside their text.", "gauge",
                   [] { return double(model::Object::decoded()); });
}

}  // namespace estiba::server
