#include "cel/cel.h"

#include <algorithm>

#include "cel/evaluator.h"
#include "cel/library/objects.h"
#include "cel/parser.h"
#include "cel/validate.h"

namespace estiba::cel {

Environment& Environment::declare(std::string_view name, const DeclType* type) {
  declare(name, type->type);
  variables_.find(name)->second.decl = type;
  return *this;
}

Environment& Environment::declare(std::string_view name, const Type* type) {
  const uint32_t next = uint32_t(variables_.size());
  Variable& variable = variables_.try_emplace(std::string(name), Variable{next, nullptr, nullptr}).first->second;
  variable.type = type;
  variable.decl = nullptr;
  return *this;
}

const Type* Environment::variable(std::string_view name) const {
  const auto at = variables_.find(name);
  return at == variables_.end() ? nullptr : at->second.type;
}

uint32_t Environment::number(std::string_view name) const {
  const auto at = variables_.find(name);
  return at == variables_.end() ? UINT32_MAX : at->second.number;
}

const DeclType* Environment::declared(std::string_view name) const {
  const auto at = variables_.find(name);
  return at == variables_.end() ? nullptr : at->second.decl;
}

Value make_authorizer(Memory& memory) {
  return Value::object(memory.arena().make<AccessObject>(AccessObject{{Object::Is::authorizer}, {}}), &types::authorizer);
}

Value make_resource_check(Memory& memory, const Access& access) {
  return Value::object(memory.arena().make<AccessObject>(AccessObject{{Object::Is::resource_check}, access}), &types::resource_check);
}

void Program::evaluate(const Activation& values, Evaluation& result, uint64_t limit, bool keep) const {
  if (!keep) result.memory_.reset();
  Evaluator evaluator(plan_, values.values(), Context{result.memory_, values.authorizer}, limit);
  result.value = evaluator.run();
  result.cost = evaluator.cost();
  // Work that no call noticed to be too much.
  if (result.memory_.exhausted()) result.value = Memory::over_limit();
}

bool Program::uses(std::string_view variable) const {
  return std::find(variables_.begin(), variables_.end(), variable) != variables_.end();
}

struct Compiler {
  static void collect(const Expr& expr, const Environment& environment, std::vector<std::string>& names) {
    if (expr.kind == ExprKind::ident && !expr.type_name && environment.variable(expr.name)) names.emplace_back(expr.name);
    if (expr.target) collect(*expr.target, environment, names);
    for (const Expr* arg : expr.args) collect(*arg, environment, names);
    if (const Fold* fold = expr.fold)
      for (const Expr* part : {fold->range, fold->init, fold->condition, fold->step, fold->result}) collect(*part, environment, names);
  }

  static std::expected<Program, CompileError> run(std::string_view text, const Environment& environment, const CompileOptions& options) {
    CompileError error;
    Program program;
    program.types_ = std::make_shared<TypePool>();
    Arena tree;
    // Literals are views into the text, and constants outlive it.
    const std::string_view kept = program.plan_.constants->arena().keep(text);
    Expr* root = parse(kept, tree, environment.features().bindings, error.issues);
    if (root && check(*root, kept, environment, *program.types_, tree, error.issues)) validate(*root, error.issues);
    if (!error.issues.empty()) {
      error.text = describe(error.issues, text);
      return std::unexpected(std::move(error));
    }
    collect(*root, environment, program.variables_);
    program.type_ = root->type;
    program.estimate_ = estimate_cost(*root, [&](std::string_view name) { return environment.declared(name); });
    Plan plan = std::move(program.plan_);
    auto made = make_plan(*root, environment, options.fold_constants, std::move(plan));
    if (!made) {
      error.instantiation = error.text = made.error().message;
      return std::unexpected(std::move(error));
    }
    program.plan_ = std::move(*made);
    return program;
  }
};

std::expected<Program, CompileError> compile(std::string_view text, const Environment& environment, const CompileOptions& options) {
  return Compiler::run(text, environment, options);
}

}  // namespace estiba::cel
