// x-kubernetes-validations: the rules of a custom kind, compiled once per definition and evaluated at every write.
// (Kubernetes: apiextensions-apiserver, pkg/apiserver/schema/cel; messages, ratcheting and budgets are theirs.)
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "apiserver/field_errors.h"
#include "cel/cel.h"
#include "model/custom/structural.h"

namespace estiba::apiserver {

/// A rule that has been compiled, or what is wrong with it.
struct CompiledRule {
  const model::ValidationRule* rule = nullptr;
  std::optional<cel::Program> program, message;
  std::string error, message_error;  ///< why one of them is not there
  bool uses_old = false;             ///< a transition rule: it needs the stored value
  const cel::Environment* environment = nullptr;
};

/// The rules of one schema of the tree.
struct RuleSet {
  const cel::DeclType* type = nullptr;
  cel::Environment plain, optional;  ///< oldSelf as it is, and as an optional
  std::vector<CompiledRule> rules;
};

class Rules {
 public:
  /// `schema` must outlive this.
  explicit Rules(const model::Structural& schema);

  const RuleSet* of(const model::Structural& schema) const {
    const auto it = sets_.find(&schema);
    return it != sets_.end() ? it->second.get() : nullptr;
  }

  /// Evaluates the rules that hold for an object. `old`: what is stored, or null.
  void check(const json::Node& object, const model::Structural& schema, const json::Node* old, FieldErrors& errors) const;

 private:
  void compile(const model::Structural& schema, bool resource);

  cel::DeclPool pool_;
  std::map<const model::Structural*, std::unique_ptr<RuleSet>> sets_;
};

/// What is wrong with the rules of a definition's schema: texts that do not compile, costs that may be too high.
void check_rules(const model::Structural& schema, const std::string& path, FieldErrors& errors);

}  // namespace estiba::apiserver
