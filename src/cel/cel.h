// CEL, the expressions that Kubernetes' schemas, policies, match conditions and device selectors are written in.
//
//   cel::Environment env;
//   env.declare("self", pool.from_schema(schema, "self", false));
//   auto program = cel::compile("self.replicas <= self.maxReplicas", env);   // once
//   cel::Activation values(env);
//   values.set("self", cel::Value::json(object, self_type));
//   cel::Evaluation result;
//   program->evaluate(values, result);                                       // often; result.value, result.error()
//
// A text is parsed (parser.h), checked against the environment's types (checker.h) and planned (plan.h); a Program holds the
// plan and runs it (evaluator.h) over JSON documents as they are. What it may cost is estimated and bounded (cost.h).
#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cel/authorizer.h"
#include "cel/checker.h"
#include "cel/cost.h"
#include "cel/decl_type.h"
#include "cel/issue.h"
#include "cel/plan.h"
#include "cel/value.h"

namespace estiba::cel {

/// The names that expressions may use, beside the functions of Kubernetes 1.36.
class Environment : public Names, public Variables {
 public:
  explicit Environment(const Features& features = {}) : features_(features) {}

  /// A variable whose fields and bounds are declared. The type must outlive the environment and its programs.
  Environment& declare(std::string_view name, const DeclType* type);
  /// A variable of a type alone (types::dyn, types::authorizer).
  Environment& declare(std::string_view name, const Type* type);

  const Type* variable(std::string_view name) const override;
  const Features& features() const override { return features_; }
  uint32_t number(std::string_view name) const override;
  const DeclType* declared(std::string_view name) const;
  size_t size() const { return variables_.size(); }

 private:
  struct Variable {
    uint32_t number;
    const Type* type;
    const DeclType* decl;
  };
  Features features_;
  std::map<std::string, Variable, std::less<>> variables_;
};

/// The values of an environment's variables; those that are not set are null.
class Activation {
 public:
  explicit Activation(const Environment& environment) : environment_(&environment), values_(environment.size()) {}
  void set(std::string_view name, const Value& value) { values_[environment_->number(name)] = value; }
  std::span<const Value> values() const { return values_; }

  Authorizer* authorizer = nullptr;  ///< who answers the checks of authorizers; not owned

 private:
  const Environment* environment_;
  std::vector<Value> values_;
};

/// The variable `authorizer`, and `authorizer.requestResource`: a check that is complete but for its verb. Their texts must
/// outlive the evaluation.
Value make_authorizer(Memory& memory);
Value make_resource_check(Memory& memory, const Access& access);

/// One result and the memory that it lives in; used again it allocates little.
class Evaluation {
 public:
  Value value;
  uint64_t cost = 0;

  bool ok() const { return !value.is_error(); }
  /// What went wrong ("no such key: x"); empty when nothing did.
  std::string_view error() const { return value.is_error() ? value.text() : std::string_view(); }
  /// The cost reached its limit, or the memory did.
  bool over_limit() const { return value.is_error() && value.is_fatal(); }
  Memory& memory() { return memory_; }

 private:
  friend class Program;
  Memory memory_;
};

/// A compiled expression; may be evaluated by many threads at once.
class Program {
 public:
  Program(Program&&) noexcept = default;

  /// Evaluates into `result`, whose earlier value becomes invalid unless `keep` is set (then memory adds up, for values that
  /// several evaluations share).
  void evaluate(const Activation& values, Evaluation& result, uint64_t limit = per_call_limit, bool keep = false) const;

  /// The type of its values.
  const Type& type() const { return *type_; }
  /// The estimated cost, from the bounds that the environment's declared types have.
  Range estimate() const { return estimate_; }
  /// Whether it mentions a variable ("oldSelf").
  bool uses(std::string_view variable) const;

 private:
  friend struct Compiler;
  Program() = default;

  Plan plan_;
  std::shared_ptr<TypePool> types_;
  const Type* type_ = nullptr;
  Range estimate_;
  std::vector<std::string> variables_;
};

struct CompileOptions {
  bool fold_constants = true;  ///< literals of lists and maps cost nothing at run time then
};

/// What stands in the way of a program.
struct CompileError {
  Issues issues;              ///< of the text
  std::string instantiation;  ///< a constant part that cannot be computed; the text is sound then
  std::string text;           ///< all of it, as cel-go prints it
};

std::expected<Program, CompileError> compile(std::string_view text, const Environment& environment, const CompileOptions& options = {});

}  // namespace estiba::cel
