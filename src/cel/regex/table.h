// Makes the table of a small automaton.
#pragma once
#include <cstdint>
#include <map>
#include <vector>

#include "cel/regex/regex.h"

namespace estiba::cel {

class TableBuilder {
 public:
  explicit TableBuilder(Regex& regex) : regex_(regex) {}
  /// Leaves the expression without a table when it has assertions about lines or words, or too many states.
  void build();

 private:
  static constexpr size_t max_states = 256, max_work = 200'000;
  using States = std::vector<uint32_t>;

  void classify();
  void follow(uint32_t at, bool begin, States& out);
  /// Whether the match is reached without reading more, at the text's end.
  bool matches_at_end(const States& states);
  uint16_t number(States states, bool accepting);

  Regex& regex_;
  std::vector<uint32_t> seen_;
  uint32_t mark_ = 0;
  size_t work_ = 0;
  bool found_match_ = false;
  std::map<States, uint16_t> known_;
  std::vector<States> sets_;
  std::vector<uint8_t> samples_;
};

}  // namespace estiba::cel
