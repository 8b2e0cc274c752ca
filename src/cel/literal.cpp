#include "cel/literal.h"

#include <cmath>

#include "base/strings.h"
#include "cel/compare.h"

namespace estiba::cel {

static bool read_integer(std::string_view text, bool negative, Value& value) {
  const bool hex = text.starts_with("0x");
  const auto number = parse_number<uint64_t>(hex ? text.substr(2) : text, hex ? 16 : 10);
  if (!number || *number > uint64_t(INT64_MAX) + negative) return false;
  value = Value::integer(negative ? int64_t(0 - *number) : int64_t(*number));
  return true;
}

static bool read_real(std::string_view text, bool negative, Value& value) {
  // from_chars wants a digit before the point; and it tells overflow from underflow only by its result, so strtod decides.
  const std::string copy(text);
  const double number = strtod(copy.c_str(), nullptr);
  if (std::isinf(number)) return false;
  value = Value::real(negative ? -number : number);
  return true;
}

/// Reads the escape at `at` (behind the backslash); false when it names no code point.
static bool unescape_one(std::string_view text, size_t& at, bool bytes, std::string& out, std::string& error) {
  const char c = text[at++];
  static constexpr std::string_view names = "abfnrtv\\'\"`?", values = "\a\b\f\n\r\t\v\\'\"`?";
  if (const size_t simple = names.find(c); simple != std::string_view::npos) {
    out += values[simple];
    return true;
  }
  const bool octal = c >= '0' && c <= '3';
  const size_t digits = octal ? 3 : c == 'x' || c == 'X' ? 2 : c == 'u' ? 4 : 8;
  if ((c == 'u' || c == 'U') && bytes) {
    error = "unable to unescape string";
    return false;
  }
  if (octal) at--;
  const auto number = parse_number<uint32_t>(text.substr(at, digits), octal ? 8 : 16);
  at += digits;
  if (!number) {
    error = "unable to unescape string";
    return false;
  }
  if (bytes) {
    out += char(*number);
    return true;
  }
  if (*number > 0x10ffff || (*number >= 0xd800 && *number <= 0xdfff)) {
    error = "invalid unicode code point";
    return false;
  }
  append_code_point(out, *number);
  return true;
}

static bool read_text(std::string_view text, bool bytes, Arena& arena, Value& value, std::string& error) {
  bool raw = false;
  for (; text[0] != '"' && text[0] != '\''; text.remove_prefix(1)) raw |= text[0] == 'r' || text[0] == 'R';
  const bool triple = text.size() >= 6 && text[1] == text[0] && text[2] == text[0];
  text = text.substr(triple ? 3 : 1, text.size() - (triple ? 6 : 2));
  const bool escapes = !raw && text.find('\\') != std::string_view::npos;
  const auto make = [&](std::string_view content) { value = bytes ? Value::bytes(content) : Value::string(content); };
  if (!escapes && text.find('\r') == std::string_view::npos) return make(text), true;
  std::string out;
  for (size_t at = 0; at < text.size();) {
    if (text[at] == '\\' && escapes) {
      if (!unescape_one(text, ++at, bytes, out, error)) return false;
    } else if (text[at] == '\r') {
      // Line ends are one newline each, however the file was written.
      if (text.substr(at, 2) != "\r\n") out += '\n';
      at++;
    } else {
      out += text[at++];
    }
  }
  return make(arena.keep(out)), true;
}

bool read_literal(const Lexeme& token, bool negative, Arena& arena, Value& value, std::string& error) {
  switch (token.token) {
    case Token::integer: error = "invalid int literal"; return read_integer(token.text, negative, value);
    case Token::uinteger: {
      error = "invalid uint literal";
      const std::string_view text = token.text.substr(0, token.text.size() - 1);
      const bool hex = text.starts_with("0x");
      const auto number = parse_number<uint64_t>(hex ? text.substr(2) : text, hex ? 16 : 10);
      value = Value::uinteger(number.value_or(0));
      return number.has_value();
    }
    case Token::real: error = "invalid double literal"; return read_real(token.text, negative, value);
    case Token::string: return read_text(token.text, false, arena, value, error);
    case Token::bytes: return read_text(token.text, true, arena, value, error);
    case Token::true_:
    case Token::false_: value = Value::boolean(token.token == Token::true_); return true;
    default: value = Value::null(); return true;
  }
}

}  // namespace estiba::cel
