#include "cel/regex/syntax.h"

#include <algorithm>
#include <optional>

#include "base/strings.h"
#include "cel/compare.h"

namespace estiba::cel::regex {

void normalize(Ranges& ranges) {
  std::sort(ranges.begin(), ranges.end());
  Ranges out;
  for (const auto& [low, high] : ranges) {
    if (!out.empty() && low <= out.back().second + 1) out.back().second = std::max(out.back().second, high);
    else out.emplace_back(low, high);
  }
  ranges = std::move(out);
}

Ranges negated(const Ranges& normal) {
  Ranges out;
  char32_t next = 0;
  for (const auto& [low, high] : normal) {
    if (low > next) out.emplace_back(next, low - 1);
    next = high + 1;
  }
  if (next <= 0x10ffff) out.emplace_back(next, 0x10ffff);
  return out;
}

namespace {

constexpr int max_repeat = 1000, max_height = 500;
constexpr size_t max_ranges = 100'000;

struct Named {
  std::string_view name, ranges;  // pairs of characters
};
constexpr Named perl[] = {{"d", "09"}, {"s", "\t\n\f\r  "}, {"w", "09AZ__az"}};
constexpr Named posix[] = {{"alnum", "09AZaz"}, {"alpha", "AZaz"}, {"blank", "\t\t  "},  {"digit", "09"},
                           {"graph", "!~"},     {"lower", "az"},   {"print", " ~"},      {"punct", "!/:@[`{~"},
                           {"space", "\t\r  "}, {"upper", "AZ"},   {"word", "09AZaz__"}, {"xdigit", "09AFaf"}};

Ranges pairs(std::string_view text) {
  Ranges out;
  for (size_t i = 0; i + 1 < text.size(); i += 2)
    out.emplace_back(static_cast<unsigned char>(text[i]), static_cast<unsigned char>(text[i + 1]));
  return out;
}

struct Flags {
  bool fold = false, lines = false, dot_all = false, lazy = false;
};

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<Tree> run() {
    if (!is_utf8(text_)) return fail(Code::invalid, "error parsing regexp: invalid UTF-8: `" + std::string(text_) + "`");
    const uint32_t root = alternation(0);
    if (error_.empty() && at_ < text_.size()) error("unexpected )", text_);
    if (!error_.empty()) return fail(Code::invalid, "error parsing regexp: " + error_);
    tree_.root = root;
    return std::move(tree_);
  }

 private:
  bool more() const { return at_ < text_.size() && error_.empty(); }
  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  uint32_t error(std::string_view what, std::string_view where) {
    if (error_.empty()) error_ = std::string(what) + ": `" + std::string(where) + "`";
    return 0;
  }
  uint32_t add(Node node) {
    ranges_ += node.ranges.size();
    if (ranges_ > max_ranges) return error("expression too large", text_);
    tree_.nodes.push_back(std::move(node));
    return uint32_t(tree_.nodes.size() - 1);
  }

  uint32_t alternation(int height) {
    if (height > max_height) return error("expression nests too deeply", text_);
    const Flags outside = flags_;
    std::vector<uint32_t> branches{concatenation(height)};
    while (more() && peek() == '|') {
      at_++;
      branches.push_back(concatenation(height));
    }
    flags_ = outside;
    return branches.size() == 1 ? branches[0] : add({.kind = Kind::alternate, .parts = branches});
  }

  uint32_t concatenation(int height) {
    std::vector<uint32_t> parts;
    while (more() && peek() != '|' && peek() != ')') {
      if (text_.substr(at_).starts_with("\\Q")) {
        at_ += 2;
        quoted_literals(parts);
        continue;
      }
      const std::optional<uint32_t> atom = this->atom(height);
      if (!atom) continue;  // flags for what follows
      parts.push_back(repetitions(*atom));
    }
    return parts.size() == 1 ? parts[0] : add({.kind = parts.empty() ? Kind::empty : Kind::cat, .parts = parts});
  }

  void quoted_literals(std::vector<uint32_t>& parts) {
    const size_t end = std::min(text_.find("\\E", at_), text_.size());
    while (at_ < end) parts.push_back(literal(next_code_point(text_, at_)));
    if (at_ < text_.size()) at_ += 2;
    if (!parts.empty()) parts.back() = repetitions(parts.back());
  }

