#include "cli/compose/environment.h"

#include <unistd.h>

#include <algorithm>

#include "base/strings.h"

namespace estiba::cli::compose {
namespace {

bool begins_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool in_name(char c) { return begins_name(c) || (c >= '0' && c <= '9'); }
constexpr int deepest = 32;

/// The index of the '}' that ends what begins at `from`, or npos.
size_t closing(std::string_view text, size_t from) {
  int depth = 0;
  for (size_t i = from; i < text.size(); ++i) {
    if (text[i] == '$' && i + 1 < text.size() && text[i + 1] == '{') {
      ++depth;
      ++i;
    } else if (text[i] == '}' && depth-- == 0) {
      return i;
    }
  }
  return text.npos;
}

class Interpolation {
 public:
  Interpolation(const Environment& environment, std::vector<std::string>* missing) : environment_(environment), missing_(missing) {}

  Result<std::string> run(std::string_view text, int depth) {
    if (depth > deepest) return fail(Code::malformed, "defaults are nested too deeply");
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '$') {
        out += text[i];
        continue;
      }
      const char next = i + 1 < text.size() ? text[i + 1] : '\0';
      if (next == '$') {
        out += '$';
        ++i;
      } else if (next == '{') {
        const size_t end = closing(text, i + 2);
        if (end == text.npos) return malformed();
        out += TRY(braced(text.substr(i + 2, end - i - 2), depth));
        i = end;
      } else if (begins_name(next)) {
        size_t end = i + 1;
        while (end < text.size() && in_name(text[end])) ++end;
        out += value(text.substr(i + 1, end - i - 1));
        i = end - 1;
      } else {
        return malformed();
      }
    }
    return out;
  }

 private:
  static std::unexpected<Error> malformed() { return fail(Code::malformed, "You may need to escape any $ with another $"); }

  std::string value(std::string_view name) {
    if (auto it = environment_.find(name); it != environment_.end()) return it->second;
    if (missing_ && std::find(missing_->begin(), missing_->end(), name) == missing_->end()) missing_->emplace_back(name);
    return "";
  }

  Result<std::string> braced(std::string_view inside, int depth) {
    size_t end = 0;
    while (end < inside.size() && in_name(inside[end])) ++end;
    const std::string_view name = inside.substr(0, end);
    std::string_view rest = inside.substr(end);
    if (name.empty() || !begins_name(name[0])) return malformed();
    if (rest.empty()) return value(name);
    const bool empty_counts = rest[0] != ':';
    if (!empty_counts) rest.remove_prefix(1);
    if (rest.empty()) return malformed();
    const char kind = rest[0];
    rest.remove_prefix(1);
    auto it = environment_.find(name);
    const bool set = it != environment_.end() && (empty_counts || !it->second.empty());
    switch (kind) {
      case '-': return set ? Result<std::string>(it->second) : run(rest, depth + 1);
      case '+': return set ? run(rest, depth + 1) : Result<std::string>("");
      case '?':
        if (set) return it->second;
        return fail(Code::invalid, "required variable " + std::string(name) + " is missing a value" +
                                       (rest.empty() ? "" : ": " + TRY(run(rest, depth + 1))));
      default: return malformed();
    }
  }

  const Environment& environment_;
  std::vector<std::string>* missing_;
};

/// Reads the lines of an environment file.
class EnvReader {
 public:
  EnvReader(std::string_view text, const Environment& outer) : text_(text), outer_(outer) {}

  Result<Environment> run() {
    if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;
    while (at_ < text_.size()) TRY(line());
    return std::move(out_);
  }

 private:
  std::unexpected<Error> stop(std::string_view what) const {
    return fail(Code::malformed,
                "line " + std::to_string(1 + std::count(text_.begin(), text_.begin() + long(std::min(at_, text_.size())), '\n')) + ": " +
                    std::string(what));
  }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\n'; }
  void blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\r')) ++at_;
  }
  void skip_line() {
    while (at_ < text_.size() && text_[at_] != '\n') ++at_;
    ++at_;
  }

  Result<void> line() {
    blanks();
    if (peek() == '\n' || peek() == '#') {
      skip_line();
      return {};
    }
    if (text_.substr(at_).starts_with("export ")) {
      at_ += 7;
      blanks();
    }
    const size_t begin = at_;
    while (in_name(peek()) || peek() == '.' || peek() == '-') ++at_;
    const std::string name(text_.substr(begin, at_ - begin));
    if (name.empty()) return stop("unexpected character " + quoted(std::string(1, peek())) + " in variable name");
    blanks();
    if (peek() == '\n') {
      ++at_;
      if (auto it = outer_.find(name); it != outer_.end()) out_[name] = it->second;
      return {};
    }
    if (peek() != '=' && peek() != ':')
      return stop("unexpected character " + quoted(std::string(1, peek())) + " in variable name " + quoted(name));
    ++at_;
    blanks();
    out_[name] = TRY(value());
    return {};
  }

  Result<std::string> value() {
    const char quote = peek();
    if (quote == '\'' || quote == '"') return quoted_value(quote);
    const size_t begin = at_;
    while (at_ < text_.size() && text_[at_] != '\n' &&
           !(text_[at_] == '#' && at_ > begin && (text_[at_ - 1] == ' ' || text_[at_ - 1] == '\t')))
      ++at_;
    std::string_view raw = trim(text_.substr(begin, at_ - begin));
    auto out = expand(raw);
    if (!out) return stop(out.error().message);
    skip_line();
    return out;
  }

  Result<std::string> quoted_value(char quote) {
    std::string raw;
    for (++at_; at_ < text_.size() && text_[at_] != quote; ++at_) {
      if (quote == '"' && text_[at_] == '\\' && at_ + 1 < text_.size()) {
        raw += unescaped(text_[++at_]);
        continue;
      }
      raw += text_[at_];
    }
    if (at_ >= text_.size()) return stop("unterminated quoted value");
    auto out = quote == '"' ? expand(raw) : Result<std::string>(raw);
    if (!out) return stop(out.error().message);
    ++at_;
    skip_line();
    return out;
  }

  static std::string unescaped(char c) {
    switch (c) {
      case 'n': return "\n";
      case 'r': return "\r";
      case 't': return "\t";
      case '$': return "$$";  // interpolation makes one of it
      case '"':
      case '\\': return std::string(1, c);
      default: return std::string("\\") + c;
    }
  }

  Result<std::string> expand(std::string_view raw) {
    Environment all = out_;
    all.insert(outer_.begin(), outer_.end());
    return interpolate(raw, all);
  }

  std::string_view text_;
  const Environment& outer_;
  size_t at_ = 0;
  Environment out_;
};

}  // namespace

Environment process_environment() {
  Environment out;
  for (char** each = environ; each && *each; ++each) {
    auto [name, value] = split_once(*each, '=');
    if (value) out.emplace(name, *value);
  }
  return out;
}

Result<std::string> interpolate(std::string_view text, const Environment& environment, std::vector<std::string>* missing) {
  if (text.find('$') == text.npos) return std::string(text);
  return Interpolation(environment, missing).run(text, 0);
}

Result<Environment> parse_env_file(std::string_view text, const Environment& outer) { return EnvReader(text, outer).run(); }

}  // namespace estiba::cli::compose
