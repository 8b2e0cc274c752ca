// Running an expression over a text.
#include "cel/memory.h"
#include "cel/regex/regex.h"

namespace estiba::cel {

static bool is_word(std::string_view text, size_t at) {
  return at < text.size() && (isalnum(static_cast<unsigned char>(text[at])) || text[at] == '_');
}

/// All ways through the program at once, in the order of preference.
class Simulation {
 public:
  Simulation(const Regex& regex, std::string_view text) : regex_(regex), text_(text), marks_(regex.program_.size(), 0) {}

  std::optional<Regex::Match> run(Memory& memory, size_t from, bool any) {
    std::optional<Regex::Match> best;
    for (size_t at = from;; at++) {
      // A new way begins here, unless one further left has matched.
      if (!best && (!regex_.anchored_ || at == 0)) add(regex_.start_, at, at);
      if (threads_.empty() && (best || regex_.anchored_)) break;
      if (!memory.spend(1 + threads_.size() / 4)) break;
      step(at, best);
      if (any && best) break;
      if (at >= text_.size()) break;
    }
    return best;
  }

 private:
  struct Thread {
    uint32_t at;
    size_t from;
  };

  void step(size_t at, std::optional<Regex::Match>& best) {
    std::vector<Thread> now;
    now.swap(threads_);
    threads_.swap(spare_);
    threads_.clear();
    mark_++;
    for (const Thread& thread : now) {
      const auto& instruction = regex_.program_[thread.at];
      if (instruction.op == Regex::Op::match) {
        best = Regex::Match{thread.from, at};
        break;  // what follows is less preferred
      }
      const auto byte = at < text_.size() ? static_cast<unsigned char>(text_[at]) : 0;
      if (at < text_.size() && instruction.low <= byte && byte <= instruction.high) add(instruction.next, at + 1, thread.from);
    }
    spare_ = std::move(now);
  }

  bool holds(Regex::Op op, size_t at) const {
    switch (op) {
      case Regex::Op::begin_text: return at == 0;
      case Regex::Op::end_text: return at == text_.size();
      case Regex::Op::begin_line: return at == 0 || text_[at - 1] == '\n';
      case Regex::Op::end_line: return at == text_.size() || text_[at] == '\n';
      case Regex::Op::word: return (at > 0 && is_word(text_, at - 1)) != is_word(text_, at);
      case Regex::Op::not_word: return (at > 0 && is_word(text_, at - 1)) == is_word(text_, at);
      default: return false;
    }
  }

  void add(uint32_t at, size_t position, size_t from) {
    todo_.assign(1, at);
    while (!todo_.empty()) {
      at = todo_.back();
      todo_.pop_back();
      if (marks_[at] == mark_) continue;
      marks_[at] = mark_;
      const auto& instruction = regex_.program_[at];
      switch (instruction.op) {
        case Regex::Op::split:
          todo_.push_back(instruction.other);
          todo_.push_back(instruction.next);
          break;
        case Regex::Op::bytes:
        case Regex::Op::match: threads_.push_back({at, from}); break;
        default:
          if (holds(instruction.op, position)) todo_.push_back(instruction.next);
      }
    }
  }

  const Regex& regex_;
  std::string_view text_;
  std::vector<uint32_t> marks_;
  uint32_t mark_ = 1;
  std::vector<Thread> threads_, spare_;
  std::vector<uint32_t> todo_;
};

bool Regex::matches(Memory& memory, std::string_view text) const {
  if (table_.empty()) return Simulation(*this, text).run(memory, 0, true).has_value();
  memory.spend(text.size() / 16);
  size_t state = first_state_;
  for (const char c : text) {
    if (state < 2) break;
    state = table_[state * class_count_ + classes_[static_cast<unsigned char>(c)]];
  }
  return state == 1 || (state > 1 && accepts_at_end_[state]);
}

std::optional<Regex::Match> Regex::find(Memory& memory, std::string_view text, size_t from) const {
  if (from == 0 && !table_.empty() && !matches(memory, text)) return std::nullopt;
  return Simulation(*this, text).run(memory, from, false);
}

}  // namespace estiba::cel
