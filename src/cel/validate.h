// Rules beyond types that Kubernetes has for expressions: literals given to duration(), timestamp() and matches() are read
// when the expression is compiled, and the elements of a list or map literal have one type.
#pragma once
#include "cel/ast.h"

namespace estiba::cel {

/// Appends an issue for each breach. The tree must be checked.
void validate(const Expr& root, Issues& issues);

}  // namespace estiba::cel
