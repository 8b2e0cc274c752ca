// HorizontalPodAutoscaler: every quarter of a minute the target gets as many replicas as its metrics ask for.
#include <algorithm>
#include <map>

#include "base/strings.h"
#include "base/time.h"
#include "client/json_writer.h"
#include "controllers/autoscaler_limits.h"
#include "controllers/autoscaler_metrics.h"
#include "controllers/autoscaler_target.h"
#include "controllers/framework.h"
#include "controllers/table.h"
#include "model/quantity.h"
#include "model/types/core_v1.h"

namespace estiba::controllers {

using client::EventType;
using model::ObjectRef;
using namespace model::autoscaling_v2;
using namespace std::chrono_literals;

namespace {

constexpr client::Resource autoscalers_resource{"autoscaling", "v2", "horizontalpodautoscalers"};
constexpr Duration period = 15s;

// What one round works on.
struct Round {
  ObjectRef object;
  HorizontalPodAutoscalerSpec spec;
  HorizontalPodAutoscalerStatus status;  // becomes the new one
  ScaleTarget target;
  model::LabelSelector selector;  // of the target's pods
  std::vector<ObjectRef> pods;
  Tolerances tolerances;
  WallTime now{};
};

struct Asked {
  int32_t replicas = 0;
  std::string metric;
  MetricStatus status;
};

void set_condition(Round& round, std::string_view type, bool status, std::string_view reason, std::string message) {
  auto& conditions = round.status.conditions;
  auto found = std::find_if(conditions.begin(), conditions.end(), [&](const auto& each) { return each.type == type; });
  if (found == conditions.end()) {
    conditions.push_back({.type = std::string(type)});
    found = conditions.end() - 1;
  }
  const std::string_view text = status ? "True" : "False";
  if (found->status != text) found->lastTransitionTime = format_rfc3339(round.now);
  found->status = text;
  found->reason = reason;
  found->message = std::move(message);
}

// Whoever scales a target to zero by hand switches scaling off; where the autoscaler has done it, it goes on (KEP 2021, HPAScaleToZero).
constexpr std::string_view scaled_to_zero = "ScaledToZero";

bool was_scaled_to_zero(const Round& round) {
  return std::ranges::any_of(round.status.conditions,
                             [](const auto& each) { return each.type == scaled_to_zero && each.status == "True"; });
}

/// Metrics that there are without pods.
bool has_values(const HorizontalPodAutoscalerSpec& spec) {
  return std::ranges::any_of(spec.metrics, [](const MetricSpec& metric) { return metric.type == "Object" || metric.type == "External"; });
}

std::string milli(int64_t value) { return model::Quantity::milli(value).print(); }

// Memory is shown in binary units, as metrics.k8s.io shows it.
std::string usage_text(const std::string& resource, int64_t value) {
  if (resource == "memory" && value % 1000 == 0) return model::Quantity::of(value / 1000, model::Quantity::Format::binary).print();
  return milli(value);
}

Tolerances tolerances_of(const HorizontalPodAutoscalerSpec& spec) {
  Tolerances tolerances;
  const auto take = [](const auto& rules, double& into) {
    if (!rules || rules->tolerance.empty()) return;
    if (auto parsed = model::Quantity::parse(rules->tolerance)) into = parsed->to_double();
  };
  if (spec.behavior) take(spec.behavior->scaleUp, tolerances.up), take(spec.behavior->scaleDown, tolerances.down);
  return tolerances;
}

class Autoscaler final : public Controller {
 public:
  explicit Autoscaler(Context& context)
      : Controller(context, "horizontal-pod-autoscaler", {.workers = 5}),
        autoscalers_(informer(autoscalers_resource)),
        pods_(informer(client::pods)),
        definitions_(informer(custom_resource_definitions)),
        pods_by_namespace_(pods_.namespace_index()),
        metrics_(client_, context.options.extensions) {
    // Our own writes of the status must not lead to the next round.
    autoscalers_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      const ObjectRef& known = after ? after : before;
      if (!before || !after || !model::same(before.as<HorizontalPodAutoscaler>().spec, after.as<HorizontalPodAutoscaler>().spec))
        enqueue(known);
    });
  }

