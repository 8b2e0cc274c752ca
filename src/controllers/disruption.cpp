// PodDisruptionBudget: how many of its pods may be evicted now, for the eviction subresource to take from. Also takes back
// the condition DisruptionTarget of pods that were to be disrupted and are still there.
#include <algorithm>
#include <map>

#include "base/time.h"
#include "client/json_writer.h"
#include "client/selectors.h"
#include "controllers/disruption_scale.h"
#include "controllers/framework.h"
#include "controllers/kinds.h"
#include "controllers/pod_facts.h"
#include "controllers/table.h"
#include "model/types/policy_v1.h"

namespace estiba::controllers {

using client::EventType;
using model::ObjectRef;
using model::core_v1::Pod;
using model::policy_v1::PodDisruptionBudget;
using namespace std::chrono_literals;

namespace {

constexpr client::Resource budgets_resource{"policy", "v1", "poddisruptionbudgets"};
constexpr Duration deletion_timeout = 2min;          // an evicted pod that is still there after it counts again
constexpr Duration stale_disruption_timeout = 2min;  // and one whose condition DisruptionTarget led to nothing
constexpr std::string_view pod_key = "pod:";         // before the keys of pods; those of budgets have none

struct Counts {
  int64_t expected = 0, desired = 0, healthy = 0, allowed = 0;
  std::map<std::string, std::string> disrupted;  // since when, by pod
};

bool covers(const ObjectRef& budget, const model::Meta& pod) {
  const auto& selector = budget.as<PodDisruptionBudget>().spec.selector;
  return selector && budget.meta().ns == pod.ns && client::matches(*selector, pod.labels);
}

class DisruptionController final : public Controller {
 public:
  explicit DisruptionController(Context& context)
      : Controller(context, "controllermanager", {.workers = 4}),
        budgets_(watch(budgets_resource)),
        pods_(informer(client::pods)),
        scales_(client_, {.replica_sets = informer(client::replica_sets),
                          .deployments = informer(client::deployments),
                          .stateful_sets = informer({"apps", "v1", "statefulsets"}),
                          .replication_controllers = informer({"", "v1", "replicationcontrollers"}),
                          .definitions = informer(custom_resource_definitions)}),
        budgets_by_namespace_(budgets_.namespace_index()),
        pods_by_namespace_(pods_.namespace_index()) {
    pods_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      const ObjectRef& known = after ? after : before;
      budgets_.each(budgets_by_namespace_, known.meta().ns, [&](const ObjectRef& budget) {
        if ((before && covers(budget, before.meta())) || (after && covers(budget, after.meta()))) enqueue(budget);
      });
      if (after && stale_after(after)) enqueue(std::string(pod_key) + client::key_of(after));
    });
  }

 private:
  Task<Result<void>> reconcile(std::string key) override {
    if (key.starts_with(pod_key)) co_return co_await clear_stale_condition(key.substr(pod_key.size()));
    const ObjectRef budget = budgets_.get(key);
    if (!budget || !budget.meta().deletion_timestamp.empty()) co_return {};
    auto counts = co_await count(budget);
    if (counts) co_return co_await write_status(budget, *counts, nullptr);
    // Nothing may be disrupted while it is not known how many there should be.
    const auto& status = budget.as<PodDisruptionBudget>().status;
    Counts safe{.expected = status.expectedPods.value_or(0),
                .desired = status.desiredHealthy.value_or(0),
                .healthy = status.currentHealthy.value_or(0)};
    safe.disrupted = status.disruptedPods;
    co_return co_await write_status(budget, safe, &counts.error());
  }

  // --- counting ------------------------------------------------------------------------------------------------------

