// The tokens of CEL (github.com/google/cel-spec, doc/langdef.md; the grammar of cel-go where it is stricter).
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "cel/issue.h"

namespace estiba::cel {

enum class Token : uint8_t {
  end,
  ident,
  escaped_ident,
  integer,
  uinteger,
  real,
  string,
  bytes,
  true_,
  false_,
  null_,
  in,
  equal,
  not_equal,
  less,
  less_equal,
  greater_equal,
  greater,
  and_,
  or_,
  left_bracket,
  right_bracket,
  left_brace,
  right_brace,
  left_paren,
  right_paren,
  dot,
  comma,
  minus,
  exclamation,
  question,
  colon,
  plus,
  star,
  slash,
  percent,
};

struct Lexeme {
  Token token;
  Position position;
  std::string_view text;
};

/// All tokens, the last one is `end`. What is no token is left out and becomes an issue.
std::vector<Lexeme> tokenize(std::string_view text, Issues& issues);

}  // namespace estiba::cel
