// What is wrong with an expression, and where.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace estiba::cel {

/// A byte offset into the text; `nowhere` for problems of the whole text.
using Position = uint32_t;
inline constexpr Position nowhere = UINT32_MAX;

struct Issue {
  Position position = nowhere;
  std::string message;
};

using Issues = std::vector<Issue>;

/// One issue as cel-go prints it: "ERROR: <input>:1:5: message", the line and a caret below the column. Columns count code
/// points, beginning with 1.
std::string describe(const Issue& issue, std::string_view text);
/// All issues by position, joined by newlines.
std::string describe(const Issues& issues, std::string_view text);

}  // namespace estiba::cel
