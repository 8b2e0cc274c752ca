// A checked expression made ready to run: names are slots, overloads are code, constants are values, costs are known.
#pragma once
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cel/ast.h"
#include "cel/function.h"
#include "cel/memory.h"
#include "cel/regex/regex.h"

namespace estiba::cel {

enum class StepKind : uint8_t {
  constant,
  variable,
  local,
  select,
  has,
  index,
  logical_and,
  logical_or,
  conditional,
  not_strictly_false,
  call,
  list,
  map,
  message,
  fold,
  optional_or,
  optional_or_value,
};

struct Step;

struct FoldStep {
  Step *range, *init, *condition, *step, *result;
  uint32_t accu, first;  ///< slots; the second variable's is first + 1
  bool two_variables;
  bool binds;  ///< the range is empty: only the result counts
};

struct Step {
  StepKind kind;
  bool counted = true;    ///< an attribute's first name costs 1, but not where cel-go does not observe it
  bool relative = false;  ///< of selects and indexes: the operand is no attribute, and counts as one
  bool optional = false;  ///< a.?b, a[?b]
  bool dynamic = false;   ///< of calls: the overload is chosen by the arguments
  uint32_t slot = 0;      ///< of variables and locals
  Value value{};          ///< of constants; a selected field's name
  Step* operand = nullptr;
  std::span<Step*> args{};
  std::span<bool> optionals{};
  std::span<std::string_view> names{};  ///< of a message
  std::span<const Overload* const> overloads{};
  const Regex* regex = nullptr;
  FoldStep* fold = nullptr;
  const Type* type = nullptr;  ///< of a message

  bool is_attribute() const {
    switch (kind) {
      case StepKind::variable:
      case StepKind::local:
      case StepKind::select:
      case StepKind::has:
      case StepKind::index:
      case StepKind::conditional: return true;
      default: return false;
    }
  }
  bool optional_at(size_t i) const { return i < optionals.size() && optionals[i]; }
};

/// Resolves a global name to its number in the activation.
class Variables {
 public:
  virtual ~Variables() = default;
  virtual uint32_t number(std::string_view name) const = 0;
};

struct Plan {
  Step* root = nullptr;
  uint32_t slots = 0;
  std::unique_ptr<Memory> constants = std::make_unique<Memory>();
  std::deque<Regex> regexes;
};

/// invalid when a constant part cannot be computed (int('x')). `fold` computes constant lists, maps and conversions at once,
/// which makes them free. `plan` may hold memory that the tree's literals point into.
Result<Plan> make_plan(const Expr& root, const Variables& variables, bool fold, Plan plan);

}  // namespace estiba::cel
