#include "apiserver/kinds/workloads.h"

#include "apiserver/edit.h"
#include "apiserver/kinds/pod_spec.h"
#include "apiserver/kinds/simple.h"
#include "base/strings.h"

namespace estiba::apiserver::workload {
namespace {

json::Node& spec_of(json::Document& doc, json::Node& object) { return ensure(doc, object, "spec"); }

void default_rolling_update(json::Document& doc, json::Node& strategy, std::string_view unavailable, std::string_view surge) {
  default_string(doc, strategy, "type", "RollingUpdate");
  if (strategy.string_at("type") != "RollingUpdate") return;
  json::Node& rolling = ensure(doc, strategy, "rollingUpdate");
  auto value = [&](std::string_view key, std::string_view text) {
    if (has(rolling, key)) return;
    if (auto number = parse_number<int64_t>(text)) set_int(doc, rolling, key, *number);
    else doc.set(rolling, key, text);
  };
  value("maxUnavailable", unavailable);
  value("maxSurge", surge);
}

void default_claim_templates(json::Document& doc, json::Node& spec) {
  json::Node* templates = spec.find("volumeClaimTemplates");
  if (!templates) return;
  for (json::Node& claim : *templates) {
    default_string(doc, claim, "apiVersion", "v1");
    default_string(doc, claim, "kind", "PersistentVolumeClaim");
    default_string(doc, ensure(doc, claim, "spec"), "volumeMode", "Filesystem");
    default_string(doc, ensure(doc, claim, "status"), "phase", "Pending");
  }
}

void default_failure_policy(json::Document& doc, json::Node& job_spec) {
  json::Node* policy = job_spec.find("podFailurePolicy");
  json::Node* rules = present(policy) ? policy->find("rules") : nullptr;
  if (!present(rules)) return;
  for (json::Node& rule : *rules) {
    json::Node* patterns = rule.find("onPodConditions");
    if (!present(patterns)) continue;
    for (json::Node& pattern : *patterns) default_string(doc, pattern, "status", "True");
  }
}

void default_job_spec(json::Document& doc, json::Node& spec) {
  if (!has(spec, "completions") && !has(spec, "parallelism")) set_int(doc, spec, "completions", 1);
  default_int(doc, spec, "parallelism", 1);
  if (!has(spec, "backoffLimit")) set_int(doc, spec, "backoffLimit", has(spec, "backoffLimitPerIndex") ? 2147483647 : 6);
  default_string(doc, spec, "completionMode", "NonIndexed");
  default_bool(doc, spec, "suspend", false);
  default_string(doc, spec, "podReplacementPolicy", has(spec, "podFailurePolicy") ? "Failed" : "TerminatingOrFailed");
  default_bool(doc, spec, "manualSelector", false);
  default_failure_policy(doc, spec);
  default_pod_template(doc, spec);
}

}  // namespace

const SelectableField replica_fields[1] = {{"status.replicas", "", "0"}};
const SelectableField job_fields[1] = {{"status.successful", "status.succeeded", "0"}};

void default_deployment(json::Document& doc, json::Node& object) {
  json::Node& spec = spec_of(doc, object);
  default_int(doc, spec, "replicas", 1);
  default_rolling_update(doc, ensure(doc, spec, "strategy"), "25%", "25%");
  default_int(doc, spec, "revisionHistoryLimit", 10);
  default_int(doc, spec, "progressDeadlineSeconds", 600);
  default_pod_template(doc, spec);
}

void default_replica_set(json::Document& doc, json::Node& object) {
  json::Node& spec = spec_of(doc, object);
  default_int(doc, spec, "replicas", 1);
  default_pod_template(doc, spec);
}

void default_stateful_set(json::Document& doc, json::Node& object) {
  json::Node& spec = spec_of(doc, object);
  default_int(doc, spec, "replicas", 1);
  default_string(doc, spec, "podManagementPolicy", "OrderedReady");
  json::Node& strategy = ensure(doc, spec, "updateStrategy");
  default_string(doc, strategy, "type", "RollingUpdate");
  if (strategy.string_at("type") == "RollingUpdate") default_int(doc, ensure(doc, strategy, "rollingUpdate"), "partition", 0);
  default_int(doc, spec, "revisionHistoryLimit", 10);
  json::Node& retention = ensure(doc, spec, "persistentVolumeClaimRetentionPolicy");
  default_string(doc, retention, "whenDeleted", "Retain");
  default_string(doc, retention, "whenScaled", "Retain");
  default_claim_templates(doc, spec);
  default_pod_template(doc, spec);
}

void default_daemon_set(json::Document& doc, json::Node& object) {
  json::Node& spec = spec_of(doc, object);
  default_rolling_update(doc, ensure(doc, spec, "updateStrategy"), "1", "0");
  default_int(doc, spec, "revisionHistoryLimit", 10);
  default_pod_template(doc, spec);
}

void default_replication_controller(json::Document& doc, json::Node& object) {
  json::Node& spec = spec_of(doc, object);
  default_int(doc, spec, "replicas", 1);
  const json::Node* labels = spec.at("template", "metadata", "labels");
  if (present(labels)) {
    if (!has_value(spec, "selector")) set_copy(doc, spec, "selector", labels);
    json::Node& metadata = ensure(doc, object, "metadata");
    if (!has_value(metadata, "labels")) set_copy(doc, metadata, "labels", labels);
  }
  default_pod_template(doc, spec);
}

void default_job(json::Document& doc, json::Node& object) {
  json::Node& spec = spec_of(doc, object);
  default_job_spec(doc, spec);
  json::Node& metadata = ensure(doc, object, "metadata");
  const json::Node* labels = spec.at("template", "metadata", "labels");
  if (present(labels) && !has_value(metadata, "labels")) set_copy(doc, metadata, "labels", labels);
}

void default_cron_job(json::Document& doc, json::Node& object) {
  json::Node& spec = spec_of(doc, object);
  default_string(doc, spec, "concurrencyPolicy", "Allow");
  default_bool(doc, spec, "suspend", false);
  default_int(doc, spec, "successfulJobsHistoryLimit", 3);
  default_int(doc, spec, "failedJobsHistoryLimit", 1);
  if (json::Node* job = spec.find("jobTemplate"); present(job)) {
    // The job that is made of it gets a Job's defaults; here only what stands in every template.
    if (json::Node* job_spec = job->find("spec"); present(job_spec)) {
      default_failure_policy(doc, *job_spec);
      if (present(job_spec->find("template"))) default_pod_spec(doc, ensure(doc, *job_spec->find("template"), "spec"));
    }
  }
}

void default_pod_template_object(json::Document& doc, json::Node& object) { default_pod_template(doc, object); }

void prepare_daemon_set(Draft& draft) {
  constexpr std::string_view counter = "deprecated.daemonset.template.generation";
  int64_t count = 1;
  if (draft.creating()) {
    draft.doc.remove(draft.object, "status");
    count = std::max<int64_t>(parse_number<int64_t>(draft.object.string_at("metadata", "annotations", counter)).value_or(1), 1);
  } else {
    draft.keep_old("status");
    count = parse_number<int64_t>(draft.old->string_at("metadata", "annotations", counter)).value_or(1);
    if (!same(draft.old->at("spec", "template"), draft.object.at("spec", "template"))) ++count;
  }
  draft.doc.set(ensure(draft.doc, draft.metadata(), "annotations"), counter, std::to_string(count));
}

void prepare_job(Draft& draft) {
  if (!draft.creating()) return draft.keep_old("status");
  draft.doc.set(draft.object, "status", draft.doc.make_object());
  json::Node& spec = draft.spec();
  const json::Node* manual = spec.find("manualSelector");
  if (manual && manual->as_bool()) return;
  std::string uid(draft.metadata().string_at("uid"));
  json::Node& labels = ensure(draft.doc, ensure(draft.doc, ensure(draft.doc, spec, "template"), "metadata"), "labels");
  draft.doc.set(labels, "controller-uid", uid);
  draft.doc.set(labels, "batch.kubernetes.io/controller-uid", uid);
  draft.doc.set(labels, "job-name", draft.name());
  draft.doc.set(labels, "batch.kubernetes.io/job-name", draft.name());
  json::Node& match = ensure(draft.doc, ensure(draft.doc, spec, "selector"), "matchLabels");
  draft.doc.set(match, "batch.kubernetes.io/controller-uid", uid);
}

}  // namespace estiba::apiserver::workload
