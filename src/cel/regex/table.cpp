#include "cel/regex/table.h"

#include <algorithm>

namespace estiba::cel {

using Op = Regex::Op;

void TableBuilder::classify() {
  bool boundary[257] = {};
  for (const auto& instruction : regex_.program_)
    if (instruction.op == Op::bytes) boundary[instruction.low] = boundary[instruction.high + 1] = true;
  int current = -1;
  for (int byte = 0; byte < 256; byte++) {
    if (byte == 0 || boundary[byte]) {
      current++;
      samples_.push_back(uint8_t(byte));
    }
    regex_.classes_[byte] = uint8_t(current);
  }
  regex_.class_count_ = uint16_t(current + 1);
}

void TableBuilder::follow(uint32_t at, bool begin, States& out) {
  std::vector<uint32_t> todo{at};
  while (!todo.empty()) {
    at = todo.back();
    todo.pop_back();
    if (seen_[at] == mark_) continue;
    seen_[at] = mark_;
    work_++;
    const auto& instruction = regex_.program_[at];
    switch (instruction.op) {
      case Op::split:
        todo.push_back(instruction.other);
        todo.push_back(instruction.next);
        break;
      case Op::begin_text:
        if (begin) todo.push_back(instruction.next);
        break;
      case Op::match: found_match_ = true; break;
      case Op::bytes:
      case Op::end_text: out.push_back(at); break;
      default: break;
    }
  }
}

bool TableBuilder::matches_at_end(const States& states) {
  mark_++;
  found_match_ = false;
  std::vector<uint32_t> todo;
  for (const uint32_t at : states)
    if (regex_.program_[at].op == Op::end_text) todo.push_back(regex_.program_[at].next);
  while (!todo.empty()) {
    const uint32_t at = todo.back();
    todo.pop_back();
    if (seen_[at] == mark_) continue;
    seen_[at] = mark_;
    const auto& instruction = regex_.program_[at];
    if (instruction.op == Op::match) return true;
    if (instruction.op == Op::split) todo.push_back(instruction.other);
    if (instruction.op == Op::split || instruction.op == Op::end_text) todo.push_back(instruction.next);
  }
  return false;
}

uint16_t TableBuilder::number(States states, bool accepting) {
  if (accepting) return 1;
  if (states.empty() && regex_.anchored_) return 0;
  std::sort(states.begin(), states.end());
  const auto [at, made] = known_.try_emplace(std::move(states), uint16_t(sets_.size()));
  if (made) sets_.push_back(at->first);
  return at->second;
}

void TableBuilder::build() {
  for (const auto& instruction : regex_.program_)
    if (instruction.op == Op::begin_line || instruction.op == Op::end_line || instruction.op == Op::word || instruction.op == Op::not_word)
      return;
  classify();
  seen_.assign(regex_.program_.size(), 0);
  sets_.resize(2);  // dead, matched
  const size_t classes = regex_.class_count_;
  mark_ = 1;
  States first;
  follow(regex_.start_, true, first);
  // `^` holds at the end of an empty text too.
  const bool empty_matches = found_match_;
  regex_.first_state_ = number(first, empty_matches);
  std::vector<uint16_t> table(2 * classes, 0);
  std::fill(table.begin() + ptrdiff_t(classes), table.end(), uint16_t(1));
  for (size_t state = 2; state < sets_.size(); state++) {
    for (size_t each = 0; each < classes; each++) {
      mark_++;
      found_match_ = false;
      States next;
      const uint8_t byte = samples_[each];
      for (const uint32_t at : std::vector<uint32_t>(sets_[state])) {
        const auto& instruction = regex_.program_[at];
        work_++;
        if (instruction.op == Op::bytes && instruction.low <= byte && byte <= instruction.high) follow(instruction.next, false, next);
      }
      if (!regex_.anchored_) follow(regex_.start_, false, next);
      table.push_back(number(std::move(next), found_match_));
      if (sets_.size() > max_states || work_ > max_work) return;
    }
  }
  regex_.accepts_at_end_.resize(sets_.size());
  regex_.accepts_at_end_[1] = true;
  for (size_t state = 2; state < sets_.size(); state++) regex_.accepts_at_end_[state] = matches_at_end(sets_[state]);
  regex_.table_ = std::move(table);
}

}  // namespace estiba::cel