 private:
  Task<Result<void>> reconcile(std::string key) override {
    const ObjectRef object = autoscalers_.get(key);
    if (!object || !object.meta().deletion_timestamp.empty()) {
      memories_.erase(key);
      selectors_.erase(key);
      co_return {};
    }
    // Whatever comes of this round, the next one follows it: failing is no reason to ask more often.
    enqueue_after(key, period);
    const auto& typed = object.as<HorizontalPodAutoscaler>();
    Round round{.object = object, .spec = typed.spec, .status = typed.status, .tolerances = tolerances_of(typed.spec), .now = wall_now()};
    if (round.spec.metrics.empty()) {
      // What the API fills in for who names no metric: 80 per cent of the processor that the pods ask for.
      MetricSpec usual{.type = "Resource"};
      usual.resource.ensure() = {.name = "cpu", .target = {.type = "Utilization", .averageUtilization = 80}};
      round.spec.metrics.push_back(std::move(usual));
    }
    co_await run(round, key);
    co_return co_await write_status(round);
  }

  Task<void> run(Round& round, const std::string& key) {
    auto target = co_await find_target(client_, definitions_, round.spec.scaleTargetRef, round.object.meta().ns);
    if (!target) {
      const std::string& why = target.error().message;
      events_.record(round.object, EventType::warning, "FailedGetScale", why);
      set_condition(round, "AbleToScale", false, "FailedGetScale",
                    "the HPA controller was unable to get the target's current scale: " + why);
      co_return;
    }
    round.target = std::move(*target);
    set_condition(round, "AbleToScale", true, "SucceededGetScale", "the HPA controller was able to get the target's current scale");
    AutoscalerMemory& memory = memories_[key];
    const int32_t current = round.target.replicas, least = round.spec.minReplicas.value_or(1);
    memory.begin(current, round.now);
    round.status.currentReplicas = current;
    round.status.currentMetrics.clear();
    int32_t desired = current;
    std::string reason;
    const bool from_zero = current == 0 && was_scaled_to_zero(round) && (least != 0 || has_values(round.spec));
    if (current == 0 && !from_zero) {
      set_condition(round, "ScalingActive", false, "ScalingDisabled", "scaling is disabled since the replica count of the target is zero");
    } else if (current > round.spec.maxReplicas) {
      desired = round.spec.maxReplicas;
      reason = "Current number of replicas above Spec.MaxReplicas";
    } else if (current < least && !from_zero) {
      desired = least;
      reason = "Current number of replicas below Spec.MinReplicas";
    } else {
      auto asked = co_await ask_metrics(round, key);
      if (!asked) {
        events_.record(round.object, EventType::warning, "FailedComputeMetricsReplicas", asked.error().message);
        co_return;
      }
      if (asked->replicas > current) reason = asked->metric + " above target";
      if (asked->replicas < current) reason = "All metrics below target";
      Limited limited = limit_replicas(round.spec, memory, current, asked->replicas, round.now);
      set_condition(round, "AbleToScale", true, limited.able_reason, std::move(limited.able_message));
      set_condition(round, "ScalingLimited", limited.is_limited, limited.limited_reason, std::move(limited.limited_message));
      desired = limited.replicas;
      if (from_zero && desired < least) {
        desired = least;
        if (reason.empty()) reason = "Current number of replicas below Spec.MinReplicas";
      }
    }
    if (desired != current && !co_await scale(round, desired, reason)) co_return;
    round.status.desiredReplicas = desired;
    if (desired == current) co_return;
    const bool to_zero = current > 0 && desired == 0 && least == 0 && has_values(round.spec);
    set_condition(round, scaled_to_zero, to_zero, to_zero ? "ScaledToZero" : "NotScaledToZero",
                  to_zero ? "the HPA controller scaled the workload to zero" : "the HPA controller did not scale the workload to zero");
    round.status.lastScaleTime = format_rfc3339(round.now);
    if (round.spec.behavior) memory.changed(complete_behavior(*round.spec.behavior), current, desired, round.now);
  }

