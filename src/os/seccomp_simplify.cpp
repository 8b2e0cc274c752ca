#include "os/seccomp_simplify.h"

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace estiba::os {

namespace {

using Code = std::vector<sock_filter>;

constexpr uint16_t load_word = BPF_LD | BPF_W | BPF_ABS, ret_constant = BPF_RET | BPF_K, jump = BPF_JMP | BPF_JA,
                   jump_equal = BPF_JMP | BPF_JEQ | BPF_K, jump_greater = BPF_JMP | BPF_JGT | BPF_K,
                   jump_at_least = BPF_JMP | BPF_JGE | BPF_K;
constexpr uint32_t number_at = offsetof(seccomp_data, nr), architecture_at = offsetof(seccomp_data, arch);

bool is_branch(uint16_t code) { return code == jump_equal || code == jump_greater || code == jump_at_least; }

bool holds(const sock_filter& branch, uint32_t value) {
  if (branch.code == jump_equal) return value == branch.k;
  return branch.code == jump_greater ? value > branch.k : value >= branch.k;
}

// Where a program has decided by number and architecture alone: with a return, or where it begins to look at something else.
struct Outcome {
  bool returns = false;
  uint32_t value = 0;  // what it returns
  size_t at = 0;       // where it goes on
  bool operator==(const Outcome&) const = default;
};

Outcome decide(const Code& code, uint32_t architecture, uint32_t number) {
  uint32_t held = 0;
  for (size_t at = 0;; ++at) {
    const sock_filter& step = code[at];
    if (step.code == ret_constant) return {.returns = true, .value = step.k};
    if (step.code == load_word && step.k == number_at) held = number;
    else if (step.code == load_word && step.k == architecture_at) held = architecture;
    else if (step.code == jump) at += step.k;
    else if (is_branch(step.code)) at += holds(step, held) ? step.jt : step.jf;
    else return {.at = at};
  }
}

// Numbers from `first` up to the next range's have one outcome.
struct Range {
  uint32_t first;
  Outcome outcome;
};

class Simplifier {
 public:
  explicit Simplifier(Code old) : old_(std::move(old)) {}

  std::optional<Code> run() {
    if (!survey(0, Held::nothing)) return std::nullopt;
    uint32_t other = 0;
    while (architectures_.contains(other)) ++other;
    Code out{instruction(load_word, architecture_at)};
    std::vector<Steps> trees{tree(ranges(other))};
    for (uint32_t architecture : architectures_) trees.push_back(tree(ranges(architecture)));
    size_t target = architectures_.size() * 2 + trees[0].size(), tree_number = 0;
    for (uint32_t architecture : architectures_) {
      out.push_back(instruction(jump_equal, architecture, 0, 1));
      out.push_back(instruction(jump, uint32_t(target - (out.size() - 1) - 1)));
      target += trees[++tree_number].size();
    }
    const size_t fragments = out.size() + size_of(trees);
    const std::map<size_t, size_t> moved = copied(trees, fragments);
    for (const Steps& steps : trees) {
      for (const Step& step : steps) {
        out.push_back(step.code);
        if (step.goes_on) out.back().k = uint32_t(moved.at(*step.goes_on) - (out.size() - 1) - 1);
      }
    }
    if (!append_fragments(out, moved) || out.size() >= old_.size() || out.size() > BPF_MAXINSNS || !same(out, moved)) return std::nullopt;
    return out;
  }

 private:
  enum class Held : unsigned char { nothing, number, architecture };
  struct Step {
    sock_filter code{};
    std::optional<size_t> goes_on;  // a jump into the old program
  };
  using Steps = std::vector<Step>;

  static sock_filter instruction(uint16_t code, uint32_t k, uint8_t yes = 0, uint8_t no = 0) {
    return {.code = code, .jt = yes, .jf = no, .k = k};
  }

  static size_t size_of(const std::vector<Steps>& trees) {
    size_t size = 0;
    for (const Steps& steps : trees) size += steps.size();
    return size;
  }

  // Notes all numbers and architectures that are compared with. False when there is more than comparisons.
  bool survey(size_t at, Held held) {
    for (;; ++at) {
      if (at >= old_.size()) return false;
      if (!seen_.emplace(at, held).second) return true;
      const sock_filter& step = old_[at];
      if (step.code == ret_constant) return true;
      if (step.code == load_word && step.k == number_at) {
        held = Held::number;
      } else if (step.code == load_word && step.k == architecture_at) {
        held = Held::architecture;
      } else if (step.code == load_word) {
        return true;
      } else if (step.code == jump) {
        at += step.k;
      } else if (is_branch(step.code) && held == Held::number) {
        if (step.code != jump_greater) firsts_.insert(step.k);
        if (step.code != jump_at_least && step.k != UINT32_MAX) firsts_.insert(step.k + 1);
        if (!survey(at + 1 + step.jt, held)) return false;
        at += step.jf;
      } else if (step.code == jump_equal && held == Held::architecture) {
        architectures_.insert(step.k);
        if (!survey(at + 1 + step.jt, held)) return false;
        at += step.jf;
      } else {
        return false;
      }
    }
  }

  std::vector<Range> ranges(uint32_t architecture) const {
    std::vector<Range> out{{0, decide(old_, architecture, 0)}};
    for (uint32_t first : firsts_)
      if (Outcome outcome = decide(old_, architecture, first); outcome != out.back().outcome) out.push_back({first, outcome});
    return out;
  }

  static Steps tree(const std::vector<Range>& ranges) {
    Steps out;
    if (ranges.size() > 1) out.push_back({instruction(load_word, number_at), {}});
    grow(out, ranges.data(), ranges.size());
    return out;
  }

  static void grow(Steps& out, const Range* ranges, size_t count) {
    if (count == 1) {
      const Outcome& outcome = ranges->outcome;
      if (outcome.returns) out.push_back({instruction(ret_constant, outcome.value), {}});
      else out.push_back({instruction(jump, 0), outcome.at});
      return;
    }
    const size_t middle = count / 2;
    Steps lower, upper;
    grow(lower, ranges, middle);
    grow(upper, ranges + middle, count - middle);
    if (lower.size() <= UINT8_MAX) {
      out.push_back({instruction(jump_at_least, ranges[middle].first, uint8_t(lower.size()), 0), {}});
    } else {
      out.push_back({instruction(jump_at_least, ranges[middle].first, 0, 1), {}});
      out.push_back({instruction(jump, uint32_t(lower.size())), {}});
    }
    out.insert(out.end(), lower.begin(), lower.end());
    out.insert(out.end(), upper.begin(), upper.end());
  }

  // Where what is left of the old program will be: old index → new index, from `begin` on.
  std::map<size_t, size_t> copied(const std::vector<Steps>& trees, size_t begin) const {
    std::map<size_t, size_t> moved;
    std::vector<size_t> todo;
    for (const Steps& steps : trees)
      for (const Step& step : steps)
        if (step.goes_on) todo.push_back(*step.goes_on);
    while (!todo.empty()) {
      const size_t at = todo.back();
      todo.pop_back();
      if (at >= old_.size() || !moved.emplace(at, 0).second) continue;
      const sock_filter& step = old_[at];
      if (BPF_CLASS(step.code) == BPF_RET) continue;
      if (BPF_CLASS(step.code) != BPF_JMP) {
        todo.push_back(at + 1);
      } else if (BPF_OP(step.code) == BPF_JA) {
        todo.push_back(at + 1 + step.k);
      } else {
        todo.push_back(at + 1 + step.jt);
        todo.push_back(at + 1 + step.jf);
      }
    }
    for (auto& [from, to] : moved) to = begin++;
    return moved;
  }

  // In the old order, so that distances only shrink.
  bool append_fragments(Code& out, const std::map<size_t, size_t>& moved) const {
    for (const auto& [from, to] : moved) {
      sock_filter step = old_[from];
      auto distance = [&](size_t skipped) -> std::optional<size_t> {
        auto found = moved.find(from + 1 + skipped);
        return found == moved.end() ? std::nullopt : std::optional(found->second - to - 1);
      };
      if (BPF_CLASS(step.code) == BPF_JMP) {
        const bool always = BPF_OP(step.code) == BPF_JA;
        auto yes = distance(always ? step.k : step.jt), no = always ? std::optional<size_t>(0) : distance(step.jf);
        if (!yes || !no || (!always && (*yes > UINT8_MAX || *no > UINT8_MAX))) return false;
        if (always) {
          step.k = uint32_t(*yes);
        } else {
          step.jt = uint8_t(*yes);
          step.jf = uint8_t(*no);
        }
      } else if (BPF_CLASS(step.code) != BPF_RET && distance(0) != std::optional<size_t>(0)) {
        return false;
      }
      out.push_back(step);
    }
    return true;
  }

  // A look at the result, for every range: it guards containers.
  bool same(const Code& out, const std::map<size_t, size_t>& moved) const {
    std::set<uint32_t> architectures = architectures_, numbers = firsts_;
    for (uint32_t architecture : architectures_) {
      architectures.insert(architecture + 1);
      architectures.insert(architecture - 1);
    }
    for (uint32_t first : firsts_) numbers.insert(first - 1);
    for (uint32_t architecture : architectures) {
      for (uint32_t number : numbers) {
        Outcome before = decide(old_, architecture, number), after = decide(out, architecture, number);
        if (!before.returns) before.at = moved.at(before.at);
        if (before != after) return false;
      }
    }
    return true;
  }

  const Code old_;
  std::set<std::pair<size_t, Held>> seen_;
  std::set<uint32_t> firsts_{0}, architectures_;
};

}  // namespace

std::string simplify_seccomp(std::string code) {
  if (code.size() < sizeof(sock_filter)) return code;
  Code old(code.size() / sizeof(sock_filter));
  std::memcpy(old.data(), code.data(), old.size() * sizeof(sock_filter));
  auto simple = Simplifier(std::move(old)).run();
  if (!simple) return code;
  return {reinterpret_cast<const char*>(simple->data()), simple->size() * sizeof(sock_filter)};
}

}  // namespace estiba::os