  Task<Result<Counts>> count(ObjectRef budget) {
    std::vector<ObjectRef> pods;
    pods_.each(pods_by_namespace_, budget.meta().ns, [&](const ObjectRef& pod) {
      if (covers(budget, pod.meta())) pods.push_back(pod);
    });
    if (pods.empty()) events_.record(budget, EventType::normal, "NoPods", "No matching pods found");
    Counts counts;
    const auto& spec = budget.as<PodDisruptionBudget>().spec;
    if (spec.minAvailable.is_number() && !spec.maxUnavailable) {
      counts.expected = int64_t(pods.size());
      counts.desired = spec.minAvailable.number;
    } else if (auto expected = co_await expected_scale(budget, pods); !expected) {
      events_.record(budget, EventType::warning, "CalculateExpectedPodCountFailed",
                     "Failed to calculate the number of expected pods: " + expected.error().message);
      co_return std::unexpected(std::move(expected.error()));
    } else {
      counts.expected = *expected;
      const auto& bound = spec.maxUnavailable ? spec.maxUnavailable : spec.minAvailable;
      const int64_t part = bound ? CO_TRY(bound.scaled(int32_t(*expected), true)) : 0;
      counts.desired = spec.maxUnavailable ? std::max<int64_t>(0, *expected - part) : part;
    }
    note_disrupted(budget, pods, counts);
    for (const ObjectRef& pod : pods)
      if (pod.meta().deletion_timestamp.empty() && !counts.disrupted.contains(pod.meta().name) && is_ready(pod.as<Pod>())) ++counts.healthy;
    counts.allowed = counts.expected > 0 ? std::max<int64_t>(0, counts.healthy - counts.desired) : 0;
    co_return counts;
  }

  /// How many pods the owners of these want together. Pods without an owner are told of and not counted.
  Task<Result<int64_t>> expected_scale(ObjectRef budget, const std::vector<ObjectRef>& pods) {
    std::map<std::string, int64_t> scales;  // by the UID of what is scaled
    std::map<std::string, bool> asked;      // owners, by UID
    bool unmanaged = false;
    for (const ObjectRef& pod : pods) {
      const model::Owner* owner = pod.meta().controller();
      unmanaged |= !owner;
      if (!owner || !asked.emplace(owner->uid, true).second) continue;
      const auto scale = CO_TRY(co_await scales_.of(*owner, pod.meta().ns));
      if (!scale) co_return fail(Code::not_found, "found no controllers for pod \"" + pod.meta().name + "\"");
      scales[scale->uid] = scale->replicas;
    }
    if (unmanaged)
      events_.record(
          budget, EventType::warning, "UnmanagedPods",
          "Pods selected by this PodDisruptionBudget were found to be unmanaged. As a result, the status of the PDB cannot be calculated "
          "correctly, which may result in undefined behavior. To account for these pods please set \".spec.minAvailable\" field of the PDB "
          "to an "
          "integer value.");
    int64_t sum = 0;
    for (const auto& [uid, replicas] : scales) sum += replicas;
    co_return sum;
  }

  /// Pods whose eviction was granted and that are not yet being deleted.
  void note_disrupted(const ObjectRef& budget, const std::vector<ObjectRef>& pods, Counts& counts) {
    const auto& granted = budget.as<PodDisruptionBudget>().status.disruptedPods;
    for (const ObjectRef& pod : pods) {
      const auto since = granted.find(pod.meta().name);
      if (since == granted.end() || !pod.meta().deletion_timestamp.empty()) continue;
      const WallTime until = time_or_epoch(since->second) + deletion_timeout;
      if (until <= wall_now()) {
        events_.record(pod, EventType::warning, "NotDeleted",
                       "Pod was expected by PDB " + client::key_of(budget) + " to be deleted but it wasn't");
        continue;
      }
      counts.disrupted.insert(*since);
      enqueue_after(client::key_of(budget), until - wall_now());
    }
  }

  // --- status --------------------------------------------------------------------------------------------------------