  Task<bool> scale(Round& round, int32_t desired, const std::string& reason) {
    client::JsonWriter json;
    json.object().object("spec").field("replicas", desired).end().end();
    auto written = co_await client_.patch(round.target.resource, round.object.meta().ns, round.target.name, client::PatchType::merge,
                                          json.take(), {.subresource = "scale"});
    const std::string size = "New size: " + std::to_string(desired) + "; reason: " + reason;
    if (!written) {
      const std::string& why = written.error().message;
      events_.record(round.object, EventType::warning, "FailedRescale", size + "; error: " + why);
      set_condition(round, "AbleToScale", false, "FailedUpdateScale", "the HPA controller was unable to update the target scale: " + why);
      co_return false;
    }
    set_condition(round, "AbleToScale", true, "SucceededRescale",
                  "the HPA controller was able to update the target scale to " + std::to_string(desired));
    events_.record(round.object, EventType::normal, "SuccessfulRescale", size);
    co_return true;
  }

  // --- metrics -------------------------------------------------------------------------------------------------------

  /// The most that any metric asks for. Metrics that cannot be had keep the target from shrinking, not from growing.
  Task<Result<Asked>> ask_metrics(Round& round, const std::string& key) {
    round.status.currentMetrics.assign(round.spec.metrics.size(), {});
    CO_TRY(select_pods(round, key));
    Asked most;
    size_t failed = 0;
    Error first;
    std::string first_reason;
    for (size_t i = 0; i < round.spec.metrics.size(); ++i) {
      std::string failure_reason;
      auto asked = co_await ask(round, round.spec.metrics[i], failure_reason);
      if (asked) {
        round.status.currentMetrics[i] = asked->status;
        if (most.replicas == 0 || asked->replicas > most.replicas) most = std::move(*asked);
        continue;
      }
      events_.record(round.object, EventType::warning, failure_reason, asked.error().message);
      if (failed++ == 0) first = std::move(asked.error()), first_reason = failure_reason;
    }
    if (failed == round.spec.metrics.size() || (failed > 0 && most.replicas < round.target.replicas)) {
      set_condition(round, "ScalingActive", false, first_reason, "the HPA was unable to compute the replica count: " + first.message);
      co_return fail(first.code, "invalid metrics (" + std::to_string(failed) + " invalid out of " +
                                     std::to_string(round.spec.metrics.size()) + "), first error is: " + first.message);
    }
    set_condition(round, "ScalingActive", true, "ValidMetricFound",
                  "the HPA was able to successfully calculate a replica count from " + most.metric);
    co_return most;
  }

  /// The target's pods, unless another autoscaler has them too.
  Result<void> select_pods(Round& round, const std::string& key) {
    selectors_.erase(key);
    const auto refuse = [&](std::string_view event, std::string_view reason, std::string message, std::string condition) {
      events_.record(round.object, EventType::warning, event, message);
      set_condition(round, "ScalingActive", false, reason, std::move(condition));
      return fail(Code::invalid, std::move(message));
    };
    if (round.target.selector.empty())
      return refuse("SelectorRequired", "InvalidSelector", "selector is required", "the HPA target's scale is missing a selector");
    auto selector = model::LabelSelector::parse(round.target.selector);
    if (!selector) {
      const std::string message = "couldn't convert selector into a corresponding internal selector object: " + selector.error().message;
      return refuse("InvalidSelector", "InvalidSelector", message, message);
    }
    round.selector = selectors_[key] = std::move(*selector);
    const std::string& ns = round.object.meta().ns;
    std::vector<std::string> others;
    pods_.each(pods_by_namespace_, ns, [&](const ObjectRef& pod) {
      if (round.selector.matches(pod.meta().labels)) round.pods.push_back(pod);
    });
    for (const auto& [other, theirs] : selectors_) {
      if (client::split_key(other).first != ns) continue;
      const bool shared =
          std::any_of(round.pods.begin(), round.pods.end(), [&](const ObjectRef& pod) { return theirs.matches(pod.meta().labels); });
      if (shared) others.push_back("{" + client::split_key(other).second + " " + ns + "}");
    }
    if (others.size() < 2) return {};
    std::string list;
    for (const std::string& other : others) list += (list.empty() ? "" : " ") + other;
    const std::string message = "pods by selector " + round.target.selector + " are controlled by multiple HPAs: [" + list + "]";
    return refuse("AmbiguousSelector", "AmbiguousSelector", message, message);
  }

