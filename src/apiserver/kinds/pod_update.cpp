// What may change in a pod, by each of its doors: the object, its status, ephemeralcontainers and resize.
#include "apiserver/kinds/pod_update.h"

#include <algorithm>

#include "apiserver/edit.h"
#include "apiserver/kinds/field_rules.h"
#include "apiserver/kinds/pod_check.h"
#include "apiserver/kinds/pod_spec.h"
#include "apiserver/kinds/rules.h"
#include "base/strings.h"

namespace estiba::apiserver::pod {
namespace {

using json::Node;

constexpr std::string_view mirror = "kubernetes.io/config.mirror";
constexpr std::string_view apparmor_prefix = "container.apparmor.security.beta.kubernetes.io/";

const Node& nothing() {
  static const json::Document document = [] {
    json::Document made;
    made.set_root(made.make_object());
    return made;
  }();
  return document.root();
}

const Node& member(const Node& object, std::string_view key) {
  const Node* value = object.find(key);
  return present(value) ? *value : nothing();
}

// ---- annotations

void validate_annotation_changes(Draft& draft) {
  const Node &now = member(draft.metadata(), "annotations"), &before = member(member(*draft.old, "metadata"), "annotations");
  auto guard = [&](std::string_view key, std::string_view verb) {
    const std::string field = at("metadata.annotations", key);
    if (key.starts_with(apparmor_prefix)) draft.errors.forbidden(field, "may not " + std::string(verb) + " AppArmor annotations");
    if (key == mirror) draft.errors.forbidden(field, "may not " + std::string(verb) + " mirror pod annotation");
  };
  for (const Node& annotation : before) {
    if (!same(&annotation, now.find(annotation.key()))) guard(annotation.key(), "remove or update");
  }
  for (const Node& annotation : now) {
    if (!before.find(annotation.key())) guard(annotation.key(), "add");
  }
}

// ---- the spec

bool gated(const Node& spec) { return has_value(spec, "schedulingGates"); }

void validate_deadline(const Node& now, const Node& before, FieldErrors& errors) {
  const auto fresh = int_at(now, "activeDeadlineSeconds"), old = int_at(before, "activeDeadlineSeconds");
  const std::string field = "spec.activeDeadlineSeconds";
  if (old && !fresh) errors.invalid(field, "null", "must not update from a positive integer to nil value");
  if (old && fresh && *old < *fresh)
    errors.invalid(field, now.find("activeDeadlineSeconds"), "must be less than or equal to previous value");
}

// Every old toleration must be there still, but for its seconds.
void validate_toleration_changes(const Node& now, const Node& before, FieldErrors& errors) {
  constexpr std::string_view parts[] = {"key", "operator", "value", "effect"};
  const Node& fresh = member(now, "tolerations");
  for (const Node& old : member(before, "tolerations")) {
    const bool there = std::any_of(fresh.begin(), fresh.end(), [&](const Node& t) {
      return std::ranges::all_of(parts, [&](std::string_view part) { return same(t.find(part), old.find(part)); });
    });
    if (there) continue;
    return errors.forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds");
  }
}

void validate_gate_changes(const Node& now, const Node& before, FieldErrors& errors) {
  const Node& old = member(before, "schedulingGates");
  each(now, "schedulingGates", "spec", [&](const Node& gate, const std::string& here) {
    const std::string_view name = gate.string_at("name");
    if (std::any_of(old.begin(), old.end(), [&](const Node& g) { return g.string_at("name") == name; })) return;
    errors.forbidden(here + ".name", "only deletion is allowed, but found new scheduling gate '" + std::string(name) + "'");
  });
}

// Whether `now` begins with all of `before`.
bool extends(const Node& now, const Node& before, std::string_view list) {
  const Node &fresh = member(now, list), &old = member(before, list);
  if (fresh.size() < old.size()) return false;
  auto next = fresh.begin();
  for (const Node& element : old) {
    if (!json::equal(element, *next)) return false;
    ++next;
  }
  return true;
}

constexpr std::string_view required_terms = "requiredDuringSchedulingIgnoredDuringExecution";

const Node* required_node_terms(const Node& spec) { return spec.at("affinity", "nodeAffinity", required_terms, "nodeSelectorTerms"); }

// A pod that waits at a gate may be bound more narrowly.
void validate_gated(const Node& now, const Node& before, FieldErrors& errors) {
  const Node& selector = member(now, "nodeSelector");
  for (const Node& label : member(before, "nodeSelector")) {
    if (same(&label, selector.find(label.key()))) continue;
    errors.invalid("spec.nodeSelector", &selector, "only additions to spec.nodeSelector are allowed (no mutations or deletions)");
    break;
  }
  const std::string path = "spec.affinity.nodeAffinity." + std::string(required_terms) + ".nodeSelectorTerms";
  const Node *old = required_node_terms(before), *fresh = required_node_terms(now);
  if (!present(old) || old->empty()) return;
  if (!present(fresh) || fresh->size() != old->size())
    return errors.invalid(path, fresh, "no additions/deletions to non-empty NodeSelectorTerms list are allowed");
  for (uint32_t i = 0; i < old->size(); i++) {
    const Node &term = (*fresh)[i], &was = (*old)[i];
    const bool was_empty = !has_value(was, "matchExpressions") && !has_value(was, "matchFields");
    const bool filled = has_value(term, "matchExpressions") || has_value(term, "matchFields");
    if ((was_empty && filled) || !extends(term, was, "matchExpressions") || !extends(term, was, "matchFields"))
      errors.invalid(at(path, i), &term, "only additions are allowed (no mutations or deletions)");
  }
}

// The old spec with what an update may change taken from the new one; everything else must stay.
void take_mutable_fields(json::Document& doc, Node& to, const Node& from) {
  for (std::string_view field : {"activeDeadlineSeconds", "tolerations", "schedulingGates"}) set_copy(doc, to, field, from.find(field));
  if (int_at(to, "terminationGracePeriodSeconds").value_or(0) < 0 && int_at(from, "terminationGracePeriodSeconds") == 1)
    set_copy(doc, to, "terminationGracePeriodSeconds", from.find("terminationGracePeriodSeconds"));
  for (std::string_view list : {"containers", "initContainers"}) {
    Node* old_list = to.find(list);
    const Node* new_list = from.find(list);
    if (!present(old_list) || !present(new_list)) continue;
    auto fresh = new_list->begin();
    for (Node& container : *old_list) {
      set_copy(doc, container, "image", fresh->find("image"));
      ++fresh;
    }
  }
  if (!gated(to)) return;
  set_copy(doc, to, "nodeSelector", from.find("nodeSelector"));
  const Node* affinity = from.at("affinity", "nodeAffinity");
  if (present(affinity) || present(to.at("affinity", "nodeAffinity"))) set_copy(doc, ensure(doc, to, "affinity"), "nodeAffinity", affinity);
  if (const Node* now = to.find("affinity"); present(now) && now->empty() && !has(from, "affinity")) doc.remove(to, "affinity");
}

bool same_containers(Draft& draft, std::string_view list, std::string_view told) {
  const Node &now = member(draft.spec(), list), &before = member(member(*draft.old, "spec"), list);
  if (now.size() == before.size()) return true;
  draft.errors.forbidden("spec." + std::string(list), told);
  return false;
}

}  // namespace

void validate_update(Draft& draft) {
  validate_annotation_changes(draft);
  validate_annotations(draft);
  const Node* before = draft.old->find("spec");
  if (!before || same(before, draft.object.find("spec"))) return;
  const Node& now = draft.spec();
  FieldErrors& errors = draft.errors;
  validate_pod_spec(now, "spec", errors, &draft.metadata());
  for (std::string_view list : {"containers", "initContainers"}) {
    if (!same_containers(draft, list, "pod updates may not add or remove containers")) return;
  }
  validate_deadline(now, *before, errors);
  validate_toleration_changes(now, *before, errors);
  validate_gate_changes(now, *before, errors);
  if (gated(*before)) validate_gated(now, *before, errors);
  json::Document scratch;
  Node& allowed = scratch.copy(*before);
  take_mutable_fields(scratch, allowed, now);
  if (json::equal(allowed, now)) return;
  errors.forbidden("spec",
                   "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
                   "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
                   "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)");
}

void validate_annotations(Draft& draft) {
  const Node& annotations = member(draft.metadata(), "annotations");
  constexpr std::string_view cost = "controller.kubernetes.io/pod-deletion-cost";
  if (const Node* value = annotations.find(cost)) {
    const std::string_view text = value->as_string();
    if (!parse_number<int32_t>(text.starts_with('+') ? text.substr(1) : text))
      draft.errors.invalid_string(at("metadata.annotations", cost), text, "must be a 32bit integer");
  }
  const Node* mirrored = annotations.find(mirror);
  if (mirrored && !has_value(draft.spec(), "nodeName"))
    draft.errors.invalid_string(at("metadata.annotations", mirror), mirrored->as_string(),
                                "must set spec.nodeName if mirror pod annotation is set");
}

namespace {

// ---- the status

// Whether a restart of all may bring any container of the pod back.
bool all_may_restart(const Node& spec) {
  for (std::string_view list : {"containers", "initContainers"})
    for (const Node& container : member(spec, list))
      for (const Node& rule : member(container, "restartPolicyRules"))
        if (rule.string_at("action") == "RestartAllContainers") return true;
  return false;
}

// By the first rule for its exit code, else by its policy or its pod's.
bool may_start_again(const Node& container, std::string_view policy, int64_t code) {
  if (const std::string_view own = container.string_at("restartPolicy"); !own.empty()) policy = own;
  for (const Node& rule : member(container, "restartPolicyRules")) {
    const Node& codes = member(rule, "exitCodes");
    bool listed = false;
    for (const Node& value : member(codes, "values")) listed |= value.as_int() == code;
    if (listed == (codes.string_at("operator") == "In")) return true;
  }
  return policy == "OnFailure" ? code != 0 : policy != "Never";
}

// A container whose pod says that it ends once cannot come back.
void validate_ended_containers(Draft& draft, std::string_view list, std::string_view statuses) {
  const Node& spec = draft.spec();
  if (all_may_restart(spec)) return;
  const Node& containers = member(spec, list);
  const Node& before = member(member(*draft.old, "status"), statuses);
  each(member(draft.object, "status"), statuses, "status", [&](const Node& status, const std::string& here) {
    const std::string_view name = status.string_at("name");
    const auto named = [&](const Node& node) { return node.string_at("name") == name; };
    const auto old = std::find_if(before.begin(), before.end(), named),
               container = std::find_if(containers.begin(), containers.end(), named);
    if (old == before.end() || container == containers.end()) return;
    const Node* ended = old->at("state", "terminated");
    if (!present(ended) || present(status.at("state", "terminated"))) return;
    if (may_start_again(*container, spec.string_at("restartPolicy"), int_at(*ended, "exitCode").value_or(0))) return;
    draft.errors.forbidden(here + ".state", "may not be transitioned to non-terminated state");
  });
}

void validate_addresses(const Node& status, FieldErrors& errors) {
  constexpr FieldRule rules[] = {{"podIPs[].ip", Check::ip}, {"hostIPs[].ip", Check::ip}, {"nominatedNodeName", Check::dns_subdomain}};
  check_fields(status, rules, "status", errors);
  if (const Node* hosts = status.find("hostIPs"); present(hosts) && !hosts->empty()) {
    const std::string_view first = (*hosts)[0].string_at("ip");
    if (first != status.string_at("hostIP")) errors.invalid_string("status.hostIPs[0].ip", first, "must be equal to `hostIP`");
  }
}

void validate_status_update(Draft& draft) {
  const Node& status = member(draft.object, "status");
  const Node& before = member(*draft.old, "status");
  FieldErrors& errors = draft.errors;
  each(status, "conditions", "status", [&](const Node& condition, const std::string& here) {
    require_qualified_name(condition.string_at("type"), here + ".Type", errors);
    if (int_at(condition, "observedGeneration").value_or(0) < 0)
      errors.invalid(here + ".observedGeneration", condition.find("observedGeneration"), "must be a non-negative integer");
  });
  if (int_at(status, "observedGeneration").value_or(0) < 0)
    errors.invalid("status.observedGeneration", status.find("observedGeneration"), "must be a non-negative integer");
  const std::string_view nominated = status.string_at("nominatedNodeName");
  if (!nominated.empty() && nominated != before.string_at("nominatedNodeName") && has_value(draft.spec(), "nodeName"))
    errors.forbidden("status.nominatedNodeName", "may not be set on pods that are already bound to a node");
  if (!same(status.find("qosClass"), before.find("qosClass")))
    errors.invalid("status.qosClass", status.find("qosClass"), "field is immutable");
  validate_addresses(status, errors);
  validate_ended_containers(draft, "containers", "containerStatuses");
  validate_ended_containers(draft, "initContainers", "initContainerStatuses");
}

// ---- ephemeral containers

void validate_ephemeral_update(Draft& draft) {
  const Node& now = member(draft.spec(), "ephemeralContainers");
  validate_pod_spec(draft.spec(), "spec", draft.errors, &draft.metadata());
  if (draft.old->at("metadata", "annotations", mirror)) draft.errors.forbidden("", "static pods do not support ephemeral containers");
  for (const Node& old : member(member(*draft.old, "spec"), "ephemeralContainers")) {
    const std::string_view name = old.string_at("name");
    const auto fresh = std::find_if(now.begin(), now.end(), [&](const Node& c) { return c.string_at("name") == name; });
    const std::string_view verb = fresh == now.end() ? "removed" : json::equal(old, *fresh) ? "" : "changed";
    if (!verb.empty())
      draft.errors.forbidden("spec.ephemeralContainers",
                             "existing ephemeral containers " + quoted(name) + " may not be " + std::string(verb));
  }
}

// ---- resize

bool lacks_one_of(const Node& now, const Node& before, std::string_view part) {
  const Node& fresh = member(now, part);
  const Node& old = member(before, part);
  return std::any_of(old.begin(), old.end(), [&](const Node& quantity) { return !fresh.find(quantity.key()); });
}

// Whether more than cpu and memory differs.
bool differs_elsewhere(const Node& now, const Node& before) {
  for (std::string_view part : {"limits", "requests"}) {
    const Node &fresh = member(now, part), &old = member(before, part);
    auto counts = [](const Node& quantity) { return quantity.key() != "cpu" && quantity.key() != "memory"; };
    for (const Node& quantity : fresh) {
      if (counts(quantity) && !same(&quantity, old.find(quantity.key()))) return true;
    }
    for (const Node& quantity : old) {
      if (counts(quantity) && !fresh.find(quantity.key())) return true;
    }
  }
  return !same(now.find("claims"), before.find("claims"));
}

void validate_resized(const Node& now, const Node& before, const std::string& path, std::string_view what, FieldErrors& errors) {
  for (std::string_view part : {"requests", "limits"}) {
    if (!lacks_one_of(now, before, part)) continue;
    const std::string kind(part.substr(0, part.size() - 1));
    errors.forbidden(path + "." + std::string(part), std::string(what) + kind + "s cannot be removed");
  }
  if (differs_elsewhere(now, before)) errors.forbidden("spec", "only cpu and memory resources are mutable");
}

void validate_resized_list(Draft& draft, std::string_view list) {
  const Node &now = member(draft.spec(), list), &before = member(member(*draft.old, "spec"), list);
  FieldErrors& errors = draft.errors;
  for (uint32_t i = 0; i < now.size(); i++) {
    const std::string path = at("spec." + std::string(list), i);
    if (now[i].string_at("name") != before[i].string_at("name")) {
      errors.forbidden(path + ".name", std::string(list) + " may not be renamed or reordered on resize");
      continue;
    }
    const Node &fresh = member(now[i], "resources"), &old = member(before[i], "resources");
    if (json::equal(fresh, old)) continue;
    validate_resized(fresh, old, path + ".resources", "resource ", errors);
    if (list != "initContainers" || now[i].string_at("restartPolicy") == "Always") continue;
    each(now[i], "resizePolicy", path, [&](const Node& policy, const std::string&) {
      if (policy.string_at("restartPolicy") == "RestartContainer")
        errors.forbidden(path, "non-sidecar init containers with a resize policy of RestartContainer cannot be resized");
    });
  }
}

void validate_resize(Draft& draft) {
  FieldErrors& errors = draft.errors;
  const Node& before = member(*draft.old, "spec");
  validate_pod_spec(draft.spec(), "spec", errors, &draft.metadata());
  if (draft.old->at("metadata", "annotations", mirror)) errors.forbidden("", "static pods cannot be resized");
  if (before.string_at("os", "name") == "windows") errors.forbidden("", "windows pods cannot be resized");
  const std::string_view was = qos_class(before), is = qos_class(draft.spec());
  if (was != is) errors.invalid_string("spec", was, "Pod QOS Class may not change as a result of resizing");
  for (std::string_view list : {"containers", "initContainers"}) {
    if (same_containers(draft, list, std::string(list) + " may not be added or removed on resize")) validate_resized_list(draft, list);
  }
  const Node &now = member(draft.spec(), "resources"), &old = member(before, "resources");
  if (!json::equal(now, old)) validate_resized(now, old, "spec.resources", "pod-level resource ", errors);
}

}  // namespace

void validate_part(Draft& draft) {
  const std::string_view door = draft.action.subresource;
  if (door == "status") validate_status_update(draft);
  else if (door == "ephemeralcontainers") validate_ephemeral_update(draft);
  else if (door == "resize") validate_resize(draft);
}

}  // namespace estiba::apiserver::pod
