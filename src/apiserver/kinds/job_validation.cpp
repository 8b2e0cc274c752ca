// Jobs and CronJobs (pkg/apis/batch/validation/validation.go).
#include <algorithm>

#include "apiserver/edit.h"
#include "apiserver/kinds/field_rules.h"
#include "apiserver/kinds/pod_spec.h"
#include "apiserver/kinds/pod_warnings.h"
#include "apiserver/kinds/rules.h"
#include "apiserver/kinds/value_checks.h"
#include "apiserver/kinds/workloads.h"
#include "base/strings.h"

namespace estiba::apiserver::workload {
namespace {

using json::Node;

constexpr int64_t soft_completions = 100'000, hard_parallelism = 100'000, soft_parallelism = 10'000;

constexpr FieldRule job_rules[] = {
    {"parallelism", Check::not_negative},
    {"completions", Check::not_negative},
    {"activeDeadlineSeconds", Check::not_negative},
    {"backoffLimit", Check::not_negative},
    {"ttlSecondsAfterFinished", Check::not_negative},
    {"backoffLimitPerIndex", Check::not_negative},
    {"maxFailedIndexes", Check::not_negative},
    {"managedBy", Check::max_bytes, "63"},
    {"completionMode", Check::one_of, "NonIndexed Indexed"},
    {"podReplacementPolicy", Check::one_of, "Failed TerminatingOrFailed"},
    {"podFailurePolicy.rules", Check::max_items, "20"},
    {"podFailurePolicy.rules[].action", Check::required, "valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]"},
    {"podFailurePolicy.rules[].action", Check::one_of, "Count FailIndex FailJob Ignore"},
    {"podFailurePolicy.rules[].onPodConditions", Check::max_items, "20"},
    {"podFailurePolicy.rules[].onPodConditions[].type", Check::required},
    {"podFailurePolicy.rules[].onPodConditions[].type", Check::qualified_name},
    {"podFailurePolicy.rules[].onPodConditions[].status", Check::one_of, "False True Unknown"},
    {"podFailurePolicy.rules[].onExitCodes.operator", Check::required, "valid values: [\"In\" \"NotIn\"]"},
    {"podFailurePolicy.rules[].onExitCodes.operator", Check::one_of, "In NotIn"},
    {"podFailurePolicy.rules[].onExitCodes.values", Check::max_items, "255"},
};

// One job's spec on its way through the rules.
struct JobCheck {
  const Node& spec;
  std::string path;
  FieldErrors& errors;