  Task<Result<Asked>> ask(Round& round, const MetricSpec& metric, std::string& failure_reason) {
    failure_reason = "FailedGet" + metric.type + "Metric";
    if (metric.resource) co_return co_await ask_resource(round, "Resource", metric.resource->name, "", metric.resource->target);
    if (metric.containerResource)
      co_return co_await ask_resource(round, "ContainerResource", metric.containerResource->name, metric.containerResource->container,
                                      metric.containerResource->target);
    if (metric.pods) co_return co_await ask_pods(round, *metric.pods);
    if (metric.object) co_return co_await ask_object(round, *metric.object);
    if (metric.external) co_return co_await ask_external(round, *metric.external);
    failure_reason = "InvalidMetricSourceType";
    co_return fail(Code::invalid, "unknown metric source type " + quoted(metric.type));
  }

  PodSample sample(const Round& round, PodMetrics metrics, std::string resource) const {
    return {round.pods, std::move(metrics), std::move(resource), round.target.replicas, round.tolerances, round.now};
  }

  Task<Result<Asked>> ask_resource(Round& round, std::string_view type, std::string resource, std::string container, MetricTarget target) {
    const bool by_value = !target.averageValue.empty();
    const std::string about = "failed to get " + resource + (by_value ? " usage" : " utilization");
    PodMetrics metrics = CO_TRY_AS(about, within("unable to get metrics for resource " + resource,
                                                 co_await metrics_.of_resource(round.object.meta().ns, resource, container, round.pods)));
    if (!by_value && !target.averageUtilization)
      co_return fail(Code::invalid,
                     "invalid resource metric source: neither an average utilization target nor an average value (usage) target was set");
    PodSample from = sample(round, std::move(metrics), resource);
    const Proposal proposal =
        CO_TRY_AS(about, by_value ? replicas_for_average(std::move(from), model::quantity_to_milli(target.averageValue))
                                  : replicas_for_utilization(std::move(from), *target.averageUtilization, container));
    Asked asked{proposal.replicas, resource + " resource", {.type = std::string(type)}};
    if (!by_value) asked.metric = resource + (container.empty() ? "" : " container") + " resource utilization (percentage of request)";
    const MetricValueStatus value{.averageValue = usage_text(resource, proposal.usage), .averageUtilization = proposal.utilization};
    if (container.empty()) asked.status.resource.ensure() = {.name = resource, .current = value};
    else asked.status.containerResource.ensure() = {.name = resource, .current = value, .container = container};
    co_return asked;
  }

  Task<Result<Asked>> ask_pods(Round& round, const PodsMetricSource& source) {
    PodMetrics metrics = CO_TRY_AS("unable to get metric " + source.metric.name,
                                   co_await metrics_.of_pods(round.object.meta().ns, source.metric, round.selector));
    const Proposal proposal =
        CO_TRY(replicas_for_average(sample(round, std::move(metrics), ""), model::quantity_to_milli(source.target.averageValue)));
    Asked asked{proposal.replicas, "pods metric " + source.metric.name, {.type = "Pods"}};
    asked.status.pods.ensure() = {.metric = source.metric, .current = {.averageValue = milli(proposal.usage)}};
    co_return asked;
  }

