// Pods that use devices with the taint NoExecute, of a slice or by a DeviceTaintRule, are deleted when what their claims' requests tolerate
// has ended (KEP 5055). DeviceTaintRules are told what they come to, at most every ten seconds.
#include <map>
#include <set>

#include "base/time.h"
#include "client/json_writer.h"
#include "controllers/device_evictions.h"
#include "controllers/device_rule_status.h"
#include "controllers/framework.h"
#include "controllers/pod_facts.h"
#include "controllers/table.h"

namespace estiba::controllers {

using client::DeviceTaintRule;
using model::ObjectRef;
using model::core_v1::Pod;
using namespace std::chrono_literals;

namespace {

constexpr Duration rule_status_period = 10s;
constexpr std::string_view rule_condition_type = "EvictionInProgress";
constexpr std::string_view evicted_reason = "DeletionByDeviceTaintManager";
constexpr std::string_view evicted_message = "Device Taint manager: deleting due to NoExecute taint";

bool same_claims(const Pod& a, const Pod& b) {
  const auto &x = a.status.resourceClaimStatuses, &y = b.status.resourceClaimStatuses;
  return std::equal(x.begin(), x.end(), y.begin(), y.end(), [](const auto& one, const auto& other) {
    return one.name == other.name && one.resourceClaimName == other.resourceClaimName;
  });
}

std::string eviction_patch(const ObjectRef& pod, WallTime now) {
  client::JsonWriter json;
  json.object().object("metadata").field("uid", pod.meta().uid).end().object("status").array("conditions");
  json.object().field("type", "DisruptionTarget").field("status", "True").field("lastTransitionTime", format_rfc3339(now));
  json.field("reason", evicted_reason).field("message", evicted_message).end();
  json.end().end().end();
  return json.take();
}

bool is_told(const ObjectRef& pod) {
  const auto* condition = find_condition(pod.as<Pod>(), "DisruptionTarget");
  return condition && condition->status == "True" && condition->reason == evicted_reason && condition->message == evicted_message;
}

class DeviceTaintEviction final : public Controller {
 public:
  explicit DeviceTaintEviction(Context& context)
      : Controller(context, "device-taint-eviction", {.workers = 4}),
        pods_(informer(client::pods)),
        claims_(informer(client::resource_claims)),
        slices_(informer(client::resource_slices)),
        rules_(informer(client::device_taint_rules)) {
    pods_.on_change([this](const ObjectRef& before, const ObjectRef& after) { pod_changed(before, after); });
    claims_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      if (is_quiet()) return;
      if (before) enqueue_users(before);
      if (after) enqueue_users(after);
    });
    slices_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      const auto changed = tainted_.set((after ? after : before).meta().name, after);
      if (!changed.empty()) enqueue_users_of([&](const DeviceName& device) { return changed.contains(device); });
    });
    rules_.on_change([this](const ObjectRef& before, const ObjectRef& after) { rule_changed(before, after); });
  }

 private:
  /// Nothing evicts anybody, and nobody waits for it.
  bool is_quiet() const { return tainted_.empty() && evicting_.empty() && pending_.empty(); }

  void pod_changed(const ObjectRef& before, const ObjectRef& after) {
    if (!after) {
      pending_.erase(client::key_of(before));
      return;
    }
    const Pod& pod = after.as<Pod>();
    if (pod.spec.resourceClaims.empty() || pod.spec.nodeName.empty() || is_quiet()) return;
    if (before && before.as<Pod>().spec.nodeName == pod.spec.nodeName && same_claims(before.as<Pod>(), pod)) return;
    enqueue("pod:" + client::key_of(after));
  }

  void rule_changed(const ObjectRef& before, const ObjectRef& after) {
    const std::string& name = (after ? after : before).meta().name;
    const auto was = before ? client::read_device_taint_rule(before) : std::nullopt;
    const auto is = after ? client::read_device_taint_rule(after) : std::nullopt;
    if (before && after && before.meta().generation == after.meta().generation) return;
    if (!after) evicted_.erase(before.meta().uid);
    evicting_.erase(name);
    if (is && is->taint.effect == "NoExecute") evicting_.insert_or_assign(name, *is);
    if (after) enqueue("rule:" + name);
    enqueue_users_of([&](const DeviceName& device) {
      return (was && was->taint.effect == "NoExecute" && selects(*was, device)) ||
             (is && is->taint.effect == "NoExecute" && selects(*is, device));
    });
  }

  void enqueue_users(const ObjectRef& claim) {
    if (const auto read = AllocatedClaim::read(claim))
      for (const std::string& pod : read->pods) enqueue("pod:" + client::key_of(claim.meta().ns, pod));
  }

  template <class F>
  void enqueue_users_of(F&& concerned) {
    claims_.each([&](const ObjectRef& claim) {
      const auto read = AllocatedClaim::read(claim);
      if (!read || std::ranges::none_of(read->results, concerned, &AllocatedClaim::Result::device)) return;
      for (const std::string& pod : read->pods) enqueue("pod:" + client::key_of(claim.meta().ns, pod));
    });
  }

  Task<Result<void>> reconcile(std::string key) override {
    const std::string name = key.substr(key.find(':') + 1);
    if (key.starts_with("pod:")) return sync_pod(name);
    return sync_rule(name);
  }

  std::optional<DeviceEviction> eviction_of_pod(const ObjectRef& pod, const EvictingRules& rules) const {
    std::optional<DeviceEviction> out;
    if (pod.as<Pod>().spec.nodeName.empty()) return out;
    for (const client::PodClaim& each : client::pod_claims(pod.as<Pod>())) {
      const ObjectRef claim = each.claim.empty() ? ObjectRef{} : claims_.get(pod.meta().ns, each.claim);
      if (!claim || (each.made && !client::is_claim_for(claim.meta(), pod.meta()))) continue;
      const auto read = AllocatedClaim::read(claim);
      if (!read || !std::ranges::contains(read->pod_uids, pod.meta().uid)) continue;
      const auto eviction = eviction_of(*read, tainted_, rules);
      if (!eviction) continue;
      if (out) out->join(*eviction);
      else out = eviction;
    }
    return out;
  }

  Task<Result<void>> sync_pod(std::string key) {
    const ObjectRef pod = pods_.get(key);
    if (!pod || !pod.meta().deletion_timestamp.empty()) {
      pending_.erase(key);
      co_return {};
    }
    const auto eviction = eviction_of_pod(pod, evicting_);
    if (!eviction) {
      if (pending_.erase(key)) events_.record(pod, client::EventType::normal, "DeviceTaintManagerEviction", "Cancelling deletion");
      co_return {};
    }
    pending_.insert(key);
    tell_rules(eviction->rules);
    if (const Duration left = eviction->at - wall_now(); left > Duration{}) {
      enqueue_after("pod:" + key, left);
      co_return {};
    }
    const bool gone = CO_TRY(co_await evict(pod));
    pending_.erase(key);
    if (gone) co_return {};
    for (const std::string& rule : eviction->rules) ++evicted_[rule];
    co_return {};
  }

  /// Whether somebody else was faster.
  Task<Result<bool>> evict(ObjectRef pod) {
    const std::string what = "evict pod " + client::key_of(pod);
    events_.record(pod, client::EventType::normal, "DeviceTaintManagerEviction", "Marking for deletion");
    if (!is_told(pod)) {
      auto written = co_await client_.patch(client::pods, pod.meta().ns, pod.meta().name, client::PatchType::strategic,
                                            eviction_patch(pod, wall_now()), {.subresource = "status"});
      if (!written && (written.error().code == Code::not_found || written.error().code == Code::conflict)) co_return true;
      if (!written) co_return std::unexpected(std::move(written.error()).context(what));
    }
    auto removed = co_await client_.remove(client::pods, pod.meta().ns, pod.meta().name, {.uid = pod.meta().uid});
    if (!removed && (removed.error().code == Code::not_found || removed.error().code == Code::conflict)) co_return true;
    if (!removed) co_return std::unexpected(std::move(removed.error()).context(what));
    co_return false;
  }

  /// More pods may change yet: not at once.
  void tell_rules(const std::set<std::string>& uids) {
    for (const auto& [name, rule] : evicting_)
      if (uids.contains(rule.uid)) enqueue_after("rule:" + name, rule_status_period);
  }

  Task<Result<void>> sync_rule(std::string name) {
    const ObjectRef object = rules_.get(name);
    const auto rule = object ? client::read_device_taint_rule(object) : std::nullopt;
    if (!rule) co_return {};
    const auto document = CO_TRY(json::Document::parse(object.object->json()));
    const json::Node* conditions = document.root().at("status", "conditions");
    const json::Node* known = nullptr;
    if (conditions)
      for (const json::Node& each : *conditions)
        if (each.string_at("type") == rule_condition_type) known = &each;
    const json::Node* observed = known ? known->find("observedGeneration") : nullptr;
    const bool current = observed && observed->as_int().value_or(0) == object.meta().generation;
    if (current) {
      // The time of the transition is that of the last change of any kind.
      const Duration left = time_or_epoch(known->string_at("lastTransitionTime")) + rule_status_period - wall_now();
      if (left > Duration{}) {
        enqueue_after("rule:" + name, left);
        co_return {};
      }
    }
    const RuleCondition now = rule_condition(rule->taint.effect, tally(*rule));
    if (current && known->string_at("reason") == now.reason && known->string_at("message") == now.message &&
        known->string_at("status") == (now.in_progress ? "True" : "False"))
      co_return {};
    client::JsonWriter json;
    json.object().object("metadata").field("uid", rule->uid).field("resourceVersion", object.resource_version()).end();
    json.object("status").array("conditions");
    if (conditions)
      for (const json::Node& each : *conditions)
        if (&each != known) json.raw_value(json::print(each));
    json.object().field("type", rule_condition_type).field("status", now.in_progress ? "True" : "False");
    json.field("observedGeneration", object.meta().generation).field("lastTransitionTime", format_rfc3339(wall_now()));
    json.field("reason", now.reason).field("message", now.message).end();
    json.end().end().end();
    co_return co_await patch_status(rules_, object, json.take());
  }

  RuleTally tally(const DeviceTaintRule& rule) const {
    RuleTally out;
    if (const auto found = evicted_.find(rule.uid); found != evicted_.end()) out.evicted = found->second;
    if (rule.taint.effect != "NoExecute" && rule.taint.effect != "None") return out;
    EvictingRules rules = evicting_;
    rules.insert_or_assign(rule.name, rule);
    std::set<std::string> namespaces;
    pods_.each([&](const ObjectRef& pod) {
      if (pod.as<Pod>().spec.resourceClaims.empty() || !pod.meta().deletion_timestamp.empty()) return;
      const auto eviction = eviction_of_pod(pod, rules);
      if (!eviction || !eviction->rules.contains(rule.uid)) return;
      ++out.pods;
      namespaces.insert(pod.meta().ns);
    });
    out.namespaces = int64_t(namespaces.size());
    if (rule.taint.effect == "None") count_devices(rule, out);
    return out;
  }

  void count_devices(const DeviceTaintRule& rule, RuleTally& out) const {
    std::map<std::pair<std::string, std::string>, int64_t> newest;  // generation, by driver and pool
    std::vector<SliceTaints> slices;
    slices_.each([&](const ObjectRef& object) {
      if (auto slice = SliceTaints::read(object)) slices.push_back(std::move(*slice));
    });
    for (const SliceTaints& slice : slices) {
      int64_t& generation = newest.try_emplace({slice.driver, slice.pool}, slice.generation).first->second;
      generation = std::max(generation, slice.generation);
    }
    for (const SliceTaints& slice : slices) {
      if (slice.generation != newest[{slice.driver, slice.pool}]) continue;
      out.published += std::ranges::count_if(
          slice.devices, [&](const std::string& device) { return selects(rule, DeviceName{slice.driver, slice.pool, device}); });
    }
    claims_.each([&](const ObjectRef& claim) {
      if (const auto read = AllocatedClaim::read(claim))
        out.allocated += std::ranges::count_if(read->results, [&](const auto& result) { return selects(rule, result.device); });
    });
  }

  client::Informer& pods_;
  client::Informer& claims_;
  client::Informer& slices_;
  client::Informer& rules_;
  TaintedDevices tainted_;
  EvictingRules evicting_;
  std::set<std::string> pending_;           // pods that are to go, by key
  std::map<std::string, int64_t> evicted_;  // pods, by the UID of the rule
};

}  // namespace

std::unique_ptr<Controller> make_device_taint_eviction(Context& context) { return std::make_unique<DeviceTaintEviction>(context); }

}  // namespace estiba::controllers
