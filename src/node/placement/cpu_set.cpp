#include "node/placement/cpu_set.h"

#include <algorithm>
#include <iterator>

#include "base/strings.h"

namespace estiba::node {

namespace {
constexpr int most = 8191;  // NR_CPUS of the largest configuration (arch/x86/Kconfig)
}

Result<CpuSet> CpuSet::parse(std::string_view text) {
  CpuSet out;
  if (trim(text).empty()) return out;
  for (std::string_view part : split(trim(text), ',')) {
    const auto [from, to] = split_once(part, '-');
    const auto first = parse_number<int>(from), last = to ? parse_number<int>(*to) : first;
    if (!first || !last || *first < 0 || *last < *first || *last > most)
      return fail(Code::malformed, quoted(text) + " is no list of numbers such as 0-3,8");
    for (int number = *first; number <= *last; ++number) out.insert(number);
  }
  return out;
}

std::string CpuSet::text() const {
  std::string out;
  for (auto at = numbers_.begin(); at != numbers_.end();) {
    const int first = *at;
    int last = first;
    for (++at; at != numbers_.end() && *at == last + 1; ++at) last = *at;
    if (!out.empty()) out += ',';
    out += std::to_string(first);
    if (last != first) out += '-' + std::to_string(last);
  }
  return out;
}

bool CpuSet::contains_all(const CpuSet& other) const { return std::ranges::includes(numbers_, other.numbers_); }

CpuSet CpuSet::operator|(const CpuSet& other) const {
  CpuSet out = *this;
  out.numbers_.insert(other.numbers_.begin(), other.numbers_.end());
  return out;
}

CpuSet CpuSet::operator&(const CpuSet& other) const {
  CpuSet out;
  std::ranges::set_intersection(numbers_, other.numbers_, std::inserter(out.numbers_, out.numbers_.end()));
  return out;
}

CpuSet CpuSet::operator-(const CpuSet& other) const {
  CpuSet out;
  std::ranges::set_difference(numbers_, other.numbers_, std::inserter(out.numbers_, out.numbers_.end()));
  return out;
}

}  // namespace estiba::node
