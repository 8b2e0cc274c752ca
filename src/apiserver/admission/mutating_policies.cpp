// MutatingAdmissionPolicy: apply configurations and JSON patches that expressions make. (Kubernetes:
// apiserver/pkg/admission/plugin/policy/mutating, dispatcher.go and patch/.)
#include "apiserver/admission/extensions.h"
#include "apiserver/admission/mutation.h"
#include "apiserver/admission/plugins.h"
#include "apiserver/admission/policy.h"
#include "apiserver/admission/scale.h"
#include "apiserver/api_errors.h"
#include "base/strings.h"

namespace estiba::apiserver::admission {
namespace {

constexpr std::string_view plugin = "MutatingAdmissionPolicy";

struct Problem {
  const Policy* policy;
  const Binding* binding;  // may be null
  std::string message, reason;

  std::string text() const {
    if (!binding) return "policy " + quoted(policy->name) + " denied request: " + message;
    return "policy '" + policy->name + "' with binding '" + binding->name + "' denied request: " + message;
  }
};

// Of those whose policies fail closed; the first one names the failure.
Result<void> refuse(const Attributes& attributes, const std::vector<Problem>& problems) {
  std::unexpected<Error> error = attributes.forbidden("admission request denied by policy");
  bool any = false;
  for (const Problem& problem : problems) {
    if (!problem.policy->fail) continue;
    std::string text = problem.text();
    if (!any) {
      error.error().message = text;
      error.error().details->reason = problem.reason;
    }
    error.error().details->causes.push_back({"", std::move(text), ""});
    any = true;
  }
  if (any) return error;
  return {};
}

// The object as the mutation makes it.
Result<json::Document> mutated(const Mutation& mutation, const Policy& policy, const Situation& situation,
                               const model::schema::Type* type) {
  Round round(situation, *policy.names, &policy.variables, cel::runtime_budget);
  if (!mutation.expression.program) return fail(Code::invalid, mutation.expression.error);
  Answer answer = round.evaluate(mutation.expression);
  if (!answer.error.empty()) return fail(Code::invalid, std::move(answer.error));
  const json::Node& object = *situation.objects.object;
  if (mutation.json_patch) return json_patched(round.memory(), answer.value, object);
  return configured(round.memory(), answer.value, object, type);
}

const model::schema::Type* type_of(const Subject& subject, const Match& match) {
  const Resource& row = match.row.resource ? *match.row.resource : *subject.attributes.action.resource;
  if (row.kind == match.kind.name) return row.type;
  return model::schema::find_type(match.kind.group, match.kind.version, match.kind.name);
}

// True when it has changed the object.
Task<Result<bool>> apply(const Invocation& invocation, Subject& subject, Versions& versions, const json::Node* in_namespace,
                         std::vector<Problem>& problems) {
  const Policy& policy = *invocation.policy;
  bool changed = false;
  for (const Mutation& mutation : policy.mutations) {
    const Versions::Pair* objects = CO_TRY(co_await versions.in(invocation.match));
    if (!objects->object) co_return false;
    const Situation situation{.subject = subject,
                              .match = invocation.match,
                              .objects = *objects,
                              .params = invocation.params_node(),
                              .namespace_object = in_namespace};
    auto made = mutated(mutation, policy, situation, type_of(subject, invocation.match));
    if (!made) {
      problems.push_back({&policy, invocation.binding, std::move(made.error().message), "Invalid"});
      continue;
    }
    if (!CO_TRY(co_await take_object(subject, invocation.match, std::move(*made), mutation.json_patch))) continue;
    versions.forget();
    changed = true;
  }
  co_return changed;
}

Task<Result<bool>> conditions_hold(const Invocation& invocation, Subject& subject, Versions& versions, const json::Node* in_namespace,
                                   std::vector<Problem>& problems) {
  const Policy& policy = *invocation.policy;
  if (policy.conditions.expressions.empty()) co_return true;
  const Versions::Pair* objects = CO_TRY(co_await versions.in(invocation.match));
  const Situation situation{.subject = subject,
                            .match = invocation.match,
                            .objects = *objects,
                            .params = invocation.params_node(),
                            .namespace_object = in_namespace};
  auto holds = policy.conditions.hold(situation, *policy.names, &policy.variables);
  if (!holds) problems.push_back({&policy, invocation.binding, std::move(holds.error().message), "Invalid"});
  co_return holds && *holds;
}

Task<Result<void>> mutate_by_all(Attributes& attributes) {
  auto extensions = attributes.cluster.extensions().current();
  if (!extensions) co_return {};
  Subject subject(attributes);
  if (subject.exempt()) co_return {};
  std::vector<Invocation> invocations;
  std::vector<PolicyProblem> unusable;
  CO_TRY(find_invocations(subject, extensions->mutating_policies, invocations, unusable));
  std::vector<Problem> problems;
  for (PolicyProblem& problem : unusable) problems.push_back({problem.policy, problem.binding, std::move(problem.message), ""});
  if (invocations.empty()) co_return refuse(attributes, problems);
  Reinvocation& rounds = *attributes.rounds;
  Reinvocation::Asked& asked = rounds.by_plugin[plugin];
  if (rounds.second && asked.left != json::print(*attributes.object)) asked.require();
  const auto in_namespace = CO_TRY(namespace_document(subject));
  const json::Node* namespace_node = in_namespace ? &in_namespace->root() : nullptr;
  Versions versions(subject);
  for (const Invocation& invocation : invocations) {
    if (!CO_TRY(co_await conditions_hold(invocation, subject, versions, namespace_node, problems))) continue;
    if (rounds.second && !asked.again.contains(invocation.key())) continue;
    if (CO_TRY(co_await apply(invocation, subject, versions, namespace_node, problems))) {
      asked.require();
      rounds.wanted = true;
    }
    if (invocation.policy->reinvoke) asked.before.insert(invocation.key());
  }
  if (!rounds.second) asked.left = json::print(*attributes.object);
  co_return refuse(attributes, problems);
}

}  // namespace

Task<Result<void>> apply_mutating_policies(Attributes& attributes) {
  if (attributes.removing() || !attributes.object) co_return {};
  auto extensions = attributes.cluster.extensions().current();
  if (!extensions || extensions->mutating_policies.empty()) co_return {};
  co_return co_await with_scale(attributes, mutate_by_all);
}

}  // namespace estiba::apiserver::admission
