#include "controllers/job_indexes.h"

#include <algorithm>

#include "base/strings.h"

namespace estiba::controllers {

IndexSet IndexSet::parse(std::string_view text, int64_t completions) {
  IndexSet set;
  if (text.empty()) return set;
  for (std::string_view part : split(text, ',')) {
    const auto [from, to] = split_once(part, '-');
    const auto first = parse_number<int64_t>(from), last = to ? parse_number<int64_t>(*to) : first;
    if (!first || !last || *first < 0 || *last < *first || *first >= completions) continue;
    const int64_t end = std::min(*last, completions - 1);
    if (!set.ranges_.empty() && *first <= set.ranges_.back().last) continue;
    if (!set.ranges_.empty() && *first == set.ranges_.back().last + 1) set.ranges_.back().last = end;
    else set.ranges_.push_back({*first, end});
    set.size_ += end - *first + 1;
  }
  return set;
}

std::string IndexSet::text() const {
  std::string out;
  for (const Range& range : ranges_) {
    if (!out.empty()) out.push_back(',');
    out += std::to_string(range.first);
    if (range.last > range.first) out += (range.last == range.first + 1 ? "," : "-") + std::to_string(range.last);
  }
  return out;
}

void IndexSet::add(int64_t index) {
  // The first range that does not end before the index.
  auto at = std::ranges::lower_bound(ranges_, index, {}, &Range::last);
  if (at != ranges_.end() && at->first <= index) return;
  ++size_;
  const bool joins_next = at != ranges_.end() && at->first == index + 1;
  const bool joins_last = at != ranges_.begin() && std::prev(at)->last == index - 1;
  if (joins_next && joins_last) {
    std::prev(at)->last = at->last;
    ranges_.erase(at);
  } else if (joins_next) {
    at->first = index;
  } else if (joins_last) {
    std::prev(at)->last = index;
  } else {
    ranges_.insert(at, {index, index});
  }
}

bool IndexSet::contains(int64_t index) const {
  const auto at = std::ranges::lower_bound(ranges_, index, {}, &Range::last);
  return at != ranges_.end() && at->first <= index;
}

}  // namespace estiba::controllers
