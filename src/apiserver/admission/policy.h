// Admission policies and their bindings, compiled. (Kubernetes: apiserver/pkg/admission/plugin/policy.)
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/admission/expressions.h"
#include "apiserver/admission/matching.h"

namespace estiba::apiserver::admission {

/// Which parameters a binding gives its policy.
struct ParamRef {
  std::string name, ns;
  std::optional<model::LabelSelector> selector;
  bool deny_when_missing = false;
};

struct Binding {
  std::string name, policy;
  std::optional<Matching> matching;  ///< absent: all that the policy matches
  std::optional<ParamRef> params;
  std::vector<std::string> actions;  ///< Deny, Warn, Audit
  std::string broken;                ///< why it cannot be applied

  static std::shared_ptr<const Binding> parse(const json::Node& object);
};

struct Validation {
  Expression expression;
  std::optional<Expression> message_expression;
  std::string message, reason;
};

struct AuditAnnotation {
  std::string key;
  Expression value;
};

struct Mutation {
  bool json_patch = false;  ///< else an apply configuration
  Expression expression;
};

struct Policy {
  std::string name;
  Matching matching;
  std::string broken;  ///< why it cannot be applied
  bool fail = true;    ///< failurePolicy
  std::optional<Named> param_kind;
  std::shared_ptr<Names> names;
  std::vector<Variable> variables;
  Conditions conditions;
  std::vector<Validation> validations;
  std::vector<AuditAnnotation> annotations;
  std::vector<Mutation> mutations;
  bool reinvoke = false;

  /// From a ValidatingAdmissionPolicy or a MutatingAdmissionPolicy.
  static std::shared_ptr<const Policy> parse(const json::Node& object, bool mutating);
};

/// A policy with its bindings, in the order of their names.
struct BoundPolicy {
  std::shared_ptr<const Policy> policy;
  std::vector<std::shared_ptr<const Binding>> bindings;
};

/// Why a policy cannot be applied to a request: "failed to configure binding: …".
struct PolicyProblem {
  const Policy* policy;
  const Binding* binding;  ///< may be null
  std::string message;
};

/// One application of a policy: by a binding, with a parameter.
struct Invocation {
  const Policy* policy;
  const Binding* binding;
  Match match;
  std::shared_ptr<const json::Document> params;  ///< null without paramKind

  const json::Node* params_node() const { return params ? &params->root() : nullptr; }
  /// Policy, binding and parameter.
  std::string key() const;
};

/// What applies to the request, in order. Errors are those that end the request whatever the policies say.
Result<void> find_invocations(Subject& subject, const std::vector<BoundPolicy>& policies, std::vector<Invocation>& out,
                              std::vector<PolicyProblem>& problems);

/// The request's namespace as expressions see it; null for what is in none.
Result<std::shared_ptr<const json::Document>> namespace_document(const Subject& subject);

}  // namespace estiba::apiserver::admission
