#include "node/placement/topology.h"

#include <algorithm>

#include "base/strings.h"
#include "node/machine.h"
#include "os/file.h"

namespace estiba::node {

CpuSet Topology::all() const {
  CpuSet out;
  for (const auto& [number, cpu] : cpus) out.insert(number);
  return out;
}

CpuSet Topology::numa_nodes() const {
  CpuSet out;
  for (const auto& [number, node] : numa) out.insert(number);
  return out;
}

std::map<int, CpuSet> Topology::by(int Cpu::* level) const {
  std::map<int, CpuSet> out;
  for (const auto& [number, cpu] : cpus) out[cpu.*level].insert(number);
  return out;
}

CpuSet Topology::of_numa(const CpuSet& nodes) const {
  CpuSet out;
  for (const auto& [number, cpu] : cpus)
    if (nodes.contains(cpu.numa)) out.insert(number);
  return out;
}

size_t Topology::threads_per_core() const {
  size_t out = 1;
  for (const auto& [core, threads] : by(&Cpu::core)) out = std::max(out, threads.size());
  return out;
}

namespace {

Result<std::string> read_line(const std::string& path) { return std::string(trim(TRY(os::read_file(path)))); }

Result<CpuSet> read_list(const std::string& path) { return within(path, CpuSet::parse(TRY(read_line(path)))); }

// "Node 0 MemTotal:       16320540 kB"
Result<uint64_t> memory_of(const std::string& path) {
  for (std::string_view line : split(TRY(os::read_file(path)), '\n')) {
    const auto fields = words(line);
    if (fields.size() >= 4 && fields[2] == "MemTotal:")
      if (const auto kib = parse_number<uint64_t>(fields[3])) return *kib * 1024;
  }
  return fail(Code::malformed, path + " has no line MemTotal");
}

}  // namespace

Result<Topology> read_topology(const std::string& sys) {
  Topology out;
  const std::string cpus = sys + "/devices/system/cpu", nodes = sys + "/devices/system/node";
  for (const int number : TRY(read_list(cpus + "/online"))) {
    const std::string dir = cpus + "/cpu" + std::to_string(number) + "/topology";
    // core_cpus_list since Linux 5.3, thread_siblings_list before.
    const std::string list = os::exists(dir + "/core_cpus_list") ? "/core_cpus_list" : "/thread_siblings_list";
    const CpuSet siblings = TRY(read_list(dir + list));
    const std::string package = TRY(read_line(dir + "/physical_package_id"));
    out.cpus[number] = {.core = siblings.empty() ? number : *siblings.begin(), .socket = parse_number<int>(package).value_or(0), .numa = 0};
  }
  if (out.cpus.empty()) return fail(Code::internal, cpus + "/online names no CPU");
  if (!os::exists(nodes + "/online")) {
    Topology::NumaNode& only = out.numa[0];
    only.memory_bytes = machine_memory().total;
    for (const HugePages& size : huge_pages()) only.huge_pages[size.page_bytes] = size.count;
    return out;
  }
  for (const int number : TRY(read_list(nodes + "/online"))) {
    const std::string dir = nodes + "/node" + std::to_string(number);
    Topology::NumaNode& node = out.numa[number];
    node.memory_bytes = TRY(memory_of(dir + "/meminfo"));
    for (const HugePages& size : huge_pages(dir + "/hugepages")) node.huge_pages[size.page_bytes] = size.count;
    for (const int cpu : TRY(read_list(dir + "/cpulist")))
      if (const auto found = out.cpus.find(cpu); found != out.cpus.end()) found->second.numa = number;
  }
  return out;
}

}  // namespace estiba::node
