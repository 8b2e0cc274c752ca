#include "cel/regex/unicode_data.h"

#include <map>
#include <string>

#include "cel/regex/syntax.h"

namespace estiba::cel::regex {

static char32_t number(const char*& text) {
  char32_t value = 0;
  for (int shift = 0;; shift += 5) {
    const char c = *text++;
    const int digit = c >= 'a' ? c - 'a' + 26 : c >= 'A' ? c - 'A' : c >= '0' ? c - '0' + 52 : c == '+' ? 62 : 63;
    value |= char32_t(digit & 31) << shift;
    if (digit < 32) return value;
  }
}

static Ranges unpack(const char* text) {
  Ranges out;
  for (char32_t at = 0; *text;) {
    const char32_t low = at + number(text);
    const char32_t high = low + number(text);
    out.emplace_back(low, high);
    at = high + 1;
  }
  return out;
}

const Ranges* find_class(std::string_view name) {
  static const std::map<std::string, Ranges, std::less<>>& classes = *[] {
    auto* all = new std::map<std::string, Ranges, std::less<>>;
    for (unsigned i = 0; i < class_count; i++) all->emplace(class_data[i].name, unpack(class_data[i].ranges));
    // Other: control, format, private use and surrogates.
    Ranges other;
    for (const char* part : {"Cc", "Cf", "Co", "Cs"})
      if (const auto at = all->find(part); at != all->end()) other.insert(other.end(), at->second.begin(), at->second.end());
    normalize(other);
    all->emplace("C", std::move(other));
    all->emplace("Any", Ranges{{0, 0x10ffff}});
    return all;
  }();
  const auto at = classes.find(name);
  return at == classes.end() ? nullptr : &at->second;
}

/// Every letter with the others that fold to the same one.
static const std::map<char32_t, std::vector<char32_t>>& orbits() {
  static const auto& all = *[] {
    std::map<char32_t, std::vector<char32_t>> groups;
    char32_t from = 0;
    for (const char* text = fold_data; *text;) {
      from += number(text);
      const char32_t zigzag = number(text);
      const char32_t to = zigzag & 1 ? from - (zigzag + 1) / 2 : from + zigzag / 2;
      auto& group = groups[to];
      if (group.empty()) group.push_back(to);
      group.push_back(from);
    }
    auto* letters = new std::map<char32_t, std::vector<char32_t>>;
    for (const auto& [to, group] : groups)
      for (const char32_t letter : group) (*letters)[letter] = group;
    return letters;
  }();
  return all;
}

void fold_case(Ranges& ranges) {
  Ranges more;
  for (const auto& [low, high] : ranges)
    for (auto at = orbits().lower_bound(low); at != orbits().end() && at->first <= high; ++at)
      for (const char32_t other : at->second) more.emplace_back(other, other);
  ranges.insert(ranges.end(), more.begin(), more.end());
}

}  // namespace estiba::cel::regex
