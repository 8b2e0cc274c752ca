#include "controllers/job_pods.h"

#include <algorithm>

#include "base/strings.h"
#include "client/finalizers.h"
#include "controllers/pod_control.h"
#include "controllers/pod_facts.h"

namespace estiba::controllers {

using model::ObjectRef;
using model::batch_v1::JobSpec;
using model::core_v1::Pod;
using namespace std::chrono_literals;

static constexpr std::string_view failures_key = "batch.kubernetes.io/job-index-failure-count";
static constexpr std::string_view ignored_key = "batch.kubernetes.io/job-index-ignored-failure-count";

bool is_tracked(const ObjectRef& pod) { return client::has_finalizer(pod.meta(), job_tracking_finalizer); }

JobPod job_pod(const ObjectRef& object, bool deleting) {
  const model::Meta& meta = object.meta();
  const Pod& pod = object.as<Pod>();
  JobPod out{.object = object, .index = parse_number<int64_t>(meta.annotation(job_index_key)).value_or(-1)};
  out.tracked = is_tracked(object);
  out.succeeded = pod.status.phase == "Succeeded";
  out.failed = pod.status.phase == "Failed";
  out.terminating = !out.succeeded && !out.failed && (deleting || !meta.deletion_timestamp.empty());
  out.ready = !out.terminating && is_ready(pod);
  return out;
}

bool is_indexed(const JobSpec& spec) { return spec.completionMode == "Indexed"; }

bool replaces_failed_only(const JobSpec& spec) {
  return spec.podReplacementPolicy.empty() ? bool(spec.podFailurePolicy) : spec.podReplacementPolicy == "Failed";
}

bool counts_as_failed(const JobPod& pod, const JobSpec& spec) { return pod.failed || (pod.terminating && !replaces_failed_only(spec)); }

WallTime finished_at(const ObjectRef& object) {
  const Pod& pod = object.as<Pod>();
  WallTime last{};
  for (const auto& container : pod.status.containerStatuses)
    if (container.state && container.state->terminated) last = std::max(last, time_or_epoch(container.state->terminated->finishedAt));
  if (last != WallTime{}) return last;
  const auto* ready = find_condition(pod, "Ready");
  if (ready && ready->status == "False" && !ready->lastTransitionTime.empty()) return time_or_epoch(ready->lastTransitionTime);
  const model::Meta& meta = object.meta();
  if (meta.deletion_timestamp.empty()) return time_or_epoch(meta.creation_timestamp);
  return time_or_epoch(meta.deletion_timestamp) - std::chrono::seconds(std::max<int64_t>(0, meta.deletion_grace_seconds));
}

IndexFailures index_failures(const ObjectRef& pod) {
  return {parse_number<int64_t>(pod.meta().annotation(failures_key)).value_or(0),
          parse_number<int64_t>(pod.meta().annotation(ignored_key)).value_or(0)};
}

static void add_finalizer(json::Document& doc, json::Node& metadata) {
  json::Node* list = metadata.find("finalizers");
  if (!list) list = &doc.set(metadata, "finalizers", doc.make_array());
  doc.append(*list, doc.make_string(job_tracking_finalizer));
}

// The index reaches a program by its environment, unless the template has a variable of that name.
static void add_index_variable(json::Document& doc, json::Node& container) {
  constexpr std::string_view name = "JOB_COMPLETION_INDEX";
  json::Node* list = container.find("env");
  if (!list || !list->is_array()) list = &doc.set(container, "env", doc.make_array());
  for (const json::Node& variable : *list)
    if (variable.string_at("name") == name) return;
  json::Node& variable = doc.append(*list, doc.make_object());
  doc.set(variable, "name", name);
  doc.set(doc.ensure_object(doc.ensure_object(variable, "valueFrom"), "fieldRef"), "fieldPath",
          "metadata.labels['" + std::string(job_index_key) + "']");
}

static void give_index(json::Document& doc, json::Node& pod, const std::string& job, int64_t index, const IndexFailures* failures) {
  constexpr size_t longest_prefix = 63 - 5;  // generateName adds five characters
  const std::string number = std::to_string(index);
  json::Node& metadata = doc.ensure_object(pod, "metadata");
  std::string prefix = job;
  if (prefix.size() + number.size() + 2 > longest_prefix) prefix.resize(longest_prefix - number.size() - 2);
  doc.set(metadata, "generateName", prefix + "-" + number + "-");
  doc.set(doc.ensure_object(metadata, "labels"), job_index_key, number);
  json::Node& annotations = doc.ensure_object(metadata, "annotations");
  doc.set(annotations, job_index_key, number);
  if (failures) {
    doc.set(annotations, failures_key, std::to_string(failures->counted));
    if (failures->ignored > 0) doc.set(annotations, ignored_key, std::to_string(failures->ignored));
  }
  json::Node& spec = doc.ensure_object(pod, "spec");
  doc.set(spec, "hostname", job + "-" + number);
  for (std::string_view list : {"initContainers", "containers"})
    if (json::Node* containers = spec.find(list); containers && containers->is_array())
      for (json::Node& container : *containers) add_index_variable(doc, container);
}

Result<std::string> job_pod_body(const ObjectRef& job, int64_t index, const IndexFailures* failures) {
  return pod_from_template(job, [&](json::Document& doc, json::Node& pod) {
    add_finalizer(doc, doc.ensure_object(pod, "metadata"));
    if (index >= 0) give_index(doc, pod, job.meta().name, index, failures);
  });
}

Duration job_backoff(int64_t failures) {
  constexpr Duration first = 10s, longest = 10min;
  if (failures <= 0) return {};
  return failures > 7 ? longest : std::min<Duration>(longest, first * (int64_t(1) << (failures - 1)));
}

}  // namespace estiba::controllers
