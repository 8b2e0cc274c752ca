// The values of literals.
#pragma once
#include <string>

#include "cel/arena.h"
#include "cel/lexer.h"
#include "cel/value.h"

namespace estiba::cel {

/// False with the error's text when a number is out of range or a string has a bad escape. Strings without escapes are not
/// copied.
bool read_literal(const Lexeme& token, bool negative, Arena& arena, Value& value, std::string& error);

}  // namespace estiba::cel
