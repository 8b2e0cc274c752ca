#include "apiserver/kinds/pod.h"

#include "apiserver/api_errors.h"
#include "apiserver/cluster.h"
#include "apiserver/edit.h"
#include "apiserver/kinds/pod_spec.h"
#include "base/strings.h"

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

// Fields of the spec that an update may change; everything else must stay.
void copy_mutable_fields(json::Document& doc, json::Node& to, const json::Node& from) {
  set_copy(doc, to, "activeDeadlineSeconds", from.find("activeDeadlineSeconds"));
  set_copy(doc, to, "tolerations", from.find("tolerations"));
  set_copy(doc, to, "terminationGracePeriodSeconds", from.find("terminationGracePeriodSeconds"));
  set_copy(doc, to, "schedulingGates", from.find("schedulingGates"));
  for (std::string_view list : {"containers", "initContainers"}) {
    json::Node* old_list = to.find(list);
    const json::Node* new_list = from.find(list);
    if (!old_list || !new_list || old_list->size() != new_list->size()) continue;
    auto fresh = new_list->begin();
    for (json::Node& container : *old_list) {
      set_copy(doc, container, "image", fresh->find("image"));
      ++fresh;
    }
  }
}

void validate_update(Draft& draft) {
  const json::Node* old_spec = draft.old->find("spec");
  if (!old_spec || same(old_spec, draft.object.find("spec"))) return;
  json::Document scratch;
  json::Node& allowed = scratch.copy(*old_spec);
  copy_mutable_fields(scratch, allowed, draft.spec());
  if (json::equal(allowed, draft.spec())) return;
  draft.errors.forbidden("spec",
                         "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
                         "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
                         "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)");
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
  if (draft.creating()) validate_pod_spec(draft.spec(), "spec", draft.errors);
  else validate_update(draft);
}

}  // namespace estiba::apiserver::pod
