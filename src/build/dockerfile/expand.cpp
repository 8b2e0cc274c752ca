#include "build/dockerfile/expand.h"

#include <algorithm>
#include <optional>

#include "base/strings.h"

namespace estiba::build {
namespace {

constexpr int max_depth = 50;           // of ${a:-${b:-…}}
constexpr size_t max_length = 4 << 20;  // of a result: ${a//x/…} in a chain of ENVs multiplies
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool starts_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool in_name(char c) { return starts_name(c) || (c >= '0' && c <= '9'); }

enum class Quoting : unsigned char { shell, none };

/// The length of the longest beginning of `text` that matches; 0 also when none does.
size_t longest_match(std::string_view pattern, std::string_view text) {
  if (pattern.find('*') == pattern.npos) {
    size_t length = pattern.size() - size_t(std::count(pattern.begin(), pattern.end(), '\\'));
    for (size_t n : {length, length + 1}) {  // a backslash at the end or before itself counts
      if (n <= text.size() && n > 0 && matches_pattern(pattern, text.substr(0, n))) return n;
    }
    return 0;
  }
  for (size_t n = text.size(); n > 0; --n)
    if (matches_pattern(pattern, text.substr(0, n))) return n;
  return 0;
}

/// Patterns cost the cube of the length at worst, so both are bounded.
Result<void> affordable(const std::string& value, const std::string& pattern) {
  if (value.size() <= 4096 && pattern.size() <= 256) return {};
  if (pattern.find('*') == pattern.npos) return {};
  return fail(Code::too_large, "the value or the pattern is too long for a replacement with '*' (4096 and 256 bytes are allowed)");
}

class Expander {
 public:
  Expander(std::string_view text, const Variables& variables, char escape, Quoting quoting, std::vector<std::string>* names)
      : text_(text), variables_(variables), escape_(escape), quoting_(quoting), names_(names) {}

  Result<std::string> whole() {
    std::string out = TRY(until('\0', false));
    return out;
  }

  Result<std::vector<std::string>> words() {
    std::vector<std::string> out;
    split_ = &out;
    std::string last = TRY(until('\0', false));
    if (open_word_ || !last.empty()) out.push_back(std::move(last));
    return out;
  }

 private:
  bool at_end() const { return at_ >= text_.size(); }
  char peek() const { return text_[at_]; }

  /// Up to the unquoted `stop` ('\0': the end) or, in a pattern, also up to '/'.
  Result<std::string> until(char stop, bool slash_stops) {
    std::string out;
    while (!at_end()) {
      char c = peek();
      if (stop != '\0' && c == stop) return out;
      if (slash_stops && c == '/') return out;
      if (out.size() > max_length) return fail(Code::too_large, "a value becomes longer than 4 MiB");
      if (c == '\'' && quoting_ == Quoting::shell) {
        TRY(single_quoted(out));
      } else if (c == '"' && quoting_ == Quoting::shell) {
        TRY(double_quoted(out));
      } else if (c == '$') {
        out += TRY(dollar());
      } else if (c == escape_) {
        escaped(out, stop != '\0');
      } else if (split_ && stop == '\0' && is_space(c)) {
        ++at_;
        if (open_word_ || !out.empty()) split_->push_back(std::move(out));
        out.clear();
        open_word_ = false;
      } else {
        out += c;
        ++at_;
      }
    }
    if (stop != '\0') return fail(Code::malformed, std::string("a closing '") + stop + "' is missing in " + quoted(text_));
    return out;
  }

  void escaped(std::string& out, bool in_braces) {
    if (quoting_ == Quoting::none) {  // a heredoc's text
      char next = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
      if (next == '$' || next == escape_ || (in_braces && next == '}')) {
        out += next;
        at_ += 2;
      } else {
        out += escape_;
        ++at_;
      }
      return;
    }
    ++at_;
    if (at_end()) return;
    if (pattern_) out += '\\';  // the pattern's own reading decides
    out += peek();
    open_word_ = true;
    ++at_;
  }

  Result<void> single_quoted(std::string& out) {
    size_t end = text_.find('\'', at_ + 1);
    if (end == text_.npos) return fail(Code::malformed, "a closing ' is missing in " + quoted(text_));
    out += text_.substr(at_ + 1, end - at_ - 1);
    open_word_ = true;
    at_ = end + 1;
    return {};
  }

  Result<void> double_quoted(std::string& out) {
    ++at_;
    open_word_ = true;
    while (!at_end()) {
      char c = peek();
      if (c == '"') {
        ++at_;
        return {};
      }
      if (c == '$') {
        out += TRY(dollar());
        continue;
      }
      if (c == escape_ && at_ + 1 < text_.size()) {
        char next = text_[at_ + 1];
        if (next == '"' || next == '$' || next == escape_) {
          out += next;
          at_ += 2;
          continue;
        }
      }
      out += c;
      ++at_;
      if (out.size() > max_length) return fail(Code::too_large, "a value becomes longer than 4 MiB");
    }
    return fail(Code::malformed, "a closing \" is missing in " + quoted(text_));
  }

  std::string_view name() {
    size_t start = at_;
    if (!at_end() && starts_name(peek())) {
      while (!at_end() && in_name(peek())) ++at_;
    } else if (!at_end() && peek() >= '0' && peek() <= '9') {
      while (!at_end() && peek() >= '0' && peek() <= '9') ++at_;
    } else if (!at_end() && std::string_view("@*#?-!$").find(peek()) != std::string_view::npos) {
      ++at_;
    }
    return text_.substr(start, at_ - start);
  }

