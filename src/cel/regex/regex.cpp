#include "cel/regex/regex.h"

#include "cel/compare.h"
#include "cel/regex/syntax.h"
#include "cel/regex/table.h"

namespace estiba::cel {

namespace {

using regex::Kind;
using regex::Node;
using regex::Ranges;
using Op = Regex::Op;
using Instruction = Regex::Instruction;

constexpr size_t max_program = 50'000;

/// Builds the program from its end: every piece is given what comes behind it.
class Compiler {
 public:
  Compiler(const regex::Tree& tree, std::vector<Instruction>& program) : tree_(tree), program_(program) {}

  uint32_t emit(Instruction instruction) {
    if (program_.size() < max_program) program_.push_back(instruction);
    else full_ = true;
    return uint32_t(program_.size() - 1);
  }
  bool full() const { return full_; }

  uint32_t compile(uint32_t index, uint32_t next) {
    const Node& node = tree_.nodes[index];
    if (full_) return next;
    switch (node.kind) {
      case Kind::empty: return next;
      case Kind::set: return set(node.ranges, next);
      case Kind::cat:
        for (size_t i = node.parts.size(); i-- > 0;) next = compile(node.parts[i], next);
        return next;
      case Kind::alternate: {
        uint32_t rest = compile(node.parts.back(), next);
        for (size_t i = node.parts.size() - 1; i-- > 0;) {
          const uint32_t branch = compile(node.parts[i], next);
          rest = emit({Op::split, 0, 0, branch, rest});
        }
        return rest;
      }
      case Kind::repeat: return repeat(node, next);
      case Kind::begin_text: return emit({Op::begin_text, 0, 0, next});
      case Kind::end_text: return emit({Op::end_text, 0, 0, next});
      case Kind::begin_line: return emit({Op::begin_line, 0, 0, next});
      case Kind::end_line: return emit({Op::end_line, 0, 0, next});
      case Kind::word: return emit({Op::word, 0, 0, next});
      case Kind::not_word: return emit({Op::not_word, 0, 0, next});
    }
    return next;
  }

 private:
  uint32_t split(bool greedy, uint32_t again, uint32_t leave) {
    return greedy ? emit({Op::split, 0, 0, again, leave}) : emit({Op::split, 0, 0, leave, again});
  }

  uint32_t repeat(const Node& node, uint32_t next) {
    const uint32_t part = node.parts[0];
    if (node.max < 0) {
      // x{n,} is n-1 copies and x+; x* a loop that may be left at once.
      const uint32_t loop = emit({Op::split});
      const uint32_t body = compile(part, loop);
      if (full_) return next;
      program_[loop] = node.greedy ? Instruction{Op::split, 0, 0, body, next} : Instruction{Op::split, 0, 0, next, body};
      next = node.min == 0 ? loop : body;
      for (int i = 1; i < node.min && !full_; i++) next = compile(part, next);
      return next;
    }
    const uint32_t leave = next;
    for (int i = node.min; i < node.max && !full_; i++) next = split(node.greedy, compile(part, next), leave);
    for (int i = 0; i < node.min && !full_; i++) next = compile(part, next);
    return next;
  }

  uint32_t set(const Ranges& ranges, uint32_t next) {
    uint32_t all = UINT32_MAX;
    const auto either = [&](uint32_t one) { all = all == UINT32_MAX ? one : emit({Op::split, 0, 0, one, all}); };
    for (auto [low, high] : ranges) {
      // Surrogates have no UTF-8.
      if (low < 0xd800 && high > 0xdfff) {
        utf8(low, 0xd7ff, next, either);
        utf8(0xe000, high, next, either);
      } else if (low <= high) {
        utf8(low, high, next, either);
      }
      if (full_) return next;
    }
    return all == UINT32_MAX ? emit({Op::fail}) : all;
  }

  /// Splits a range of code points into sequences of byte ranges.
  template <class Either>
  void utf8(char32_t low, char32_t high, uint32_t next, Either& either) {
    static constexpr char32_t limits[] = {0x7f, 0x7ff, 0xffff};
    for (const char32_t limit : limits)
      if (low <= limit && high > limit) {
        utf8(low, limit, next, either);
        utf8(limit + 1, high, next, either);
        return;
      }
    if (high <= 0x7f) return either(emit({Op::bytes, uint8_t(low), uint8_t(high), next}));
    for (int i = 1; i < 4; i++) {
      const char32_t mask = (char32_t(1) << (6 * i)) - 1;
      if ((low & ~mask) == (high & ~mask)) break;
      if ((low & mask) != 0) {
        utf8(low, low | mask, next, either);
        utf8((low | mask) + 1, high, next, either);
        return;
      }
      if ((high & mask) != mask) {
        utf8(low, (high & ~mask) - 1, next, either);
        utf8(high & ~mask, high, next, either);
        return;
      }
    }
    std::string from, to;
    append_code_point(from, low);
    append_code_point(to, high);
    for (size_t i = from.size(); i-- > 0;) next = emit({Op::bytes, uint8_t(from[i]), uint8_t(to[i]), next});
    either(next);
  }

  const regex::Tree& tree_;
  std::vector<Instruction>& program_;
  bool full_ = false;
};

/// Whether every way through the node passes \A or ^ first.
bool begins_text(const regex::Tree& tree, uint32_t index) {
  const Node& node = tree.nodes[index];
  switch (node.kind) {
    case Kind::begin_text: return true;
    case Kind::cat: return !node.parts.empty() && begins_text(tree, node.parts[0]);
    case Kind::alternate:
      for (const uint32_t part : node.parts)
        if (!begins_text(tree, part)) return false;
      return true;
    default: return false;
  }
}

}  // namespace

Result<Regex> Regex::compile(std::string_view pattern) {
  const regex::Tree tree = TRY(regex::parse(pattern));
  Regex out;
  Compiler compiler(tree, out.program_);
  const uint32_t match = compiler.emit({Op::match});
  out.start_ = compiler.compile(tree.root, match);
  if (compiler.full()) return fail(Code::invalid, "error parsing regexp: expression too large: `" + std::string(pattern) + "`");
  out.anchored_ = begins_text(tree, tree.root);
  TableBuilder(out).build();
  return out;
}

}  // namespace estiba::cel
