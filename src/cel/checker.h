// Types and overloads of every part of an expression.
#pragma once
#include <string_view>
#include <vector>

#include "cel/arena.h"
#include "cel/ast.h"
#include "cel/function.h"
#include "cel/unify.h"

namespace estiba::cel {

/// What the environment declares under a name.
class Names {
 public:
  virtual ~Names() = default;
  virtual const Type* variable(std::string_view name) const = 0;
  virtual const Features& features() const = 0;
};

/// Sets type, overloads and resolved names in the tree. False with at least one issue when the types do not fit.
bool check(Expr& root, std::string_view text, const Names& names, TypePool& pool, Arena& arena, Issues& issues);

/// "Object", "Object.spec", "JSONPatch": the messages that mutations may build; null for other names.
const Type* message_type(std::string_view name, TypePool& pool);

}  // namespace estiba::cel
