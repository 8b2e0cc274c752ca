#include "apiserver/kinds/pod.h"

#include "apiserver/edit.h"
#include "apiserver/kinds/pod_spec.h"
#include "apiserver/kinds/pod_update.h"
#include "apiserver/kinds/pod_warnings.h"

namespace estiba::apiserver::pod {
namespace {

// Limits stand for requests that are not given.
void default_requests(json::Document& doc, json::Node& spec) {
  for (std::string_view list : {"containers", "initContainers"}) {
    json::Node* containers = spec.find(list);
    if (!containers) continue;
    for (json::Node& container : *containers) {
      json::Node* resources = container.find("resources");
      json::Node* limits = resources ? resources->find("limits") : nullptr;
      if (!present(limits) || limits->empty()) continue;
      json::Node& requests = ensure(doc, *resources, "requests");
      for (const json::Node& limit : *limits) {
        if (!has(requests, limit.key())) set_copy(doc, requests, limit.key(), &limit);
      }
    }
  }
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
  default_bool(doc, spec, "enableServiceLinks", true);
}

void prepare(Draft& draft) {
  if (draft.creating()) {
    json::Node& status = draft.doc.make_object();
    draft.doc.set(status, "phase", "Pending");
    draft.doc.set(status, "qosClass", qos_class(draft.spec()));
    draft.doc.set(draft.object, "status", status);
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