  Task<Result<void>> write_status(ObjectRef budget, const Counts& counts, const Error* failed) {
    const auto& status = budget.as<PodDisruptionBudget>().status;
    const std::string reason = failed ? "SyncFailed" : counts.allowed > 0 ? "SufficientPods" : "InsufficientPods";
    const std::string is = counts.allowed > 0 ? "True" : "False";
    const model::meta_v1::Condition* condition = nullptr;
    for (const auto& each : status.conditions)
      if (each.type == "DisruptionAllowed") condition = &each;
    const int64_t generation = failed ? status.observedGeneration.value_or(0) : budget.meta().generation;
    const std::string message = failed ? failed->message : "";
    if (status.currentHealthy == counts.healthy && status.desiredHealthy == counts.desired && status.expectedPods == counts.expected &&
        status.disruptionsAllowed == counts.allowed && status.disruptedPods == counts.disrupted &&
        status.observedGeneration.value_or(0) == generation && condition && condition->status == is && condition->reason == reason &&
        condition->message == message)
      co_return {};
    client::JsonWriter json;
    // An eviction that takes from the budget meanwhile must not be undone.
    json.object().object("metadata").field("resourceVersion", budget.resource_version()).end();
    json.object("status").field("observedGeneration", generation).field("disruptionsAllowed", counts.allowed);
    json.field("currentHealthy", counts.healthy).field("desiredHealthy", counts.desired).field("expectedPods", counts.expected);
    json.object("disruptedPods");
    for (const auto& [pod, since] : status.disruptedPods)
      if (!counts.disrupted.contains(pod)) json.null(pod);
    for (const auto& [pod, since] : counts.disrupted) json.field(pod, since);
    json.end().array("conditions");
    for (const auto& each : status.conditions)
      if (each.type != "DisruptionAllowed") write_condition(json, each);
    const bool turned = !condition || condition->status != is;
    write_condition(json, {.type = "DisruptionAllowed",
                           .status = is,
                           .observedGeneration = generation,
                           .lastTransitionTime = turned ? format_rfc3339(wall_now()) : condition->lastTransitionTime,
                           .reason = reason,
                           .message = message});
    json.end().end().end();
    co_return co_await patch_status(budgets_, budget, json.take());
  }

  static void write_condition(client::JsonWriter& json, const model::meta_v1::Condition& condition) {
    json.object().field("type", condition.type).field("status", condition.status);
    if (condition.observedGeneration.value_or(0) != 0) json.field("observedGeneration", *condition.observedGeneration);
    json.field("lastTransitionTime", condition.lastTransitionTime)
        .field("reason", condition.reason)
        .field("message", condition.message)
        .end();
  }

  // --- pods that were to be disrupted --------------------------------------------------------------------------------

  /// When the condition of a pod that was to be disrupted, but runs on, is taken back; nullopt when there is none to take back.
  static std::optional<WallTime> stale_after(const ObjectRef& pod) {
    const Pod& typed = pod.as<Pod>();
    const auto* condition = find_condition(typed, "DisruptionTarget");
    if (!condition || condition->status != "True" || condition->reason == "TerminationByKubelet" || !is_active(pod)) return std::nullopt;
    return time_or_epoch(condition->lastTransitionTime) + stale_disruption_timeout;
  }

  Task<Result<void>> clear_stale_condition(std::string key) {
    const ObjectRef pod = pods_.get(key);
    const auto at = pod ? stale_after(pod) : std::nullopt;
    if (!at) co_return {};
    if (*at > wall_now()) {
      enqueue_after(std::string(pod_key) + key, *at - wall_now());
      co_return {};
    }
    const json::Document parsed = CO_TRY(json::Document::parse(pod.object->json()));
    client::JsonWriter json;
    json.object().object("metadata").field("resourceVersion", pod.resource_version()).end().object("status").array("conditions");
    for (const json::Node& condition : *parsed.root().at("status", "conditions")) {
      if (condition.string_at("type") != "DisruptionTarget") json.raw_value(json::print(condition));
      else
        json.object()
            .field("type", "DisruptionTarget")
            .field("status", "False")
            .field("lastTransitionTime", format_rfc3339(wall_now()))
            .end();
    }
    json.end().end().end();
    co_return co_await patch_status(pods_, pod, json.take());
  }

  client::Informer& budgets_;
  client::Informer& pods_;
  OwnerScales scales_;
  const client::Informer::Index budgets_by_namespace_, pods_by_namespace_;
};

}  // namespace

std::unique_ptr<Controller> make_disruption_controller(Context& context) { return std::make_unique<DisruptionController>(context); }

}  // namespace estiba::controllers
