// The tree of a regular expression.
#pragma once
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace estiba::cel::regex {

/// Code points as sorted ranges that do not touch.
using Ranges = std::vector<std::pair<char32_t, char32_t>>;
void normalize(Ranges& ranges);
Ranges negated(const Ranges& normal);
/// With the other cases of every letter.
void fold_case(Ranges& ranges);

enum class Kind : uint8_t { empty, set, cat, alternate, repeat, begin_text, end_text, begin_line, end_line, word, not_word };

struct Node {
  Kind kind = Kind::empty;
  Ranges ranges{};                ///< of a set
  std::vector<uint32_t> parts{};  ///< indexes of nodes
  int min = 0, max = -1;          ///< of a repetition; -1: no bound
  bool greedy = true;
};

struct Tree {
  std::vector<Node> nodes;
  uint32_t root = 0;
};

Result<Tree> parse(std::string_view pattern);

/// A class of Unicode by its name ("L", "Lu", "Greek"); null when there is none.
const Ranges* find_class(std::string_view name);

}  // namespace estiba::cel::regex
