#include "cel/lexer.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>

namespace estiba::cel {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

constexpr std::array<std::pair<std::string_view, Token>, 24> symbols = {{
    {"==", Token::equal},       {"!=", Token::not_equal},    {"<=", Token::less_equal}, {">=", Token::greater_equal},
    {"&&", Token::and_},        {"||", Token::or_},          {"<", Token::less},        {">", Token::greater},
    {"[", Token::left_bracket}, {"]", Token::right_bracket}, {"{", Token::left_brace},  {"}", Token::right_brace},
    {"(", Token::left_paren},   {")", Token::right_paren},   {".", Token::dot},         {",", Token::comma},
    {"-", Token::minus},        {"!", Token::exclamation},   {"?", Token::question},    {":", Token::colon},
    {"+", Token::plus},         {"*", Token::star},          {"/", Token::slash},       {"%", Token::percent},
}};

class Lexer {
 public:
  Lexer(std::string_view text, Issues& issues) : text_(text), issues_(issues) {}

  std::vector<Lexeme> run() {
    for (;;) {
      skip_space();
      if (at_ >= text_.size()) break;
      const size_t from = at_;
      bad_end_ = from + 1;
      if (const auto token = next()) out_.push_back({*token, Position(from), text_.substr(from, at_ - from)});
      else report(from);
    }
    out_.push_back({Token::end, Position(text_.size()), "<EOF>"});
    return std::move(out_);
  }

 private:
  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }

  void skip_space() {
    for (; at_ < text_.size(); at_++) {
      const char c = text_[at_];
      if (c == '/' && peek(1) == '/') {
        at_ = std::min(text_.find('\n', at_), text_.size()) - 1;
        continue;
      }
      if (c != ' ' && c != '\t' && c != '\r' && c != '\n' && c != '\f') return;
    }
  }

  void report(size_t from) {
    size_t end = std::max(bad_end_, from + 1);
    while (end < text_.size() && (text_[end] & 0xc0) == 0x80) end++;
    at_ = end;
    issues_.push_back({Position(from), "Syntax error: token recognition error at: '" + std::string(text_.substr(from, end - from)) + "'"});
  }

  std::optional<Token> next() {
    const char c = peek();
    if (is_digit(c) || (c == '.' && is_digit(peek(1)))) return number();
    if (const size_t prefix = string_prefix(); prefix != std::string_view::npos) return string(prefix);
    if (is_letter(c)) return word();
    if (c == '`') return escaped();
    for (const auto& [symbol, token] : symbols)
      if (text_.substr(at_).starts_with(symbol)) {
        at_ += symbol.size();
        return token;
      }
    // A lone '|' or '&' takes what follows with it, as the grammar's longest match does.
    if ((c == '|' || c == '&' || c == '=') && at_ + 1 < text_.size()) bad_end_ = at_ + 2;
    return std::nullopt;
  }

  Token number() {
    if (peek() == '0' && peek(1) == 'x' && is_hex(peek(2))) {
      at_ += 2;
      while (is_hex(peek())) at_++;
      return unsigned_suffix();
    }
    while (is_digit(peek())) at_++;
    bool real = false;
    if (peek() == '.' && is_digit(peek(1))) {
      real = true;
      at_++;
      while (is_digit(peek())) at_++;
    }
    const size_t sign = peek(1) == '+' || peek(1) == '-' ? 2 : 1;
    if ((peek() == 'e' || peek() == 'E') && is_digit(peek(sign))) {
      real = true;
      at_ += sign;
      while (is_digit(peek())) at_++;
    }
    return real ? Token::real : unsigned_suffix();
  }

  Token unsigned_suffix() {
    if (peek() != 'u' && peek() != 'U') return Token::integer;
    at_++;
    return Token::uinteger;
  }

  /// Length of "b", "r" or "br" before a quote, 0 without one; npos when no string begins here.
  size_t string_prefix() const {
    size_t length = 0;
    if (peek() == 'b' || peek() == 'B') length++;
    if (peek(length) == 'r' || peek(length) == 'R') length++;
    return peek(length) == '"' || peek(length) == '\'' ? length : std::string_view::npos;
  }

  std::optional<Token> string(size_t prefix) {
    const std::string_view start = text_.substr(at_, prefix);
    const bool bytes = start.starts_with('b') || start.starts_with('B');
    const bool raw = start.ends_with('r') || start.ends_with('R');
    size_t at = at_ + prefix;
    const char quote = text_[at];
    const bool triple = text_.substr(at, 3) == std::string(3, quote);
    at += triple ? 3 : 1;
    for (; at < text_.size(); at++) {
      const char c = text_[at];
      if (c == quote && (!triple || text_.substr(at, 3) == std::string(3, quote))) {
        at_ = at + (triple ? 3 : 1);
        return bytes ? Token::bytes : Token::string;
      }
      if (!triple && (c == '\n' || c == '\r')) break;
      if (c != '\\' || raw) continue;
      const size_t length = escape_length(at);
      if (length == 0) {
        bad_end_ = std::min(at + 2, text_.size());
        // "" before a triple quote that does not end is a string of its own.
        if (triple) break;
        return std::nullopt;
      }
      at += length - 1;
    }
    if (triple) {
      at_ += prefix + 2;
      return bytes ? Token::bytes : Token::string;
    }
    bad_end_ = std::min(at + 1, text_.size());
    return std::nullopt;
  }

  size_t escape_length(size_t at) const {
    const auto all = [&](size_t from, size_t count, auto test) {
      if (from + count > text_.size()) return false;
      return std::all_of(text_.begin() + ptrdiff_t(from), text_.begin() + ptrdiff_t(from + count), test);
    };
    if (at + 1 >= text_.size()) return 0;
    const char c = text_[at + 1];
    if (std::string_view("abfnrtv\"'\\?`").find(c) != std::string_view::npos) return 2;
    if (c == 'x' || c == 'X') return all(at + 2, 2, is_hex) ? 4 : 0;
    if (c == 'u') return all(at + 2, 4, is_hex) ? 6 : 0;
    if (c == 'U') return all(at + 2, 8, is_hex) ? 10 : 0;
    if (c >= '0' && c <= '3') return all(at + 2, 2, [](char d) { return d >= '0' && d <= '7'; }) ? 4 : 0;
    return 0;
  }

  Token word() {
    const size_t from = at_;
    while (is_letter(peek()) || is_digit(peek())) at_++;
    const std::string_view name = text_.substr(from, at_ - from);
    if (name == "in") return Token::in;
    if (name == "true") return Token::true_;
    if (name == "false") return Token::false_;
    return name == "null" ? Token::null_ : Token::ident;
  }

  std::optional<Token> escaped() {
    size_t at = at_ + 1;
    while (at < text_.size() &&
           (is_letter(text_[at]) || is_digit(text_[at]) || std::string_view(".-/ ").find(text_[at]) != std::string_view::npos))
      at++;
    if (at >= text_.size() || text_[at] != '`' || at == at_ + 1) return std::nullopt;
    at_ = at + 1;
    return Token::escaped_ident;
  }

  std::string_view text_;
  Issues& issues_;
  size_t at_ = 0, bad_end_ = 0;
  std::vector<Lexeme> out_;
};

}  // namespace

std::vector<Lexeme> tokenize(std::string_view text, Issues& issues) { return Lexer(text, issues).run(); }

}  // namespace estiba::cel
