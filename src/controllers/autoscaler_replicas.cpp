#include "controllers/autoscaler_replicas.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "controllers/pod_facts.h"
#include "model/quantity.h"

namespace estiba::controllers {

using model::ObjectRef;
using model::core_v1::Pod;
using namespace std::chrono_literals;

namespace {

constexpr Duration cpu_initialization = 5min;      // in which the processor use of a starting pod says nothing
constexpr Duration initial_readiness_delay = 30s;  // after its start a pod's first readiness may still come

int32_t up_to_int32(double replicas) {
  replicas = std::ceil(replicas);
  return replicas >= double(std::numeric_limits<int32_t>::max()) ? std::numeric_limits<int32_t>::max() : int32_t(replicas);
}

// A processor's use while a pod starts is not what it will use.
bool is_cpu_unready(const Pod& pod, const PodMetric& metric, WallTime now) {
  const auto* ready = find_condition(pod, "Ready");
  if (!ready || pod.status.startTime.empty()) return true;
  const WallTime started = time_or_epoch(pod.status.startTime), turned = time_or_epoch(ready->lastTransitionTime);
  const bool not_ready = ready->status == "False";
  if (started + cpu_initialization > now) return not_ready || metric.at < turned + metric.window;
  return not_ready && started + initial_readiness_delay > turned;
}

struct Groups {
  int32_t ready = 0;
  std::set<std::string> unready, missing;
};

// Sorts the pods and takes the metrics away that do not count.
Groups group_pods(PodSample& sample) {
  Groups groups;
  PodMetrics kept;
  for (const ObjectRef& object : sample.pods) {
    const Pod& pod = object.as<Pod>();
    const std::string& name = object.meta().name;
    if (!object.meta().deletion_timestamp.empty() || pod.status.phase == "Failed") continue;
    if (pod.status.phase == "Pending") {
      groups.unready.insert(name);
      continue;
    }
    const auto metric = sample.metrics.find(name);
    if (metric == sample.metrics.end()) {
      groups.missing.insert(name);
    } else if (sample.resource == "cpu" && is_cpu_unready(pod, metric->second, sample.now)) {
      groups.unready.insert(name);
    } else {
      ++groups.ready;
      kept.insert(*metric);
    }
  }
  sample.metrics = std::move(kept);
  return groups;
}

// With what the pods without metrics may use put in so that it holds back whatever would be done: `ratio_of` says how the
// metrics relate to the target, `missing_value` what such a pod is taken to use when the target would be scaled down.
template <class RatioOf, class MissingValue>
int32_t replicas_from(const PodSample& sample, PodMetrics metrics, const Groups& groups, double ratio, RatioOf ratio_of,
                      MissingValue missing_value) {
  const bool up_with_unready = !groups.unready.empty() && ratio > 1.0;
  if (!up_with_unready && groups.missing.empty())
    return sample.tolerances.is_within(ratio) ? sample.current : up_to_int32(ratio * groups.ready);
  for (const std::string& name : groups.missing) {
    if (ratio < 1.0) metrics[name] = {.value = missing_value(name)};
    else if (ratio > 1.0) metrics[name] = {};
  }
  if (up_with_unready)
    for (const std::string& name : groups.unready) metrics[name] = {};
  const double again = ratio_of(metrics);
  if (sample.tolerances.is_within(again) || (ratio < 1.0 && again > 1.0) || (ratio > 1.0 && again < 1.0)) return sample.current;
  const int32_t replicas = up_to_int32(again * double(metrics.size()));
  if ((again < 1.0 && replicas > sample.current) || (again > 1.0 && replicas < sample.current)) return sample.current;
  return replicas;
}

Result<int64_t> request_of(const ObjectRef& object, const std::string& resource, const std::string& container) {
  const Pod& pod = object.as<Pod>();
  if (container.empty() && pod.spec.resources && !pod.spec.resources->requests.empty()) {
    const auto found = pod.spec.resources->requests.find(resource);
    if (found != pod.spec.resources->requests.end()) return model::quantity_to_milli(found->second);
  }
  int64_t sum = 0;
  bool seen = false;
  const auto add = [&](const model::core_v1::Container& each) -> Result<void> {
    if (!container.empty() && each.name != container) return {};
    seen = true;
    const auto* requests = each.resources ? &each.resources->requests : nullptr;
    const auto found = requests ? requests->find(resource) : decltype(requests->end()){};
    if (!requests || found == requests->end())
      return fail(Code::invalid, "missing request for " + resource + " in container " + each.name + " of Pod " + object.meta().name);
    sum += model::quantity_to_milli(found->second);
    return {};
  };
  for (const auto& each : pod.spec.containers) TRY(add(each));
  for (const auto& each : pod.spec.initContainers)
    if (each.restartPolicy == "Always") TRY(add(each));
  if (!seen && !container.empty()) return fail(Code::invalid, "container " + container + " not found in Pod " + object.meta().name);
  return sum;
}

struct Utilization {
  double ratio = 0;
  int32_t percent = 0;
  int64_t average = 0;
};

Result<Utilization> utilization_of(const PodMetrics& metrics, const std::map<std::string, int64_t>& requests, int32_t target) {
  int64_t used = 0, requested = 0, count = 0;
  for (const auto& [name, metric] : metrics) {
    const auto request = requests.find(name);
    if (request == requests.end()) continue;
    used += metric.value;
    requested += request->second;
    ++count;
  }
  if (requested == 0) return fail(Code::invalid, "no metrics returned matched known pods");
  const auto percent = int32_t(used * 100 / requested);
  return Utilization{double(percent) / double(target), percent, used / count};
}

Result<Groups> grouped(PodSample& sample) {
  if (sample.pods.empty()) return fail(Code::not_found, "no pods returned by selector while calculating replica count");
  Groups groups = group_pods(sample);
  if (sample.metrics.empty()) return fail(Code::unavailable, "did not receive metrics for targeted pods (pods might be unready)");
  return groups;
}

}  // namespace

Result<Proposal> replicas_for_utilization(PodSample sample, int32_t target, const std::string& container) {
  const Groups groups = TRY(grouped(sample));
  std::map<std::string, int64_t> requests;
  for (const ObjectRef& pod : sample.pods) requests[pod.meta().name] = TRY(request_of(pod, sample.resource, container));
  const Utilization now = TRY(utilization_of(sample.metrics, requests, target));
  const auto ratio_of = [&](const PodMetrics& metrics) {
    const auto again = utilization_of(metrics, requests, target);
    return again ? again->ratio : 1.0;
  };
  const auto whole = [&](const std::string& name) { return requests[name] * std::max<int64_t>(100, target) / 100; };
  return Proposal{replicas_from(sample, sample.metrics, groups, now.ratio, ratio_of, whole), now.average, now.percent};
}

Result<Proposal> replicas_for_average(PodSample sample, int64_t target) {
  const Groups groups = TRY(grouped(sample));
  const auto average = [](const PodMetrics& metrics) {
    int64_t sum = 0;
    for (const auto& [name, metric] : metrics) sum += metric.value;
    return sum / int64_t(metrics.size());
  };
  const auto ratio_of = [&](const PodMetrics& metrics) { return double(average(metrics)) / double(target); };
  const int64_t usage = average(sample.metrics);
  const auto as_wanted = [&](const std::string&) { return target; };
  return Proposal{replicas_from(sample, sample.metrics, groups, ratio_of(sample.metrics), ratio_of, as_wanted), usage, std::nullopt};
}

Result<Proposal> replicas_for_value(const std::vector<ObjectRef>& pods, int32_t current, int64_t usage, int64_t target,
                                    const Tolerances& tolerances) {
  const double ratio = double(usage) / double(target);
  if (current == 0) return Proposal{up_to_int32(ratio), usage, std::nullopt};
  if (tolerances.is_within(ratio)) return Proposal{current, usage, std::nullopt};
  if (pods.empty())
    return fail(Code::not_found, "unable to calculate ready pods: no pods returned by selector while calculating replica count");
  const auto ready = std::count_if(pods.begin(), pods.end(),
                                   [](const ObjectRef& pod) { return pod.as<Pod>().status.phase == "Running" && is_ready(pod.as<Pod>()); });
  return Proposal{up_to_int32(ratio * double(ready)), usage, std::nullopt};
}

Proposal replicas_for_value_per_pod(int32_t status_replicas, int64_t usage, int64_t target, const Tolerances& tolerances) {
  const bool within = status_replicas > 0 && tolerances.is_within(double(usage) / (double(target) * status_replicas));
  const int64_t each = status_replicas > 0 ? (usage + status_replicas - 1) / status_replicas : usage;
  return {within ? status_replicas : up_to_int32(double(usage) / double(target)), each, std::nullopt};
}

}  // namespace estiba::controllers
