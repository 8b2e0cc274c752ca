// Eviction: a deletion that asks the pod's disruption budget first. A grant is taken from the budget's status by
// compare-and-write before the pod is touched, so that two evictions never share one; the disruption controller
// (controllers/disruption.cpp) gives back what was granted and not used.
// Source: Kubernetes' "API-initiated eviction".
#include "apiserver/admission/admission.h"
#include "apiserver/api_errors.h"
#include "apiserver/body.h"
#include "apiserver/edit.h"
#include "apiserver/own_action.h"
#include "apiserver/server.h"
#include "apiserver/special/special.h"
#include "base/strings.h"
#include "base/time.h"
#include "model/custom/definition.h"
#include "model/selector.h"
#include "model/types/policy_v1.h"

namespace estiba::apiserver {
namespace {

using model::policy_v1::PodDisruptionBudget;

constexpr std::string_view refusal = "Cannot evict pod as it would violate the pod's disruption budget.";
constexpr size_t most_disrupted = 2000;  // evictions that wait for the disruption controller to see them
constexpr int most_attempts = 20;        // when pods change between being looked at and being deleted

std::unexpected<Error> refused(std::string why, int retry_after_seconds) {
  auto error = too_many_requests(std::string(refusal), retry_after_seconds);
  error.error().details->causes.push_back({"DisruptionBudget", std::move(why), ""});
  return error;
}
std::unexpected<Error> still_processed(const std::string& budget) {
  return refused("The disruption budget " + budget + " is still being processed by the server.", 10);
}

std::string_view phase_of(const json::Node& pod) { return pod.string_at("status", "phase"); }
bool is_over(const json::Node& pod) {
  return phase_of(pod) == "Succeeded" || phase_of(pod) == "Failed" || !pod.string_at("metadata", "deletionTimestamp").empty();
}

// --- the budget ------------------------------------------------------------------------------------------------------

Result<std::vector<model::ObjectRef>> budgets_of(const Cluster& cluster, const model::ObjectRef& pod) {
  std::vector<model::ObjectRef> found;
  for (const model::ObjectRef& budget : TRY(cluster.all("policy", "poddisruptionbudgets", pod.meta().ns))) {
    const auto& selector = budget.as<PodDisruptionBudget>().spec.selector;
    if (!selector) continue;
    const auto compiled = model::LabelSelector::from(*selector);
    if (compiled && compiled->matches(pod.meta().labels)) found.push_back(budget);
  }
  return found;
}

const model::meta_v1::Condition* allowed_condition(const PodDisruptionBudget& budget) {
  for (const auto& condition : budget.status.conditions)
    if (condition.type == "DisruptionAllowed") return &condition;
  return nullptr;
}

std::string why_none(const std::string& name, const PodDisruptionBudget& budget) {
  const auto* condition = allowed_condition(budget);
  const bool told = condition && condition->status == "False" && !condition->message.empty();
  const int32_t desired = budget.status.desiredHealthy.value_or(0), healthy = budget.status.currentHealthy.value_or(0);
  if (told && condition->reason == "SyncFailed")
    return "The disruption budget " + name + " does not allow evicting pods currently because it failed sync: " + condition->message;
  if (healthy <= desired)
    return "The disruption budget " + name + " needs " + std::to_string(desired) + " healthy pods and has " + std::to_string(healthy) +
           " currently";
  const std::string none = "The disruption budget " + name + " does not allow evicting pods currently";
  return told ? none + " (" + condition->reason + "): " + condition->message : none;
}

// The budget with one disruption less and the pod noted as disrupted.
Result<json::Document> taken(const json::Node& old, const std::string& pod, WallTime now) {
  const auto object = TRY(model::Object::make(old));
  const PodDisruptionBudget& budget = object->as<PodDisruptionBudget>();
  const std::string& name = object->meta().name;
  const Resource& row = *model::schema::find_resource("policy", "v1", "poddisruptionbudgets");
  if (budget.status.observedGeneration.value_or(0) < object->meta().generation) return still_processed(name);
  const int32_t allowed = budget.status.disruptionsAllowed.value_or(0);
  if (allowed < 0) return forbidden(row, name, "pdb disruptions allowed is negative");
  if (budget.status.disruptedPods.size() > most_disrupted)
    return forbidden(row, name, "DisruptedPods map too big - too many evictions not confirmed by PDB controller");
  if (allowed == 0) return refused(why_none(name, budget), 0);
  json::Document doc;
  doc.set_root(doc.copy(old));
  json::Node& status = doc.ensure_object(doc.root(), "status");
  set_int(doc, status, "disruptionsAllowed", allowed - 1);
  if (allowed == 1) {
    json::Node& condition = condition_of(doc, status, "DisruptionAllowed");
    if (condition.string_at("status") != "False") doc.set(condition, "lastTransitionTime", format_rfc3339(now));
    doc.set(condition, "status", "False");
    doc.set(condition, "reason", "InsufficientPods");
    doc.set(condition, "message", "");
  }
  doc.set(doc.ensure_object(status, "disruptedPods"), pod, format_rfc3339(now));
  return doc;
}

Task<Result<void>> take_from(Api& api, model::ObjectRef budget, std::string pod, bool dry_run) {
  Action action =
      own_action(Verb::update, *model::schema::find_resource("policy", "v1", "poddisruptionbudgets"), budget.meta().ns, budget.meta().name);
  action.subresource = "status";
  action.write.dry_run = dry_run;
  const WallTime now = api.cluster().now();
  CO_TRY(
      co_await api.registry().modify(std::move(action), Part::status, [pod, now](const json::Node& old) { return taken(old, pod, now); }));
  co_return {};
}

// --- the pod ---------------------------------------------------------------------------------------------------------

Result<json::Document> marked(const Action& removal, const json::Node& old, WallTime now) {
  const std::string_view uid = old.string_at("metadata", "uid"), version = old.string_at("metadata", "resourceVersion");
  if (!removal.remove.uid.empty() && removal.remove.uid != uid)
    return conflict(*removal.resource, removal.name,
                    "the UID in the precondition (" + removal.remove.uid + ") does not match the UID in record (" + std::string(uid) +
                        "). The object might have been deleted and then recreated");
  if (!removal.remove.resource_version.empty() && removal.remove.resource_version != version)
    return conflict(*removal.resource, removal.name,
                    "the ResourceVersion in the precondition (" + removal.remove.resource_version +
                        ") does not match the ResourceVersion in record (" + std::string(version) +
                        "). The object might have been modified");
  json::Document doc;
  doc.set_root(doc.copy(old));
  json::Node& condition = condition_of(doc, doc.ensure_object(doc.root(), "status"), "DisruptionTarget");
  if (condition.string_at("status") != "True") doc.set(condition, "lastTransitionTime", format_rfc3339(now));
  doc.set(condition, "status", "True");
  doc.set(condition, "reason", "EvictionByEvictionAPI");
  doc.set(condition, "message", "Eviction API: evicting");
  return doc;
}

// Tells in the pod's status why it ends, then deletes it.
Task<Result<void>> mark_and_remove(Api& api, Action removal) {
  if (!removal.remove.dry_run) {
    Action mark = own_action(Verb::update, *removal.resource, removal.ns, removal.name);
    mark.subresource = "status";
    const WallTime now = api.cluster().now();
    const auto shared = std::make_shared<const Action>(removal);
    const Outcome outcome = CO_TRY(co_await api.registry().modify(
        std::move(mark), Part::status, [shared, now](const json::Node& old) { return marked(*shared, old, now); }));
    if (!removal.remove.resource_version.empty()) removal.remove.resource_version = outcome.object.resource_version();
  }
  CO_TRY(co_await api.registry().remove(std::move(removal)));
  co_return {};
}

// The deletion that the Eviction's deleteOptions describe.
Action removal_of(const Action& action, const json::Node& eviction) {
  Action removal = action;
  removal.verb = Verb::remove;
  removal.subresource.clear();
  removal.body.clear();
  if (const json::Node* given = eviction.find("deleteOptions"); present(given)) {
    removal.body = json::print(*given);
    if (const json::Node* grace = given->find("gracePeriodSeconds"); present(grace)) removal.remove.grace_seconds = grace->as_int();
    removal.remove.uid = given->string_at("preconditions", "uid");
    removal.remove.resource_version = given->string_at("preconditions", "resourceVersion");
    removal.remove.propagation = given->string_at("propagationPolicy");
    const json::Node* dry_run = given->find("dryRun");
    removal.remove.dry_run |= present(dry_run) && !dry_run->empty();
  }
  removal.remove.dry_run |= action.write.dry_run;
  return removal;
}

// Unless the user has named a version: a pod that changes after it was looked at may be one that a budget protects by now.
Action held_at(Action removal, const model::ObjectRef& pod) {
  if (removal.remove.resource_version.empty()) removal.remove.resource_version = pod.resource_version();
  return removal;
}

// A pod that no budget can protect: one that has not run yet or is over. False: it is none.
Task<Result<bool>> remove_unprotected(Api& api, Action action, Action removal, model::ObjectRef* pod) {
  for (int attempt = 1;; ++attempt) {
    *pod = CO_TRY(api.registry().get(action));
    const json::Document parsed = CO_TRY(json::Document::parse(pod->object->json()));
    const bool over = is_over(parsed.root());
    if (!over && phase_of(parsed.root()) != "Pending") co_return false;
    auto removed = co_await mark_and_remove(api, over ? removal : held_at(removal, *pod));
    if (removed) co_return true;
    if (removed.error().code != Code::conflict || !removal.remove.resource_version.empty() || attempt == most_attempts)
      co_return std::unexpected(std::move(removed.error()));
  }
}

// Unhealthy pods that the policy lets go without asking how many are left.
bool goes_unasked(const json::Node& pod, const PodDisruptionBudget& budget) {
  if (model::has_condition(pod, "Ready")) return false;
  if (budget.spec.unhealthyPodEvictionPolicy == "AlwaysAllow") return true;
  const int32_t desired = budget.status.desiredHealthy.value_or(0);
  return desired > 0 && budget.status.currentHealthy.value_or(0) >= desired;
}

Task<Result<void>> remove_protected(Api& api, Action removal, model::ObjectRef pod) {
  const std::vector<model::ObjectRef> budgets = CO_TRY(budgets_of(api.cluster(), pod));
  if (budgets.size() > 1)
    co_return fail(Code::internal, "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.");
  if (budgets.empty()) co_return co_await mark_and_remove(api, std::move(removal));
  const json::Document parsed = CO_TRY(json::Document::parse(pod.object->json()));
  if (!goes_unasked(parsed.root(), budgets[0].as<PodDisruptionBudget>())) {
    CO_TRY(co_await take_from(api, budgets[0], pod.meta().name, removal.remove.dry_run));
    co_return co_await mark_and_remove(api, std::move(removal));
  }
  const bool users_version = !removal.remove.resource_version.empty();
  auto removed = co_await mark_and_remove(api, held_at(std::move(removal), pod));
  // It may have become healthy just now: the budget must be asked after all.
  if (!removed && removed.error().code == Code::conflict && !users_version) co_return still_processed(budgets[0].meta().name);
  co_return removed;
}

}  // namespace

Task<Result<Outcome>> evict(Api& api, Action action) {
  Decoded decoded = CO_TRY(decode_as(action, *model::schema::find_type("policy", "v1", "Eviction")));
  decoded.doc.set(decoded.doc.root(), "kind", "Eviction");
  decoded.doc.set(decoded.doc.root(), "apiVersion", "policy/v1");
  if (decoded.doc.root().string_at("metadata", "name") != action.name)
    co_return bad_request("name in URL does not match name in Eviction object");
  std::vector<std::string> warnings;
  CO_TRY(co_await admission::admit_act(api.cluster(), action, admission::Operation::create, decoded.doc, warnings));
  const Action removal = removal_of(action, decoded.doc.root());
  model::ObjectRef pod;
  if (!CO_TRY(co_await remove_unprotected(api, action, removal, &pod))) CO_TRY(co_await remove_protected(api, removal, pod));
  co_return Outcome{201, {}, R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","code":201})", std::move(warnings)};
}

}  // namespace estiba::apiserver
