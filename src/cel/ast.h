// The tree of an expression, as parsed and, after checking, with types and overloads. Nodes live in the program's arena.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "cel/issue.h"
#include "cel/type.h"
#include "cel/value.h"

namespace estiba::cel {

struct Overload;
struct Expr;

enum class ExprKind : uint8_t { literal, ident, select, call, list, map, message, fold };

/// A comprehension: accu = init; for each item of `range` while `condition`: accu = step; the result.
struct Fold {
  Expr* range = nullptr;
  std::string_view variable, variable2;  ///< the second one is empty in the common form
  std::string_view accu;
  Expr *init = nullptr, *condition = nullptr, *step = nullptr, *result = nullptr;
};

struct Expr {
  ExprKind kind = ExprKind::literal;
  bool test_only = false;  ///< has(a.b)
  Position position = nowhere;
  std::string_view name{};               ///< of idents, selected fields, called functions, message types
  Expr* target = nullptr;                ///< of selects and member calls
  std::span<Expr*> args{};               ///< of calls and lists; a map's keys and values by turns; a message's values
  std::span<std::string_view> fields{};  ///< of a message
  std::span<bool> optionals{};           ///< of lists, maps and messages: which elements have a '?'; empty when none has
  std::span<Position> positions{};       ///< of the colons of maps and messages
  Fold* fold = nullptr;
  Value literal{};

  // Set by the checker.
  const Type* type = nullptr;
  std::span<const Overload* const> overloads{};
  bool type_name = false;  ///< the ident names a type

  bool optional_at(size_t i) const { return i < optionals.size() && optionals[i]; }
};

/// Names of the operators' functions.
namespace op {
inline constexpr std::string_view conditional = "_?_:_", logical_and = "_&&_", logical_or = "_||_", logical_not = "!_", negate = "-_",
                                  equals = "_==_", not_equals = "_!=_", less = "_<_", less_equals = "_<=_", greater = "_>_",
                                  greater_equals = "_>=_", in = "@in", add = "_+_", subtract = "_-_", multiply = "_*_", divide = "_/_",
                                  modulo = "_%_", index = "_[_]", opt_index = "_[?_]", opt_select = "_?._",
                                  not_strictly_false = "@not_strictly_false";
}  // namespace op

}  // namespace estiba::cel
