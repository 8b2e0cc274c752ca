// What a template is parsed to. Private to cli/template/.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/json.h"

namespace estiba::cli::template_detail {

struct Pipe;

/// An operand: a literal, a function's name, or a base (the dot, a variable, a pipeline in parentheses) with fields behind it.
struct Operand {
  enum class Kind : uint8_t { literal, nil, function, dot, variable, pipe };
  Kind kind = Kind::dot;
  std::string name;  ///< of a variable ("$x", "$") or function; a literal's text
  json::Type literal = json::Type::null;
  std::unique_ptr<Pipe> pipe;
  std::vector<std::string> fields;
  size_t offset = 0, length = 0;  ///< in the template's text
};

struct Command {
  std::vector<Operand> operands;  ///< a function or field and its arguments
};

struct Pipe {
  std::vector<std::string> variables;  ///< "$i", "$x" of "$i, $x :="
  bool assigns = false;                ///< "=" rather than ":="
  std::vector<Command> commands;
};

struct Statement;
struct Block {
  std::vector<Statement> statements;
};

struct Statement {
  enum class Kind : uint8_t { text, action, condition, range, with, stop, next };
  Kind kind = Kind::text;
  std::string_view text;  ///< lies in the template's text
  Pipe pipe;
  Block body, otherwise;
};

Result<Block> parse(std::string_view text);

}  // namespace estiba::cli::template_detail
