// Deployments, ReplicaSets, StatefulSets, DaemonSets, ReplicationControllers, ControllerRevisions and PodTemplates
// (pkg/apis/apps/validation/validation.go).
#include <algorithm>

#include "apiserver/edit.h"
#include "apiserver/kinds/field_rules.h"
#include "apiserver/kinds/persistent_volume.h"
#include "apiserver/kinds/pod_spec.h"
#include "apiserver/kinds/rules.h"
#include "apiserver/kinds/workloads.h"
#include "base/strings.h"
#include "model/names.h"

namespace estiba::apiserver::workload {
namespace {

using json::Node;

constexpr FieldRule common_rules[] = {{"replicas", Check::not_negative},
                                      {"minReadySeconds", Check::not_negative},
                                      {"revisionHistoryLimit", Check::not_negative},
                                      {"progressDeadlineSeconds", Check::not_negative}};

// A selector that is there and says something.
void validate_selector(Draft& draft, std::string_view kind) {
  const Node* selector = draft.spec().find("selector");
  if (!present(selector)) return draft.errors.required("spec.selector");
  validate_label_selector(*selector, "spec.selector", draft.errors);
  if (!has_value(*selector, "matchLabels") && !has_value(*selector, "matchExpressions"))
    draft.errors.invalid("spec.selector", selector, "empty selector is invalid for " + std::string(kind));
  if (!draft.creating()) require_unchanged(draft, "spec.selector");
}

// Whether the template is new; what was accepted before is not looked at again.
bool template_changed(const Draft& draft, const Node* made) { return draft.creating() || !same(made, draft.old->at("spec", "template")); }

// The template that makes the pods: its labels, its spec, and that it runs for ever.
void validate_made_pods(Draft& draft, const Node* made, std::string_view kind) {
  const Node* selector = draft.spec().find("selector");
  const Node* labels = made ? made->at("metadata", "labels") : nullptr;
  FieldErrors& errors = draft.errors;
  if (present(selector) && !selects(*selector, labels))
    errors.invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`");
  validate_pod_template(made, "spec.template", errors, draft.warnings);
  if (!present(made)) return;
  const std::string_view policy = made->string_at("spec", "restartPolicy");
  if (policy != "Always") errors.not_supported("spec.template.spec.restartPolicy", policy, {"Always"});
  if (present(made->at("spec", "activeDeadlineSeconds")))
    errors.forbidden("spec.template.spec.activeDeadlineSeconds", "activeDeadlineSeconds in " + std::string(kind) + " is not Supported");
}

// "5%" as 5, 3 as 3, anything else as 0.
int64_t amount(const Node* value) {
  if (!present(value)) return 0;
  if (value->is_number()) return value->as_int().value_or(0);
  if (!model::is_percentage(value->as_string())) return 0;
  return parse_number<int64_t>(value->as_string().substr(0, value->as_string().size() - 1)).value_or(0);
}

void require_at_most_all(const Node* value, std::string field, FieldErrors& errors) {
  if (present(value) && value->is_string() && amount(value) > 100)
    errors.invalid_string(std::move(field), value->as_string(), "must not be greater than 100%");
}

constexpr FieldRule rolling_rules[] = {
    {"maxUnavailable", Check::int_or_percent}, {"maxSurge", Check::int_or_percent}, {"partition", Check::not_negative}};

void validate_deployment_strategy(const Node& spec, FieldErrors& errors) {
  const Node* strategy = spec.find("strategy");
  if (!present(strategy)) return;
  const std::string path = "spec.strategy.rollingUpdate";
  const std::string_view type = strategy->string_at("type");
  const Node* rolling = strategy->find("rollingUpdate");
  check_value(strategy->find("type"), Check::one_of, "Recreate RollingUpdate", "spec.strategy.type", errors);
  if (type == "Recreate" && present(rolling)) errors.forbidden(path, "may not be specified when strategy `type` is 'Recreate'");
  if (type != "RollingUpdate" || !present(rolling)) return;
  check_fields(*rolling, rolling_rules, path, errors);
  const Node *unavailable = rolling->find("maxUnavailable"), *surge = rolling->find("maxSurge");
  if (amount(unavailable) == 0 && amount(surge) == 0)
    errors.invalid(path + ".maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0");
  require_at_most_all(unavailable, path + ".maxUnavailable", errors);
}

void validate_daemon_strategy(const Node& spec, FieldErrors& errors) {
  const Node* strategy = spec.find("updateStrategy");
  if (!present(strategy)) return;
  check_value(strategy->find("type"), Check::one_of, "OnDelete RollingUpdate", "spec.updateStrategy.type", errors);
  if (strategy->string_at("type") != "RollingUpdate") return;
  const std::string path = "spec.updateStrategy.rollingUpdate";
  const Node* rolling = strategy->find("rollingUpdate");
  if (!present(rolling)) return errors.required(path);
  check_fields(*rolling, rolling_rules, path, errors);
  const Node *unavailable = rolling->find("maxUnavailable"), *surge = rolling->find("maxSurge");
  require_at_most_all(unavailable, path + ".maxUnavailable", errors);
  require_at_most_all(surge, path + ".maxSurge", errors);
  const bool some = amount(unavailable) != 0, more = amount(surge) != 0;
  if (some && more) errors.invalid(path + ".maxSurge", surge, "may not be set when maxUnavailable is non-zero");
  if (!some && !more) errors.required(path + ".maxUnavailable", "cannot be 0 when maxSurge is 0");
}

void validate_stateful_strategy(const Node& spec, FieldErrors& errors) {
  const Node* strategy = spec.find("updateStrategy");
  if (!present(strategy)) return;
  const std::string_view type = strategy->string_at("type");
  const std::string path = "spec.updateStrategy";
  const Node* rolling = strategy->find("rollingUpdate");
  if (type != "RollingUpdate" && type != "OnDelete") errors.invalid(path, strategy, "must be 'RollingUpdate' or 'OnDelete'");
  if (!present(rolling)) return;
  if (type == "OnDelete") errors.invalid(path + ".rollingUpdate", rolling, "only allowed for updateStrategy 'RollingUpdate'");
  if (type != "RollingUpdate") return;
  check_fields(*rolling, rolling_rules, path + ".rollingUpdate", errors);
  const Node* unavailable = rolling->find("maxUnavailable");
  if (present(unavailable) && amount(unavailable) == 0) errors.invalid(path + ".rollingUpdate.maxUnavailable", unavailable, "cannot be 0");
  require_at_most_all(unavailable, path + ".rollingUpdate.maxUnavailable", errors);
}

// The template as pods will have it: with a volume for every claim, without a hostname of its own.
const Node& with_claims(json::Document& scratch, const Node& spec, const Node& made) {
  Node& out = scratch.copy(made);
  Node& pod = scratch.ensure_object(out, "spec");
  scratch.remove(pod, "hostname");
  scratch.remove(pod, "subdomain");
  const Node* claims = spec.find("volumeClaimTemplates");
  if (!present(claims)) return out;
  Node& volumes = scratch.make_array();
  auto claimed = [&](std::string_view name) {
    return std::any_of(claims->begin(), claims->end(), [&](const Node& c) { return c.string_at("metadata", "name") == name; });
  };
  if (const Node* own = pod.find("volumes"); present(own)) {
    for (const Node& volume : *own) {
      if (!claimed(volume.string_at("name"))) scratch.append(volumes, scratch.copy(volume));
    }
  }
  for (const Node& claim : *claims) {
    const std::string_view name = claim.string_at("metadata", "name");
    Node& volume = scratch.append(volumes, scratch.make_object());
    scratch.set(volume, "name", name);
    scratch.set(scratch.ensure_object(volume, "persistentVolumeClaim"), "claimName", name);
  }
  scratch.set(pod, "volumes", volumes);
  return out;
}

// Every field of the status that counts pods: at least 0, at most `replicas`.
void validate_counts(Draft& draft, std::initializer_list<std::string_view> counts, std::initializer_list<std::string_view> bounded,
                     std::string_view ready_told) {
  const Node& status = draft.status();
  for (std::string_view count : counts) require_not_negative(status, count, "status." + std::string(count), draft.errors);
  for (std::string_view count : {"observedGeneration", "collisionCount", "terminatingReplicas"})
    require_not_negative(status, count, "status." + std::string(count), draft.errors);
  const int64_t replicas = int_at(status, "replicas").value_or(0), ready = int_at(status, "readyReplicas").value_or(0);
  for (std::string_view count : bounded) {
    if (int_at(status, count).value_or(0) > replicas)
      draft.errors.invalid("status." + std::string(count), status.find(count), "cannot be greater than status.replicas");
  }
  if (!ready_told.empty() && int_at(status, "availableReplicas").value_or(0) > ready)
    draft.errors.invalid("status.availableReplicas", status.find("availableReplicas"), ready_told);
  if (draft.creating()) return;
  const Node* before = draft.old->at("status", "collisionCount");
  if (present(before) && int_at(status, "collisionCount").value_or(0) < before->as_int().value_or(0))
    draft.errors.invalid("status.collisionCount", std::string_view(std::to_string(int_at(status, "collisionCount").value_or(0))),
                         "cannot be decremented");
}

}  // namespace

void validate_deployment(Draft& draft) {
  const Node& spec = draft.spec();
  check_fields(spec, common_rules, "spec", draft.errors);
  validate_selector(draft, "deployment");
  if (const Node* made = spec.find("template"); template_changed(draft, made)) validate_made_pods(draft, made, "ReplicaSet");
  validate_deployment_strategy(spec, draft.errors);
  const auto deadline = int_at(spec, "progressDeadlineSeconds");
  if (deadline && *deadline <= int_at(spec, "minReadySeconds").value_or(0))
    draft.errors.invalid("spec.progressDeadlineSeconds", spec.find("progressDeadlineSeconds"), "must be greater than minReadySeconds");
}

void validate_replica_set(Draft& draft) {
  const Node& spec = draft.spec();
  check_fields(spec, common_rules, "spec", draft.errors);
  validate_selector(draft, "deployment");
  if (const Node* made = spec.find("template"); template_changed(draft, made)) validate_made_pods(draft, made, "ReplicaSet");
}

void validate_stateful_set(Draft& draft) {
  const Node& spec = draft.spec();
  FieldErrors& errors = draft.errors;
  check_fields(spec, common_rules, "spec", errors);
  constexpr FieldRule rules[] = {{"ordinals.start", Check::not_negative},
                                 {"persistentVolumeClaimRetentionPolicy.whenDeleted", Check::one_of, "Retain Delete"},
                                 {"persistentVolumeClaimRetentionPolicy.whenScaled", Check::one_of, "Retain Delete"}};
  check_fields(spec, rules, "spec", errors);
  const std::string_view management = spec.string_at("podManagementPolicy");
  if (management != "OrderedReady" && management != "Parallel" && !management.empty())
    errors.invalid_string("spec.podManagementPolicy", management, "must be 'OrderedReady' or 'Parallel'");
  const Node* selector = spec.find("selector");
  if (!present(selector)) errors.required("spec.selector");
  else validate_label_selector(*selector, "spec.selector", errors);
  if (present(selector) && !has_value(*selector, "matchLabels") && !has_value(*selector, "matchExpressions"))
    errors.invalid("spec.selector", selector, "empty selector is invalid for statefulset");
  validate_stateful_strategy(spec, errors);
  const Node* made = spec.find("template");
  if (template_changed(draft, made)) {
    json::Document scratch;
    validate_made_pods(draft, present(made) ? &with_claims(scratch, spec, *made) : made, "StatefulSet");
  }
  if (draft.creating()) {
    for (const std::string& problem : model::check_dns1123_label(draft.name()))
      errors.invalid_string("metadata.name", draft.name(), problem);
    check_value(spec.find("serviceName"), Check::dns_label, {}, "spec.serviceName", errors);
    each(spec, "volumeClaimTemplates", "spec", [&](const Node& claim, const std::string& here) {
      if (const Node* claim_spec = claim.find("spec"); present(claim_spec)) validate_claim_spec(*claim_spec, here + ".spec", errors);
    });
    return;
  }
  for (std::string_view field : {"serviceName", "podManagementPolicy", "volumeClaimTemplates", "selector"}) {
    if (same(spec.find(field), draft.old->at("spec", field))) continue;
    return errors.forbidden("spec",
                            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
                            "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden");
  }
}

void validate_daemon_set(Draft& draft) {
  const Node& spec = draft.spec();
  check_fields(spec, common_rules, "spec", draft.errors);
  validate_selector(draft, "daemonset");
  if (const Node* made = spec.find("template"); template_changed(draft, made)) validate_made_pods(draft, made, "DaemonSet");
  validate_daemon_strategy(spec, draft.errors);
}

void validate_replication_controller(Draft& draft) {
  const Node& spec = draft.spec();
  FieldErrors& errors = draft.errors;
  check_fields(spec, common_rules, "spec", errors);
  const Node* selector = spec.find("selector");
  if (!present(selector) || selector->empty()) errors.required("spec.selector");
  const Node* made = spec.find("template");
  if (!template_changed(draft, made)) return;
  const Node* labels = made ? made->at("metadata", "labels") : nullptr;
  const bool match = !present(selector) || std::all_of(selector->begin(), selector->end(), [&](const Node& label) {
    return labels && same(labels->find(label.key()), &label);
  });
  if (!match) errors.invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`");
  validate_pod_template(made, "spec.template", errors, draft.warnings);
  if (!present(made)) return;
  const std::string_view policy = made->string_at("spec", "restartPolicy");
  if (policy != "Always") errors.not_supported("spec.template.spec.restartPolicy", policy, {"Always"});
  if (present(made->at("spec", "activeDeadlineSeconds")))
    errors.forbidden("spec.template.spec.activeDeadlineSeconds", "activeDeadlineSeconds in ReplicationController is not Supported");
}

void validate_pod_template_object(Draft& draft) {
  validate_pod_template(draft.object.find("template"), "template", draft.errors, draft.warnings);
}

void validate_controller_revision(Draft& draft) {
  require_not_negative(draft.object, "revision", "revision", draft.errors);
  const Node* data = draft.object.find("data");
  if (!draft.creating()) return require_unchanged(draft, "data");
  if (!present(data)) draft.errors.required("data", "data is mandatory");
  else if (!data->is_object()) draft.errors.required("data", "data must be a valid JSON object");
}

void validate_replica_status(Draft& draft) {
  validate_counts(
      draft, {"replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas", "fullyLabeledReplicas"},
      {"updatedReplicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas"}, "cannot be greater than readyReplicas");
}

void validate_stateful_set_status(Draft& draft) {
  validate_counts(draft, {"replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"},
                  {"readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"},
                  "cannot be greater than status.readyReplicas");
}

void validate_daemon_set_status(Draft& draft) {
  validate_counts(draft,
                  {"currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady", "updatedNumberScheduled",
                   "numberAvailable", "numberUnavailable"},
                  {}, {});
}

}  // namespace estiba::apiserver::workload
