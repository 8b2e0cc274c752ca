#include "apiserver/kinds/pod.h"

#include "apiserver/cluster.h"
#include "apiserver/edit.h"
#include "apiserver/kinds/pod_label_keys.h"
#include "apiserver/kinds/pod_spec.h"
#include "apiserver/kinds/pod_update.h"
#include "apiserver/kinds/pod_warnings.h"
#include "apiserver/kinds/resource_names.h"
#include "base/time.h"
#include "model/quota.h"

namespace estiba::apiserver::pod {
namespace {

// Containers and init containers.
void each_container(json::Node& spec, auto&& visit) {
  for (std::string_view list : {"containers", "initContainers"})
    if (json::Node* containers = spec.find(list))
      for (json::Node& container : *containers) visit(container);
}

// Limits stand for requests that are not given.
void default_requests(json::Document& doc, json::Node& spec) {
  each_container(spec, [&](json::Node& container) {
    json::Node* resources = container.find("resources");
    json::Node* limits = resources ? resources->find("limits") : nullptr;
    if (!present(limits) || limits->empty()) return;
    json::Node& requests = ensure(doc, *resources, "requests");
    for (const json::Node& limit : *limits) {
      if (!has(requests, limit.key())) set_copy(doc, requests, limit.key(), &limit);
    }
  });
}

// With the host's network, the ports of containers are the host's. Pods only: a template stays as it was written.
void default_host_ports(json::Document& doc, json::Node& spec) {
  each_container(spec, [&](json::Node& container) {
    json::Node* ports = container.find("ports");
    if (!ports) return;
    for (json::Node& port : *ports)
      if (!has_value(port, "hostPort") && has(port, "containerPort")) set_copy(doc, port, "hostPort", port.find("containerPort"));
  });
}

// What a pod asks for as a whole, where it says something of that: huge pages as its containers limit them, requests as its
// containers make them, or else as the pod's own limits.
void default_pod_resources(json::Document& doc, json::Node& spec) {
  json::Node* resources = spec.find("resources");
  if (!present(resources) || (!has_value(*resources, "limits") && !has_value(*resources, "requests"))) return;
  for (const auto& [name, amount] : model::pod_resources(spec, "limits", false)) {
    const bool known = present(resources->at("limits", name)) || present(resources->at("requests", name));
    if (is_hugepage(name) && !known) doc.set(ensure(doc, *resources, "limits"), name, amount.print());
  }
  const json::Node* limits = resources->find("limits");
  if (!present(limits) || limits->empty()) return;
  for (const auto& [name, amount] : model::pod_resources(spec, "requests", false)) {
    if ((name == "cpu" || name == "memory") && !present(resources->at("requests", name)))
      doc.set(ensure(doc, *resources, "requests"), name, amount.print());
  }
  for (const json::Node& limit : *limits) {
    const std::string_view name = limit.key();
    const bool supported = name == "cpu" || name == "memory" || is_hugepage(name);
    if (supported && !present(resources->at("requests", name))) set_copy(doc, ensure(doc, *resources, "requests"), name, &limit);
  }
}

void set_gated(Draft& draft) {
  if (!has_value(draft.spec(), "schedulingGates")) return;
  json::Node& condition = draft.doc.make_object();
  draft.doc.set(condition, "type", "PodScheduled");
  draft.doc.set(condition, "status", "False");
  draft.doc.set(condition, "lastTransitionTime", format_rfc3339(draft.cluster.now()));
  draft.doc.set(condition, "reason", "SchedulingGated");
  draft.doc.set(condition, "message", "Scheduling is blocked due to non-empty scheduling gates");
  draft.doc.append(ensure_array(draft.doc, draft.status(), "conditions"), condition);
}

}  // namespace

const SelectableField fields[8] = {
    {"spec.nodeName", "", ""},         {"spec.restartPolicy", "", ""}, {"spec.schedulerName", "", ""}, {"spec.serviceAccountName", "", ""},
    {"spec.hostNetwork", "", "false"}, {"status.phase", "", ""},       {"status.podIP", "", ""},       {"status.nominatedNodeName", "", ""},
};

void defaults(json::Document& doc, json::Node& object) {
  json::Node& spec = ensure(doc, object, "spec");
  default_pod_spec(doc, spec);
  default_requests(doc, spec);
  default_pod_resources(doc, spec);
  if (has_value(spec, "hostNetwork")) default_host_ports(doc, spec);
  default_bool(doc, spec, "enableServiceLinks", true);
}

void prepare(Draft& draft) {
  if (draft.creating()) {
    json::Node& status = draft.doc.make_object();
    draft.doc.set(status, "phase", "Pending");
    draft.doc.set(status, "qosClass", qos_class(draft.spec()));
    draft.doc.set(draft.object, "status", status);
    set_gated(draft);
    merge_label_keys(draft.doc, draft.spec(), draft.metadata().find("labels"));
    return;
  }
  draft.keep_old("status");
}

void validate(Draft& draft) {
  warn_about_pod(draft.object, "", draft.warnings);
  if (!draft.creating()) return validate_update(draft);
  const json::Node& spec = draft.spec();
  validate_annotations(draft);
  validate_pod_spec(spec, "spec", draft.errors, &draft.metadata());
  if (has_value(spec, "ephemeralContainers")) draft.errors.forbidden("spec.ephemeralContainers", "cannot be set on create");
  if (has_value(spec, "nodeName") && has_value(spec, "schedulingGates"))
    draft.errors.forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared");
}

}  // namespace estiba::apiserver::pod