  Task<Result<Asked>> ask_object(Round& round, const ObjectMetricSource& source) {
    const std::string& ns = round.object.meta().ns;
    const auto& described = source.describedObject;
    const std::string about = "unable to get metric " + source.metric.name + " on " + described.kind + " " + ns + "/" + described.name;
    const std::string resource = CO_TRY_AS(about, resource_name(definitions_, described));
    const int64_t usage = CO_TRY_AS(about, co_await metrics_.of_object(ns, source.metric, resource, described.name));
    Asked asked{0, described.kind + " metric " + source.metric.name, {.type = "Object"}};
    auto& status = asked.status.object.ensure() = {.metric = source.metric, .describedObject = described};
    CO_TRY(take_value(round, source.target, usage, asked, status.current, "object"));
    co_return asked;
  }

  Task<Result<Asked>> ask_external(Round& round, const ExternalMetricSource& source) {
    const int64_t usage = CO_TRY_AS("unable to get external metric " + round.object.meta().ns + "/" + source.metric.name,
                                    co_await metrics_.external(round.object.meta().ns, source.metric));
    Asked asked{0, "external metric " + source.metric.name, {.type = "External"}};
    auto& status = asked.status.external.ensure() = {.metric = source.metric};
    CO_TRY(take_value(round, source.target, usage, asked, status.current, "external"));
    co_return asked;
  }

  /// One value for all pods: compared with the target as it is, or divided among the pods first.
  static Result<void> take_value(const Round& round, const MetricTarget& target, int64_t usage, Asked& asked, MetricValueStatus& current,
                                 std::string_view source) {
    if (!target.averageValue.empty()) {
      const Proposal proposal =
          replicas_for_value_per_pod(round.target.status_replicas, usage, model::quantity_to_milli(target.averageValue), round.tolerances);
      asked.replicas = proposal.replicas;
      current.averageValue = milli(proposal.usage);
    } else if (!target.value.empty()) {
      asked.replicas =
          TRY(replicas_for_value(round.pods, round.target.replicas, usage, model::quantity_to_milli(target.value), round.tolerances))
              .replicas;
      current.value = milli(usage);
    } else {
      return fail(Code::invalid,
                  "invalid " + std::string(source) + " metric source: neither a value target nor an average value target was set");
    }
    return {};
  }

  // --- status --------------------------------------------------------------------------------------------------------

  Task<Result<void>> write_status(Round& round) {
    if (model::same(round.status, round.object.as<HorizontalPodAutoscaler>().status)) co_return {};
    client::JsonWriter json;
    json.object().object("status").field("desiredReplicas", round.status.desiredReplicas);
    json.field("currentReplicas", round.status.currentReplicas.value_or(0));
    if (!round.status.lastScaleTime.empty()) json.field("lastScaleTime", round.status.lastScaleTime);
    json.array("currentMetrics");
    for (const MetricStatus& each : round.status.currentMetrics) json.raw_value(model::encode(each));
    json.end().array("conditions");
    for (const auto& each : round.status.conditions) json.raw_value(model::encode(each));
    json.end().end().end();
    co_return co_await patch_status(autoscalers_, round.object, json.take());
  }

  client::Informer& autoscalers_;
  client::Informer& pods_;
  client::Informer& definitions_;
  const client::Informer::Index pods_by_namespace_;
  AutoscalerMetrics metrics_;
  std::map<std::string, AutoscalerMemory> memories_;       // by the autoscaler's key
  std::map<std::string, model::LabelSelector> selectors_;  // the same: whose pods each has
};

}  // namespace

std::unique_ptr<Controller> make_autoscaler(Context& context) { return std::make_unique<Autoscaler>(context); }

}  // namespace estiba::controllers
