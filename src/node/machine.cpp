#include "node/machine.h"

#include <algorithm>

#include "base/strings.h"
#include "engine/files.h"
#include "model/quantity.h"

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
  out.swap_total = of("SwapTotal");
  out.swap_free = of("SwapFree");
  out.working_set = out.used - std::min(out.used, of("Inactive(file)"));
  return out;
}

std::vector<HugePages> huge_pages(const std::string& dir) {
  std::vector<HugePages> out;
  for (const std::string& name : engine::list_names(dir).value_or(std::vector<std::string>())) {
    std::string_view size = name;  // hugepages-2048kB
    if (!size.starts_with("hugepages-") || !size.ends_with("kB")) continue;
    size.remove_prefix(std::string_view("hugepages-").size());
    size.remove_suffix(2);
    const auto kib = parse_number<uint64_t>(size);
    const auto count = parse_number<uint64_t>(trim(engine::read_file(dir + "/" + name + "/nr_hugepages").value_or(std::string())));
    if (kib && *kib > 0) out.push_back({*kib * 1024, count.value_or(0)});
  }
  std::ranges::sort(out, {}, &HugePages::page_bytes);
  return out;
}

std::string huge_page_resource(uint64_t page_bytes) {
  return "hugepages-" + model::Quantity::parse(std::to_string(page_bytes / 1024) + "Ki").value_or({}).print();
}

}  // namespace estiba::node
