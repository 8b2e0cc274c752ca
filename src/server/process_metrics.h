// What this process itself costs: Prometheus' usual process_* metrics, and what the allocator holds.
#pragma once
#include <cstdint>

namespace estiba::server {

/// Bytes of malloc's arenas, mallinfo(3). Takes each arena's lock and walks its free pieces: milliseconds in a heap of gigabytes.
struct HeapUse {
  uint64_t allocated = 0;  ///< by the program, with large pieces that are mapped by themselves
  uint64_t free = 0;       ///< kept for it, whether or not the kernel has the pages back
};
HeapUse heap_use();

/// Registers process_cpu_seconds_total, process_resident_memory_bytes, process_virtual_memory_bytes, process_open_fds, process_max_fds,
/// process_start_time_seconds (https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics), estiba_heap_allocated_bytes,
/// estiba_heap_free_bytes and estiba_decoded_objects, which are read when they are asked for.
void tell_process_metrics();

}  // namespace estiba::server
