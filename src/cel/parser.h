// Texts to trees.
#pragma once
#include <string_view>

#include "cel/arena.h"
#include "cel/ast.h"
#include "cel/issue.h"

namespace estiba::cel {

inline constexpr size_t max_code_points = 100'000;
inline constexpr int max_depth = 250;

/// The tree, in `arena`; null with at least one issue when the text is no expression. `text` must live as long as the tree.
Expr* parse(std::string_view text, Arena& arena, bool bindings, Issues& issues);

}  // namespace estiba::cel
