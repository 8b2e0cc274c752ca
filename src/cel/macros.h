// Macros: calls that the parser replaces by other expressions (has, all, map, optMap, cel.bind, sortBy, …).
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "cel/arena.h"
#include "cel/ast.h"

namespace estiba::cel {

/// Makes nodes at the place of a macro's call.
class Builder {
 public:
  static constexpr size_t max_nodes = 200'000;

  Builder(Arena& arena, size_t& count) : arena_(arena), count_(count) {}
  Position position = nowhere;

  Expr* make(ExprKind kind) {
    count_++;
    Expr* expr = arena_.make<Expr>();
    expr->kind = kind;
    expr->position = position;
    return expr;
  }
  Expr* literal(Value value);
  Expr* ident(std::string_view name);
  Expr* call(std::string_view function, std::initializer_list<Expr*> args);
  Expr* member_call(std::string_view function, Expr* target, std::initializer_list<Expr*> args);
  Expr* list(std::initializer_list<Expr*> items);
  Expr* fold(const Fold& fold);
  /// A deep copy; null when the expression gets too large by it.
  Expr* copy(const Expr* expr);
  std::string_view keep(std::string_view text) { return arena_.keep(text); }
  Arena& arena() { return arena_; }

 private:
  std::span<Expr*> nodes(std::initializer_list<Expr*> items);
  Arena& arena_;
  size_t& count_;
};

struct MacroError {
  Position position;
  std::string message;
};

/// The expansion; null when the call is none after all.
using Expand = Expr* (*)(Builder&, Expr* target, std::span<Expr*> args, std::optional<MacroError>& error);

struct Macro {
  std::string_view name;
  bool member;
  size_t args;
  Expand expand;
};

/// Of the standard library, optionals, two-variable comprehensions and lists; null when there is none.
const Macro* find_macro(std::string_view name, bool member, size_t args, bool bindings);

inline constexpr std::string_view accu_name = "@result";

}  // namespace estiba::cel