  std::optional<int64_t> number(std::string_view key) const { return int_at(spec, key); }
  bool indexed() const { return spec.string_at("completionMode") == "Indexed"; }
  std::string field(std::string_view key) const { return path + "." + std::string(key); }
  void invalid(std::string_view key, std::string_view detail) const { errors.invalid(field(key), spec.find(key), detail); }
  void at_most(std::string_view key, int64_t limit, std::string_view when) const {
    if (number(key).value_or(0) > limit) invalid(key, "must be less than or equal to " + std::to_string(limit) + std::string(when));
  }
};

void validate_indexed(const JobCheck& job) {
  const auto completions = job.number("completions"), failed = job.number("maxFailedIndexes");
  if (!completions) job.errors.required(job.field("completions"), "when completion mode is Indexed");
  job.at_most("parallelism", hard_parallelism, " when completion mode is Indexed");
  if (completions && failed && *failed > *completions) job.invalid("maxFailedIndexes", "must be less than or equal to completions");
  job.at_most("maxFailedIndexes", hard_parallelism, "");
  if (!completions || *completions <= soft_completions || !job.number("backoffLimitPerIndex")) return;
  if (!failed)
    job.errors.required(job.field("maxFailedIndexes"), "must be specified when completions is above " + std::to_string(soft_completions));
  const std::string when = " when completions are above " + std::to_string(soft_completions) + " and used with backoff limit per index";
  job.at_most("parallelism", soft_parallelism, when);
  job.at_most("maxFailedIndexes", soft_parallelism, when);
}

void validate_exit_codes(const JobCheck& job, const Node& codes, const std::string& path) {
  FieldErrors& errors = job.errors;
  if (const Node* name = codes.find("containerName"); present(name)) {
    bool known = false;
    for (std::string_view list : {"containers", "initContainers"}) {
      const Node* containers = job.spec.at("template", "spec", list);
      known |= present(containers) &&
               std::any_of(containers->begin(), containers->end(), [&](const Node& c) { return c.string_at("name") == name->as_string(); });
    }
    if (!known)
      errors.invalid_string(path + ".containerName", name->as_string(),
                            "must be one of the container or initContainer names in the pod template");
  }
  const Node* values = codes.find("values");
  if (!present(values) || values->empty()) return errors.invalid(path + ".values", values, "at least one value is required");
  std::set<int64_t> seen;
  bool ordered = true;
  int64_t last = INT64_MIN;
  each(codes, "values", path, [&](const Node& value, const std::string& here) {
    const int64_t code = value.as_int().value_or(0);
    if (code == 0 && codes.string_at("operator") == "In") errors.invalid(here, &value, "must not be 0 for the In operator");
    if (!seen.insert(code).second) errors.add({"FieldValueDuplicate", "Duplicate value: " + std::to_string(code), here});
    ordered &= code >= last;
    last = code;
  });
  if (!ordered) errors.invalid(path + ".values", values, "must be ordered");
}

void validate_failure_policy(const JobCheck& job) {
  const Node* policy = job.spec.find("podFailurePolicy");
  if (!present(policy)) return;
  each(*policy, "rules", job.field("podFailurePolicy"), [&](const Node& rule, const std::string& here) {
    if (rule.string_at("action") == "FailIndex" && !job.number("backoffLimitPerIndex"))
      job.errors.invalid_string(here + ".action", "FailIndex", "requires the backoffLimitPerIndex to be set");
    const Node* codes = rule.find("onExitCodes");
    const bool conditions = has_value(rule, "onPodConditions");
    if (present(codes)) validate_exit_codes(job, *codes, here + ".onExitCodes");
    if (present(codes) == conditions) {
      job.errors.add({"FieldValueInvalid",
                      std::string("Invalid value: ") + (conditions ? "specifying both OnExitCodes and OnPodConditions is not supported"
                                                                   : "specifying one of OnExitCodes and OnPodConditions is required"),
                      here});
    }
  });
  if (job.spec.string_at("podReplacementPolicy") == "TerminatingOrFailed")
    job.errors.not_supported(job.field("podReplacementPolicy"), "TerminatingOrFailed", {"Failed"});
}

void validate_success_policy(const JobCheck& job) {
  const Node* policy = job.spec.find("successPolicy");
  if (!present(policy)) return;
  const std::string path = job.field("successPolicy");
  FieldErrors& errors = job.errors;
  if (!job.indexed()) return errors.invalid(path, policy, "requires indexed completion mode");
  const int64_t completions = job.number("completions").value_or(0);
  if (!has_value(*policy, "rules"))
    errors.required(path + ".rules", "at least one rules must be specified when the successPolicy is specified");
  check_value(policy->find("rules"), Check::max_items, "20", path + ".rules", errors);
  each(*policy, "rules", path, [&](const Node& rule, const std::string& here) {
    const Node *indexes = rule.find("succeededIndexes"), *count = rule.find("succeededCount");
    if (!present(indexes) && !present(count))
      return errors.required(here, "at least one of succeededCount or succeededIndexes must be specified");
    int64_t named = 0;
    if (present(indexes)) {
      check_value(indexes, Check::max_bytes, "65536", here + ".succeededIndexes", errors);
      auto counted = count_indexes(indexes->as_string(), completions);
      if (counted) named = *counted;
      else
        errors.invalid_string(here + ".succeededIndexes", indexes->as_string(),
                              "error parsing succeededIndexes: " + counted.error().message);
    }
    if (!present(count)) return;
    const int64_t wanted = count->as_int().value_or(0);
    check_value(count, Check::not_negative, {}, here + ".succeededCount", errors);
    auto limit = [&](int64_t most, std::string_view what) {
      if (wanted > most)
        errors.invalid(here + ".succeededCount", count,
                       "must be less than or equal to " + std::to_string(most) + " (the number of " + std::string(what) + ")");
    };
    limit(completions, "specified completions");
    if (present(indexes)) limit(named, "indexes in the specified succeededIndexes field");
  });
}

void validate_restart_policy(const JobCheck& job) {
  const std::string field = job.field("template.spec.restartPolicy");
  const std::string_view policy = job.spec.string_at("template", "spec", "restartPolicy");
  if (policy.empty() || policy == "Always") job.errors.required(field, "valid values: \"OnFailure\", \"Never\"");
  else if (policy != "OnFailure" && policy != "Never") job.errors.not_supported(field, policy, {"OnFailure", "Never"});
  else if (policy != "Never" && has(job.spec, "podFailurePolicy"))
    job.errors.invalid_string(field, policy, "only \"Never\" is supported when podFailurePolicy is specified");
}

// What a Job and a CronJob's template for one have in common. `fresh`: the pod template is new or has changed.
void validate_job_spec(const Node& spec, const std::string& path, bool fresh, Draft& draft) {
  const JobCheck job{spec, path, draft.errors};
  check_fields(spec, job_rules, path, draft.errors);
  if (const std::string_view owner = spec.string_at("managedBy"); !owner.empty()) {
    for (const std::string& problem : check_domain_prefixed_path(owner))
      draft.errors.invalid_string(job.field("managedBy"), owner, problem);
  }
  if (job.number("maxFailedIndexes") && !job.number("backoffLimitPerIndex"))
    draft.errors.required(job.field("backoffLimitPerIndex"), "when maxFailedIndexes is specified");
  if (job.indexed()) validate_indexed(job);
  else
    for (std::string_view key : {"backoffLimitPerIndex", "maxFailedIndexes"}) {
      if (job.number(key)) job.invalid(key, "requires indexed completion mode");
    }
  validate_failure_policy(job);
  validate_success_policy(job);
  if (!fresh) return;
  validate_pod_template(spec.find("template"), job.field("template"), draft.errors, draft.warnings);
  validate_restart_policy(job);
  if (job.indexed() && job.number("completions").value_or(0) > soft_completions && job.number("parallelism").value_or(0) > soft_parallelism)
    warn(draft.warnings, path +
                             ": In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, "
                             "Kubernetes might not be able to track completedIndexes when a big number of indexes fail");
}

// A suspended job that has not started may be scheduled elsewhere and get other resources.
bool allowed_template_change(const Draft& draft, const Node& now, const Node& before) {
  const Node* suspended = draft.old->at("spec", "suspend");
  if (!suspended || !suspended->as_bool()) return false;
  json::Document scratch;
  Node& allowed = scratch.copy(before);
  Node& pod = scratch.ensure_object(allowed, "spec");
  const Node* fresh = now.find("spec");
  if (!present(fresh)) return false;
  if (!present(draft.old->at("status", "startTime"))) {
    for (std::string_view field : {"nodeSelector", "tolerations", "schedulingGates"}) set_copy(scratch, pod, field, fresh->find(field));
    for (std::string_view field : {"annotations", "labels"}) {
      const Node* value = now.at("metadata", field);
      if (present(value) || present(allowed.at("metadata", field)))
        set_copy(scratch, scratch.ensure_object(allowed, "metadata"), field, value);
    }
    const Node* nodes = fresh->at("affinity", "nodeAffinity");
    if (present(nodes) || present(pod.at("affinity", "nodeAffinity")))
      set_copy(scratch, scratch.ensure_object(pod, "affinity"), "nodeAffinity", nodes);
    if (const Node* affinity = pod.find("affinity"); present(affinity) && affinity->empty() && !has(*fresh, "affinity"))
      scratch.remove(pod, "affinity");
  }
  for (std::string_view list : {"containers", "initContainers"}) {
    Node* old_list = pod.find(list);
    const Node* new_list = fresh->find(list);
    if (!present(old_list) || !present(new_list) || old_list->size() != new_list->size()) continue;
    auto next = new_list->begin();
    for (Node& container : *old_list) {
      if (container.string_at("name") == next->string_at("name")) set_copy(scratch, container, "resources", next->find("resources"));
      ++next;
    }
  }
  return json::equal(allowed, now);
}

void validate_job_update(Draft& draft) {
  const Node& spec = draft.spec();
  for (std::string_view field : {"spec.selector", "spec.completionMode", "spec.podFailurePolicy", "spec.backoffLimitPerIndex",
                                 "spec.managedBy", "spec.successPolicy"})
    require_unchanged(draft, field);
  const auto completions = int_at(spec, "completions");
  if (spec.string_at("completionMode") != "Indexed") require_unchanged(draft, "spec.completions");
  else if (completions && !same(spec.find("completions"), draft.old->at("spec", "completions")) &&
           completions != int_at(spec, "parallelism"))
    draft.errors.invalid("spec.completions", spec.find("completions"), "can only be modified in tandem with spec.parallelism");
  const Node *now = spec.find("template"), *before = draft.old->at("spec", "template");
  if (same(now, before)) return;
  if (!now || !before || !allowed_template_change(draft, *now, *before)) require_unchanged(draft, "spec.template");
}

// The labels and the selector that the server makes, unless the user said that he would.
void validate_generated_selector(Draft& draft) {
  const Node& spec = draft.spec();
  const Node *selector = spec.find("selector"), *labels = spec.at("template", "metadata", "labels");
  if (!present(selector)) return draft.errors.required("spec.selector");
  validate_label_selector(*selector, "spec.selector", draft.errors);
  if (!selects(*selector, labels))
    draft.errors.invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`");
  if (bool_at(spec, "manualSelector") || !draft.creating()) return;
  const std::string uid(draft.metadata().string_at("uid"));
  json::Document scratch;
  Node& expected = scratch.make_object();
  for (std::string_view key : {"controller-uid", "batch.kubernetes.io/controller-uid"}) scratch.set(expected, key, uid);
  for (std::string_view key : {"job-name", "batch.kubernetes.io/job-name"}) scratch.set(expected, key, draft.name());
  if (!selects(*selector, &expected)) draft.errors.invalid("spec.selector", selector, "`selector` not auto-generated");
}

bool condition_true(const Node& status, std::string_view type) {
  const Node* conditions = status.find("conditions");
  return present(conditions) && std::any_of(conditions->begin(), conditions->end(),
                                            [&](const Node& c) { return c.string_at("type") == type && c.string_at("status") == "True"; });
}

void refuse_conditions(FieldErrors& errors, std::string_view detail) {
  errors.add({"FieldValueInvalid", "Invalid value: " + std::string(detail), "status.conditions"});
}

void validate_job_conditions(const Node& status, FieldErrors& errors) {
  const bool complete = condition_true(status, "Complete"), failed = condition_true(status, "Failed");
  const bool target = condition_true(status, "FailureTarget"), met = condition_true(status, "SuccessCriteriaMet");
  if (complete && failed) refuse_conditions(errors, "cannot set Complete=True and Failed=true conditions");
  if (complete && target) refuse_conditions(errors, "cannot set Complete=True and FailureTarget=true conditions");
  if (failed && !target) refuse_conditions(errors, "cannot set Failed=True condition without the FailureTarget=true condition");
  if (complete && !met) refuse_conditions(errors, "cannot set Complete=True condition without the SuccessCriteriaMet=true condition");
  if (met && failed) refuse_conditions(errors, "cannot set SuccessCriteriaMet=True and Failed=true conditions");
  if (met && target) refuse_conditions(errors, "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions");
  const bool finished = complete || failed;
  if (has(status, "completionTime") && !complete)
    errors.invalid("status.completionTime", status.find("completionTime"),
                   "cannot set completionTime when there is no Complete=True condition");
  if (complete && !has(status, "completionTime")) errors.required("status.completionTime", "completionTime is required for Complete jobs");
  if (finished && int_at(status, "active").value_or(0) > 0)
    errors.invalid("status.active", status.find("active"), "active>0 is invalid for finished job");
  if (finished && int_at(status, "terminating").value_or(0) > 0)
    errors.invalid("status.terminating", status.find("terminating"), "terminating>0 is invalid for finished job");
  if (finished && !has(status, "startTime")) errors.required("status.startTime", "startTime is required for finished job");
}

}  // namespace

void validate_job(Draft& draft) {
  const Node& spec = draft.spec();
  const bool fresh = draft.creating() || !same(spec.find("template"), draft.old->at("spec", "template"));
  validate_job_spec(spec, "spec", fresh, draft);
  validate_generated_selector(draft);
  if (!draft.creating()) return validate_job_update(draft);
  const int64_t completions = int_at(spec, "completions").value_or(0);
  if (spec.string_at("completionMode") != "Indexed" || completions <= 0) return;
  const std::string host = std::string(draft.name()) + "-" + std::to_string(completions - 1);
  if (host.size() > 63 || host.contains('.'))
    draft.errors.invalid_string("metadata.name", draft.name(), "will not able to create pod with invalid DNS label: " + host);
}

void validate_cron_job(Draft& draft) {
  const Node& spec = draft.spec();
  FieldErrors& errors = draft.errors;
  constexpr FieldRule rules[] = {{"schedule", Check::required},
                                 {"concurrencyPolicy", Check::one_of, "Allow Forbid Replace"},
                                 {"startingDeadlineSeconds", Check::not_negative},
                                 {"successfulJobsHistoryLimit", Check::not_negative},
                                 {"failedJobsHistoryLimit", Check::not_negative}};
  check_fields(spec, rules, "spec", errors);
  const std::string_view schedule = spec.string_at("schedule");
  const Node* zone = spec.find("timeZone");
  if (!schedule.empty()) {
    for (const std::string& problem : check_schedule(schedule)) errors.invalid_string("spec.schedule", schedule, problem);
    const bool had = !draft.creating() && draft.old->string_at("spec", "schedule").contains("TZ");
    if (schedule.contains("TZ") && !had)
      errors.invalid_string("spec.schedule", schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
    else if (schedule.contains("TZ") && present(zone))
      errors.invalid_string("spec.schedule", schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule");
  }
  if (present(zone) && (draft.creating() || !same(zone, draft.old->at("spec", "timeZone")))) {
    for (const std::string& problem : check_time_zone(zone->as_string()))
      errors.invalid_string("spec.timeZone", zone->as_string(), problem);
  }
  if (draft.creating() && draft.name().size() > 52)
    errors.invalid_string("metadata.name", draft.name(), "must be no more than 52 characters");
  const std::string path = "spec.jobTemplate.spec";
  const Node* job = spec.at("jobTemplate", "spec");
  if (!present(job)) return errors.required(path + ".template.spec.containers");
  const bool fresh = draft.creating() || !same(job->find("template"), draft.old->at("spec", "jobTemplate", "spec", "template"));
  validate_job_spec(*job, path, fresh, draft);
  if (has(*job, "selector")) errors.invalid(path + ".selector", job->find("selector"), "`selector` will be auto-generated");
  if (bool_at(*job, "manualSelector"))
    errors.add({"FieldValueNotSupported", "Unsupported value: true: supported values: \"nil\", \"false\"", path + ".manualSelector"});
}

void validate_job_status(Draft& draft) {
  const Node& status = draft.status();
  FieldErrors& errors = draft.errors;
  constexpr FieldRule rules[] = {{"active", Check::not_negative},
                                 {"succeeded", Check::not_negative},
                                 {"failed", Check::not_negative},
                                 {"ready", Check::not_negative},
                                 {"terminating", Check::not_negative}};
  check_fields(status, rules, "status", errors);
  if (!draft.old || same(draft.old->find("status"), &status)) return;
  validate_job_conditions(status, errors);
  if (int_at(status, "ready").value_or(0) > int_at(status, "active").value_or(0))
    errors.invalid("status.ready", status.find("ready"), "cannot set more ready pods than active");
  const Node* before = draft.old->find("status");
  if (!present(before)) return;
  for (std::string_view type : {"Failed", "Complete", "FailureTarget"}) {
    if (condition_true(*before, type) && !condition_true(status, type))
      refuse_conditions(errors, "cannot disable the terminal " + std::string(type) + "=True condition");
  }
  if (condition_true(*before, "SuccessCriteriaMet") && !condition_true(status, "SuccessCriteriaMet"))
    refuse_conditions(errors, "cannot disable the SuccessCriteriaMet=True condition");
  // An Indexed Job whose completions and parallelism are the same may be scaled down.
  const bool elastic =
      draft.spec().string_at("completionMode") == "Indexed" && int_at(draft.spec(), "completions") == int_at(draft.spec(), "parallelism");
  for (std::string_view counter : {"failed", "succeeded"}) {
    if (elastic && counter == "succeeded") continue;
    if (int_at(status, counter).value_or(0) < int_at(*before, counter).value_or(0))
      errors.invalid("status." + std::string(counter), std::string_view(std::to_string(int_at(status, counter).value_or(0))),
                     "cannot decrease the " + std::string(counter) + " counter");
  }
  if (has(*before, "completionTime") && has(status, "completionTime") &&
      !same(before->find("completionTime"), status.find("completionTime")))
    errors.invalid("status.completionTime", status.find("completionTime"), "field is immutable");
  const bool resuming = condition_true(*before, "Suspended") && !condition_true(status, "Suspended");
  if (!resuming && has(*before, "startTime") && !same(before->find("startTime"), status.find("startTime")) &&
      !bool_at(draft.spec(), "suspend"))
    errors.invalid("status.startTime", status.find("startTime"), "field is immutable for unsuspended job once set");
}

}  // namespace estiba::apiserver::workload
