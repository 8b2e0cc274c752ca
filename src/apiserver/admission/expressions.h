// The expressions of match conditions and policies: what they may name, how they are compiled, and their evaluation for one
// request. (Kubernetes: apiserver/pkg/admission/plugin/cel and plugin/webhook/matchconditions.)
#pragma once
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/admission/subject.h"
#include "cel/cel.h"

namespace estiba::apiserver::admission {

/// What an expression is for, which decides what it may name beside the request and its objects.
enum class Use : uint8_t {
  condition,  ///< and `authorizer`
  message,    ///< no `authorizer`
  mutation,   ///< `authorizer`, Object{…} and JSONPatch{…}
};

/// The names of one policy or webhook.
class Names {
 public:
  struct Types {
    bool params = false;                    ///< `params` may be named
    bool variables = false;                 ///< `variables` may be named
    const cel::DeclType* object = nullptr;  ///< of object and oldObject; null: anything
    const cel::DeclType* param = nullptr;   ///< of params; null: anything
  };
  explicit Names(const Types& types);
  Names(const Names&) = delete;

  const cel::Environment& environment(Use use) const { return *environments_[size_t(use)]; }
  const cel::DeclType* request_type() const { return request_; }
  const cel::DeclType* namespace_type() const { return namespace_; }
  const cel::Type* variables_type() const { return variables_ ? variables_->type : nullptr; }
  /// `variables.name` from now on; null: of any type. The type must live as long as this.
  void add_variable(std::string_view name, const cel::Type* type);

 private:
  void declare();
  const cel::DeclType* decl_of(const cel::Type* type);

  Types types_;
  cel::DeclPool pool_;
  const cel::DeclType* request_ = nullptr;
  const cel::DeclType* namespace_ = nullptr;
  const cel::DeclType* variables_ = nullptr;
  std::deque<std::string> texts_;
  std::vector<cel::DeclPool::NewField> fields_;
  std::unique_ptr<cel::Environment> environments_[3];
};

/// A compiled expression, or what is wrong with it.
struct Expression {
  std::string text;
  Use use = Use::condition;
  std::optional<cel::Program> program;
  std::string error;  ///< why there is none: "compilation failed: …", "must evaluate to bool but got string"
};

/// What an expression must evaluate to.
enum class Wanted : uint8_t { anything, boolean, text, text_or_null, object, patches };

Expression compile_expression(std::string_view text, const Names& names, Use use, Wanted wanted);

/// Compiled variables of a policy, in their order.
struct Variable {
  std::string name;
  Expression expression;
};

/// A request as expressions see it.
struct Situation {
  Subject& subject;
  const Match& match;
  const Versions::Pair& objects;
  const json::Node* params = nullptr;
  const json::Node* namespace_object = nullptr;
  json::Document request = request_of(subject, match, "");
};

/// What an expression gave.
struct Answer {
  cel::Value value;
  std::string error;           ///< empty: it gave the value
  bool out_of_budget = false;  ///< nothing more may be evaluated
};

/// Evaluates several expressions for one request within one budget; variables are computed once, when they are first named.
class Round {
 public:
  Round(const Situation& situation, const Names& names, const std::vector<Variable>* variables, uint64_t budget);
  ~Round();

  /// The value lives until the next call.
  Answer evaluate(const Expression& expression);
  cel::Memory& memory();
  uint64_t budget() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The match conditions of a webhook or policy.
struct Conditions {
  std::vector<Expression> expressions;
  bool fail = true;  ///< failurePolicy

  static Conditions compile(const json::Node* list, const Names& names, bool fail);
  /// Whether all hold; the error's message says which could not be evaluated.
  Result<bool> hold(const Situation& situation, const Names& names, const std::vector<Variable>* variables = nullptr) const;
};

}  // namespace estiba::apiserver::admission
