#include "cel/issue.h"

#include <algorithm>

namespace estiba::cel {

static constexpr size_t max_snippet = 16384;

static size_t sequence_length(unsigned char lead) { return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4; }

std::string describe(const Issue& issue, std::string_view text) {
  if (issue.position == nowhere) return "ERROR: <input>:-1:0: " + issue.message;
  const size_t position = std::min<size_t>(issue.position, text.size());
  const size_t line_start = position == 0 ? 0 : text.rfind('\n', position - 1) + 1;  // npos + 1 is 0
  const size_t line = size_t(std::count(text.begin(), text.begin() + ptrdiff_t(line_start), '\n')) + 1;
  std::string caret;
  size_t column = 1;
  size_t at = line_start;
  for (; at < position; column++) {
    const size_t length = sequence_length(static_cast<unsigned char>(text[at]));
    caret += length > 1 ? "\uff0e" : ".";
    at += length;
  }
  caret += at < text.size() && sequence_length(static_cast<unsigned char>(text[at])) > 1 ? "\uff3e" : "^";
  std::string out = "ERROR: <input>:" + std::to_string(line) + ":" + std::to_string(column) + ": " + issue.message;
  std::string snippet(text.substr(line_start, text.find('\n', line_start) - line_start));
  if (snippet.size() > max_snippet) return out;
  std::replace(snippet.begin(), snippet.end(), '\t', ' ');
  return out + "\n | " + snippet + "\n | " + caret;
}

std::string describe(const Issues& issues, std::string_view text) {
  Issues sorted = issues;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Issue& a, const Issue& b) { return a.position + 1 < b.position + 1; });
  std::string out;
  for (const Issue& issue : sorted) {
    if (!out.empty()) out += '\n';
    out += describe(issue, text);
  }
  return out;
}

}  // namespace estiba::cel