  uint32_t set(Ranges ranges) {
    if (flags_.fold) fold_case(ranges);
    normalize(ranges);
    return add({.kind = Kind::set, .ranges = std::move(ranges)});
  }
  uint32_t literal(char32_t c) { return set({{c, c}}); }

  std::optional<uint32_t> atom(int height) {
    switch (peek()) {
      case '(': return group(height);
      case '[': return character_class();
      case '.': at_++; return add({.kind = Kind::set, .ranges = flags_.dot_all ? Ranges{{0, 0x10ffff}} : Ranges{{0, 9}, {11, 0x10ffff}}});
      case '^': at_++; return add({.kind = flags_.lines ? Kind::begin_line : Kind::begin_text});
      case '$': at_++; return add({.kind = flags_.lines ? Kind::end_line : Kind::end_text});
      case '*':
      case '+':
      case '?': return error("missing argument to repetition operator", text_.substr(at_, 1));
      case '{': {
        int low, high;
        const size_t from = at_;
        if (counts(low, high)) return error("missing argument to repetition operator", text_.substr(from, at_ - from));
        at_ = from + 1;
        return literal('{');
      }
      case '\\': return escape();
      default: return literal(next_code_point(text_, at_));
    }
  }

  uint32_t repetitions(uint32_t operand) {
    size_t first = std::string_view::npos;
    while (more()) {
      int low = 0, high = -1;
      const size_t from = at_;
      switch (peek()) {
        case '*': at_++; break;
        case '+': low = 1, at_++; break;
        case '?': high = 1, at_++; break;
        case '{':
          if (counts(low, high)) break;
          at_ = from;
          return operand;
        default: return operand;
      }
      if (low > max_repeat || high > max_repeat || (high >= 0 && low > high))
        return error("invalid repeat count", text_.substr(from, at_ - from));
      bool greedy = !flags_.lazy;
      if (peek() == '?') greedy = !greedy, at_++;
      if (first != std::string_view::npos) return error("invalid nested repetition operator", text_.substr(first, at_ - first));
      first = from;
      operand = add({.kind = Kind::repeat, .parts = {operand}, .min = low, .max = high, .greedy = greedy});
      if (repeats(operand) > max_repeat) return error("invalid repeat count", text_.substr(from, at_ - from));
    }
    return operand;
  }

  /// How many copies of one thing the counts below a node ask for.
  int64_t repeats(uint32_t index) const {
    const Node& node = tree_.nodes[index];
    int64_t most = 1;
    for (const uint32_t part : node.parts) most = std::max(most, known_repeats(part));
    const bool counted = node.kind == Kind::repeat && (node.min > 1 || node.max > 1);
    most *= counted ? std::max(node.max, node.min) : 1;
    repeats_.resize(tree_.nodes.size(), 1);
    repeats_[index] = most;
    return most;
  }
  int64_t known_repeats(uint32_t index) const {
    const Node& node = tree_.nodes[index];
    if (node.kind == Kind::repeat) return index < repeats_.size() ? repeats_[index] : 1;
    int64_t most = 1;
    for (const uint32_t part : node.parts) most = std::max(most, known_repeats(part));
    return most;
  }

  /// "{2}", "{2,}", "{2,5}"; false when it is none, then '{' stands for itself.
  bool counts(int& low, int& high) {
    const size_t end = text_.find('}', at_);
    if (end == std::string_view::npos) return false;
    const std::string_view inside = text_.substr(at_ + 1, end - at_ - 1);
    const auto [first, second] = split_once(inside, ',');
    const auto number = [](std::string_view digits, int& out) {
      if (digits.empty() || digits.find_first_not_of("0123456789") != std::string_view::npos || (digits.size() > 1 && digits[0] == '0'))
        return false;
      out = digits.size() > 8 ? max_repeat + 1 : *parse_number<int>(digits);
      return true;
    };
    if (!number(first, low)) return false;
    high = low;
    if (second && second->empty()) high = -1;
    else if (second && !number(*second, high)) return false;
    at_ = end + 1;
    return true;
  }

