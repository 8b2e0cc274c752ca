// Regular expressions in RE2's syntax (github.com/google/re2/wiki/Syntax, as Go's regexp takes it) that run in time linear in
// the text: an automaton over bytes, as a table where it is small, else simulated. There is no backtracking.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace estiba::cel {

class Memory;

class Regex {
 public:
  struct Match {
    size_t from, to;
  };

  /// invalid with Go's message: "error parsing regexp: missing closing ): `(a`".
  static Result<Regex> compile(std::string_view pattern);

  /// Whether it matches somewhere in the text. Both count their steps in `memory`; when that runs out the result means
  /// nothing.
  bool matches(Memory& memory, std::string_view text) const;
  /// The leftmost match at or behind `from`, of those the one that a backtracking search would find first.
  std::optional<Match> find(Memory& memory, std::string_view text, size_t from) const;

  /// Steps that compiling took, about.
  uint64_t work() const { return program_.size() + table_.size(); }
  bool has_table() const { return !table_.empty(); }

  enum class Op : uint8_t { bytes, split, begin_text, end_text, begin_line, end_line, word, not_word, match, fail };
  /// One step: a byte range leads to `next`; a split prefers `next` to `other`; assertions lead to `next` where they hold.
  struct Instruction {
    Op op;
    uint8_t low = 0, high = 0;
    uint32_t next = 0, other = 0;
  };

 private:
  friend class TableBuilder;
  friend class Simulation;

  std::vector<Instruction> program_;
  uint32_t start_ = 0;
  bool anchored_ = false;  ///< every match begins at the text's begin

  // The table: states by classes of bytes. State 0 is dead, state 1 has matched.
  std::vector<uint16_t> table_;
  std::vector<bool> accepts_at_end_;
  uint16_t first_state_ = 0;
  uint16_t class_count_ = 0;
  uint8_t classes_[256] = {};
};

}  // namespace estiba::cel