  std::optional<std::string_view> look_up(std::string_view name) {
    if (names_ && starts_name(name[0])) names_->emplace_back(name);
    auto it = variables_.find(name);
    if (it == variables_.end()) return std::nullopt;
    return it->second;
  }

  Result<std::string> dollar() {
    ++at_;
    if (at_end()) return std::string("$");
    if (peek() != '{') {
      if (!starts_name(peek()) && !(peek() >= '0' && peek() <= '9')) return std::string("$");
      return std::string(look_up(name()).value_or(""));
    }
    ++at_;
    if (++depth_ > max_depth) return fail(Code::malformed, "variables are nested more than 50 deep");
    auto out = braces();
    --depth_;
    return out;
  }

  Result<std::string> braces() {
    std::string_view variable = name();
    if (at_end()) return fail(Code::malformed, "a closing '}' is missing in " + quoted(text_));
    if (variable.empty()) return fail(Code::malformed, "bad substitution: ${ without a variable's name in " + quoted(text_));
    std::optional<std::string_view> found = look_up(variable);
    std::string value(found.value_or(""));
    char op = peek();
    ++at_;
    if (op == '}') return value;
    bool colon = op == ':';
    if (colon) {
      if (at_end()) return fail(Code::malformed, "a closing '}' is missing in " + quoted(text_));
      op = peek();
      ++at_;
    }
    bool set = found && (!colon || !found->empty());
    if (op == '-' || op == '+' || op == '?') {
      std::string word = TRY(inner(false));
      ++at_;
      if (op == '-') return set ? value : word;
      if (op == '+') return set ? word : std::string();
      if (set) return value;
      return fail(Code::malformed,
                  std::string(variable) + ": " + (word.empty() ? "is not allowed to be " + std::string(colon ? "empty" : "unset") : word));
    }
    if (colon || (op != '#' && op != '%' && op != '/'))
      return fail(Code::malformed, std::string("unsupported modifier (") + (colon ? ":" : "") + op + ") in substitution " + quoted(text_));
    bool twice = !at_end() && peek() == op;
    if (twice) ++at_;
    if (op == '/') return replace(value, twice);
    std::string pattern = TRY(inner_pattern(false));
    ++at_;
    TRY(affordable(value, pattern));
    return op == '#' ? without_prefix(value, pattern, twice) : without_suffix(value, pattern, twice);
  }

  Result<std::string> inner(bool slash_stops) {
    auto* split = std::exchange(split_, nullptr);
    auto out = until('}', slash_stops);
    split_ = split;
    return out;
  }
  Result<std::string> inner_pattern(bool slash_stops) {
    bool before = std::exchange(pattern_, true);
    auto out = inner(slash_stops);
    pattern_ = before;
    return out;
  }

  static std::string without_prefix(const std::string& value, const std::string& pattern, bool longest) {
    for (size_t i = 0; i <= value.size(); ++i) {
      size_t length = longest ? value.size() - i : i;
      if (matches_pattern(pattern, std::string_view(value).substr(0, length))) return value.substr(length);
    }
    return value;
  }

  static std::string without_suffix(const std::string& value, const std::string& pattern, bool longest) {
    for (size_t i = 0; i <= value.size(); ++i) {
      size_t start = longest ? i : value.size() - i;
      if (matches_pattern(pattern, std::string_view(value).substr(start))) return value.substr(0, start);
    }
    return value;
  }

  Result<std::string> replace(const std::string& value, bool all) {
    std::string pattern = TRY(inner_pattern(true));
    std::string with;
    if (peek() == '/') {
      ++at_;
      with = TRY(inner(false));
    }
    ++at_;
    if (pattern.empty()) return value;
    TRY(affordable(value, pattern));
    std::string out;
    size_t i = 0;
    bool done = false;
    while (i < value.size()) {
      size_t length = done ? 0 : longest_match(pattern, std::string_view(value).substr(i));
      if (length == 0) {
        out += value[i++];
        continue;
      }
      out += with;
      i += length;
      done = !all;
      if (out.size() > max_length) return fail(Code::too_large, "a value becomes longer than 4 MiB");
    }
    return out;
  }

  std::string_view text_;
  const Variables& variables_;
  char escape_;
  Quoting quoting_;
  std::vector<std::string>* names_;
  size_t at_ = 0;
  int depth_ = 0;
  bool pattern_ = false;                       // reading a pattern: escapes stay
  std::vector<std::string>* split_ = nullptr;  // where finished words go
  bool open_word_ = false;                     // the word has begun, though it may be empty: ""
};

}  // namespace

bool matches_pattern(std::string_view pattern, std::string_view text) {
  // The classic two-pointer walk: a mismatch goes back to the last '*' and lets it take one more.
  size_t p = 0, t = 0, star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    bool literal = p + 1 < pattern.size() && pattern[p] == '\\';
    if (p < pattern.size() && pattern[p] == '*' && !literal) {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && (literal ? pattern[p + 1] == text[t] : pattern[p] == '?' || pattern[p] == text[t])) {
      p += literal ? 2 : 1;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

Result<std::string> expand(std::string_view word, const Variables& variables, char escape) {
  return Expander(word, variables, escape, Quoting::shell, nullptr).whole();
}

Result<std::vector<std::string>> expand_words(std::string_view text, const Variables& variables, char escape) {
  return Expander(text, variables, escape, Quoting::shell, nullptr).words();
}

Result<std::string> expand_text(std::string_view text, const Variables& variables) {
  return Expander(text, variables, '\\', Quoting::none, nullptr).whole();
}

std::vector<std::string> variables_in(std::string_view word, char escape) {
  std::vector<std::string> names;
  const Variables none;
  (void)Expander(word, none, escape, Quoting::shell, &names).whole();
  return names;
}

}  // namespace estiba::build
