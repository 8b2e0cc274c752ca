// ValidatingAdmissionPolicy: what the policies' validations say of a request, and what their bindings make of it. (Kubernetes:
// apiserver/pkg/admission/plugin/policy/validating, dispatcher.go and validator.go.)
#include <set>

#include "apiserver/admission/extensions.h"
#include "apiserver/admission/plugins.h"
#include "apiserver/admission/policy.h"
#include "apiserver/admission/scale.h"
#include "apiserver/api_errors.h"
#include "base/log.h"
#include "base/strings.h"

namespace estiba::apiserver::admission {
namespace {

constexpr size_t longest_message = 5 * 1024, longest_annotation = 10 * 1024;

struct Denial {
  const Policy* policy;
  const Binding* binding;  // may be null
  std::string message, reason;
};

Code code_of(std::string_view reason) {
  if (reason == "Forbidden") return Code::forbidden;
  if (reason == "Unauthorized") return Code::unauthorized;
  if (reason == "RequestEntityTooLarge") return Code::too_large;
  return Code::invalid;
}

std::unexpected<Error> denied(const Attributes& attributes, const Denial& denial) {
  std::string text = "ValidatingAdmissionPolicy '" + denial.policy->name + "'";
  if (denial.binding) text += " with binding '" + denial.binding->name + "'";
  text += " denied request: " + denial.message;
  auto error = attributes.forbidden(text);
  error.error().code = code_of(denial.reason);
  error.error().details->causes.push_back({"", std::move(text), ""});
  return error;
}

class Validator {
 public:
  Validator(Attributes& attributes, const Invocation& invocation, const Situation& situation, std::vector<Denial>& denials)
      : attributes_(attributes), invocation_(invocation), policy_(*invocation.policy), situation_(situation), denials_(denials) {}

  void run() {
    auto holds = policy_.conditions.hold(situation_, *policy_.names, &policy_.variables);
    if (!holds) return failed(holds.error().message);
    if (!*holds) return;
    if (validations()) annotations();
  }

 private:
  // An expression that gives nothing counts as the failure policy says.
  void failed(std::string message) {
    if (policy_.fail) deny(0, std::move(message), "Invalid");
  }

  void deny(size_t index, std::string message, std::string reason) {
    const Binding& binding = *invocation_.binding;
    for (const std::string& action : binding.actions) {
      if (action == "Deny") {
        denials_.push_back({&policy_, &binding, message, reason});
      } else if (action == "Warn") {
        attributes_.warn("Validation failed for ValidatingAdmissionPolicy '" + policy_.name + "' with binding '" + binding.name +
                         "': " + message);
      } else if (action == "Audit") {
        log::info("admission", "audit annotation",
                  {{"key", "validation.policy.admission.k8s.io/validation_failure"},
                   {"policy", policy_.name},
                   {"binding", binding.name},
                   {"expressionIndex", index},
                   {"object", attributes_.name()},
                   {"user", attributes_.action.user.name},
                   {"message", message}});
      }
    }
  }

  // False when the budget has run out.
  bool validations() {
    Round round(situation_, *policy_.names, &policy_.variables, cel::runtime_budget);
    std::vector<size_t> refusing;
    struct Failure {
      size_t index;
      std::string message;
    };
    std::vector<Failure> failures;
    for (size_t i = 0; i < policy_.validations.size(); i++) {
      Answer answer = round.evaluate(policy_.validations[i].expression);
      if (answer.out_of_budget) return failed(std::move(answer.error)), false;
      if (!answer.error.empty()) failures.push_back({i, std::move(answer.error)});
      else if (!answer.value.is_true()) refusing.push_back(i);
    }
    Round messages(situation_, *policy_.names, &policy_.variables, round.budget());
    auto next = failures.begin();
    for (size_t i = 0, at = 0; i < policy_.validations.size(); i++) {
      if (next != failures.end() && next->index == i) {
        if (policy_.fail) deny(i, std::move(next->message), "Invalid");
        ++next;
      } else if (at < refusing.size() && refusing[at] == i) {
        ++at;
        refuse(i, messages);
      }
    }
    return true;
  }

  void refuse(size_t index, Round& messages) {
    const Validation& validation = policy_.validations[index];
    std::string message;
    if (validation.message_expression) {
      const Answer answer = messages.evaluate(*validation.message_expression);
      if (answer.out_of_budget) return failed("failed messageExpression: " + answer.error);
      if (answer.error.empty() && answer.value.is(cel::Kind::string)) message = trim(answer.value.text());
      if (message.size() > longest_message || message.contains('\n')) message.clear();
    }
    if (message.empty()) message = validation.message;
    if (message.empty()) message = "failed expression: " + std::string(trim(validation.expression.text));
    deny(index, std::move(message), validation.reason.empty() ? "Invalid" : validation.reason);
  }

  void annotations() {
    Round round(situation_, *policy_.names, &policy_.variables, cel::runtime_budget);
    for (const AuditAnnotation& annotation : policy_.annotations) {
      Answer answer = round.evaluate(annotation.value);
      if (answer.out_of_budget) return failed(std::move(answer.error));
      if (!answer.error.empty()) {
        // An annotation that cannot be made is a refusal, whatever the binding's actions are.
        if (policy_.fail) denials_.push_back({&policy_, invocation_.binding, std::move(answer.error), "Invalid"});
        continue;
      }
      if (!answer.value.is(cel::Kind::string)) continue;
      const std::string_view value = trim(answer.value.text()).substr(0, longest_annotation);
      if (!value.empty())
        log::info("admission", "audit annotation",
                  {{"key", policy_.name + "/" + annotation.key}, {"value", value}, {"object", attributes_.name()}});
    }
  }

  Attributes& attributes_;
  const Invocation& invocation_;
  const Policy& policy_;
  const Situation& situation_;
  std::vector<Denial>& denials_;
};

Task<Result<void>> validate_by_all(Attributes& attributes) {
  auto extensions = attributes.cluster.extensions().current();
  if (!extensions) co_return {};
  Subject subject(attributes);
  if (subject.exempt()) co_return {};
  std::vector<Invocation> invocations;
  std::vector<PolicyProblem> problems;
  CO_TRY(find_invocations(subject, extensions->validating_policies, invocations, problems));
  std::vector<Denial> denials;
  for (PolicyProblem& problem : problems)
    if (problem.policy->fail) denials.push_back({problem.policy, problem.binding, std::move(problem.message), "Invalid"});
  if (!invocations.empty()) {
    const auto in_namespace = CO_TRY(namespace_document(subject));
    Versions versions(subject);
    for (const Invocation& invocation : invocations) {
      auto objects = co_await versions.in(invocation.match);
      if (!objects) {
        if (invocation.policy->fail)
          denials.push_back({invocation.policy, invocation.binding,
                             "failed to configure binding: failed to convert object version: " + objects.error().message, "Invalid"});
        continue;
      }
      const Situation situation{.subject = subject,
                                .match = invocation.match,
                                .objects = **objects,
                                .params = invocation.params_node(),
                                .namespace_object = in_namespace ? &in_namespace->root() : nullptr};
      Validator(attributes, invocation, situation, denials).run();
    }
  }
  if (denials.empty()) co_return {};
  co_return denied(attributes, denials.front());
}

}  // namespace

Task<Result<void>> apply_validating_policies(Attributes& attributes) {
  auto extensions = attributes.cluster.extensions().current();
  if (!extensions || extensions->validating_policies.empty()) co_return {};
  co_return co_await with_scale(attributes, validate_by_all);
}

}  // namespace estiba::apiserver::admission