  std::optional<uint32_t> group(int height) {
    const size_t from = at_++;
    const Flags outside = flags_;
    if (peek() == '?') {
      const bool named = text_.substr(at_).starts_with("?P<") || text_.substr(at_).starts_with("?<");
      if (named) {
        const size_t name = text_.find('<', at_) + 1, end = text_.find('>', at_);
        if (end == std::string_view::npos) return error("invalid named capture", text_.substr(from));
        const std::string_view text = text_.substr(name, end - name);
        const bool valid = !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) { return isalnum(c) || c == '_'; });
        if (!valid) return error("invalid named capture", text_.substr(from, end + 1 - from));
        at_ = end + 1;
      } else if (!group_flags(from)) {
        return std::nullopt;
      } else if (text_[at_ - 1] == ')') {
        return std::nullopt;
      }
    }
    const uint32_t inside = alternation(height + 1);
    flags_ = outside;
    if (peek() != ')' && error_.empty()) return error("missing closing )", text_);
    at_++;
    return inside;
  }

  /// "?i-s:" or "?i)", behind the parenthesis.
  bool group_flags(size_t from) {
    bool on = true, any = false;
    Flags flags = flags_;
    for (at_++; at_ < text_.size(); at_++) {
      const char c = text_[at_];
      switch (c) {
        case 'i': flags.fold = on, any = true; continue;
        case 'm': flags.lines = on, any = true; continue;
        case 's': flags.dot_all = on, any = true; continue;
        case 'U': flags.lazy = on, any = true; continue;
        case '-':
          if (!on) break;
          on = any = false;
          continue;
        case ':':
        case ')':
          if (!on && !any) break;
          flags_ = flags;
          at_++;
          return true;
        default: break;
      }
      error("invalid or unsupported Perl syntax", text_.substr(from, at_ + 1 - from));
      return false;
    }
    error("missing closing )", text_);
    return false;
  }

  std::optional<uint32_t> escape() {
    switch (peek(1)) {
      case 'A': at_ += 2; return add({.kind = Kind::begin_text});
      case 'z': at_ += 2; return add({.kind = Kind::end_text});
      case 'b': at_ += 2; return add({.kind = Kind::word});
      case 'B': at_ += 2; return add({.kind = Kind::not_word});
      default: break;
    }
    Ranges ranges;
    if (class_escape(ranges)) {
      normalize(ranges);
      return add({.kind = Kind::set, .ranges = std::move(ranges)});
    }
    const auto c = escaped_character();
    return c ? literal(*c) : 0;
  }

  /// \d, \W, \pL, \P{Greek}: appended to `ranges`.
  bool class_escape(Ranges& ranges) {
    const char c = peek(1);
    if (c == 'p' || c == 'P') return unicode_class(ranges);
    for (const Named& each : perl) {
      if ((c | 0x20) != each.name[0]) continue;
      Ranges found = pairs(each.ranges);
      if (flags_.fold) fold_case(found);
      normalize(found);
      if (c < 'a') found = negated(found);
      ranges.insert(ranges.end(), found.begin(), found.end());
      at_ += 2;
      return true;
    }
    return false;
  }

  bool unicode_class(Ranges& ranges) {
    const size_t from = at_;
    bool negative = peek(1) == 'P';
    at_ += 2;
    std::string_view name = text_.substr(at_, 1);
    if (peek() == '{') {
      const size_t end = text_.find('}', at_);
      if (end == std::string_view::npos) return error("invalid character class range", text_.substr(from)), true;
      name = text_.substr(at_ + 1, end - at_ - 1);
      at_ = end + 1;
    } else {
      at_ += std::min<size_t>(byte_offset(text_.substr(std::min(at_, text_.size())), 1), text_.size() - at_);
    }
    if (name.starts_with('^')) {
      negative = !negative;
      name.remove_prefix(1);
    }
    const Ranges* found = find_class(name);
    if (!found) return error("invalid character class range", text_.substr(from, at_ - from)), true;
    Ranges copy = *found;
    if (flags_.fold) fold_case(copy);
    normalize(copy);
    if (negative) copy = negated(copy);
    ranges.insert(ranges.end(), copy.begin(), copy.end());
    return true;
  }

  std::optional<char32_t> escaped_character() {
    const size_t from = at_++;
    if (at_ >= text_.size()) {
      error("trailing backslash at end of expression", "");
      return std::nullopt;
    }
    const char c = text_[at_];
    static constexpr std::string_view names = "aftnrv", values = "\a\f\t\n\r\v";
    if (const size_t simple = names.find(c); simple != std::string_view::npos) {
      at_++;
      return values[simple];
    }
    if (c == 'x') {
      at_++;
      const bool braces = peek() == '{';
      const size_t end = braces ? text_.find('}', at_) : at_ + 2;
      const size_t begin = at_ + braces;
      const auto number =
          end == std::string_view::npos || end > text_.size() ? std::nullopt : parse_number<uint32_t>(text_.substr(begin, end - begin), 16);
      if (number && *number <= 0x10ffff) {
        at_ = end + braces;
        return *number;
      }
    } else if (c >= '0' && c <= '7' && (c == '0' || (peek(1) >= '0' && peek(1) <= '7'))) {
      char32_t value = 0;
      for (int i = 0; i < 3 && peek() >= '0' && peek() <= '7'; i++) value = value * 8 + char32_t(text_[at_++] - '0');
      return value;
    } else if (static_cast<unsigned char>(c) < 0x80 && !isalnum(static_cast<unsigned char>(c))) {
      at_++;
      return char32_t(c);
    }
    const size_t end = std::min(text_.size(), std::max(at_ + 1, from + 2));
    error("invalid escape sequence", text_.substr(from, end - from));
    return std::nullopt;
  }

  std::optional<uint32_t> character_class() {
    const size_t from = at_++;
    const bool negative = peek() == '^';
    if (negative) at_++;
    Ranges ranges;
    for (bool first = true; more() && (first || peek() != ']'); first = false) class_item(ranges, from);
    if (error_.empty() && peek() != ']') return error("missing closing ]", text_.substr(from));
    at_++;
    if (flags_.fold) fold_case(ranges);
    normalize(ranges);
    if (negative) ranges = negated(ranges);
    return add({.kind = Kind::set, .ranges = std::move(ranges)});
  }

  void class_item(Ranges& ranges, size_t class_start) {
    if (peek() == '[' && peek(1) == ':' && posix_class(ranges)) return;
    if (peek() == '\\' && class_escape(ranges)) return;
    const size_t from = at_;
    const auto low = class_character(class_start);
    if (!low) return;
    char32_t high = *low;
    if (peek() == '-' && at_ + 1 < text_.size() && peek(1) != ']') {
      at_++;
      const auto end = class_character(class_start);
      if (!end) return;
      high = *end;
      if (high < *low) {
        error("invalid character class range", text_.substr(from, at_ - from));
        return;
      }
    }
    ranges.emplace_back(*low, high);
  }

  std::optional<char32_t> class_character(size_t class_start) {
    if (at_ >= text_.size()) {
      error("missing closing ]", text_.substr(class_start));
      return std::nullopt;
    }
    if (peek() == '\\') return escaped_character();
    return next_code_point(text_, at_);
  }

  bool posix_class(Ranges& ranges) {
    const size_t end = text_.find(":]", at_ + 2);
    if (end == std::string_view::npos) return false;
    std::string_view name = text_.substr(at_ + 2, end - at_ - 2);
    const bool negative = name.starts_with('^');
    if (negative) name.remove_prefix(1);
    for (const Named& each : posix) {
      if (each.name != name) continue;
      Ranges found = pairs(each.ranges);
      normalize(found);
      if (negative) found = negated(found);
      ranges.insert(ranges.end(), found.begin(), found.end());
      at_ = end + 2;
      return true;
    }
    error("invalid character class range", text_.substr(at_, end + 2 - at_));
    return true;
  }

  std::string_view text_;
  size_t at_ = 0;
  Flags flags_;
  std::string error_;
  Tree tree_;
  size_t ranges_ = 0;
  mutable std::vector<int64_t> repeats_;
};

}  // namespace

Result<Tree> parse(std::string_view pattern) { return Parser(pattern).run(); }

}  // namespace estiba::cel::regex
