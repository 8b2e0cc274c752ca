#include "apiserver/metadata.h"

#include "apiserver/edit.h"
#include "apiserver/kinds/rules.h"
#include "base/strings.h"
#include "base/time.h"
#include "model/custom/definition.h"

namespace estiba::apiserver {
namespace {

constexpr size_t max_annotation_bytes = 256 * 1024;

void validate_name(Draft& draft) {
  std::string name(draft.name());
  if (name.empty()) return draft.errors.required("metadata.name", "name or generateName is required");
  std::string_view kind = draft.action.resource->kind, group = draft.action.resource->group;
  // What is named after something else: roles after anything, APIServices VERSION.GROUP, where the group may be empty.
  if (group == "rbac.authorization.k8s.io" || group == "apiregistration.k8s.io") require_path_segment(name, "metadata.name", draft.errors);
  else if (group.empty() && kind == "Namespace") require_dns_label(name, "metadata.name", draft.errors);
  else if (group.empty() && kind == "Service") require_dns_label(name, "metadata.name", draft.errors);
  else if (group == "certificates.k8s.io" && kind != "PodCertificateRequest") require_path_segment(name, "metadata.name", draft.errors);
  else if (group == "networking.k8s.io" && kind == "IPAddress") return;  // an address: kinds/networking.cpp
  else if (group == "coordination.k8s.io" && kind == "LeaseCandidate") require_path_segment(name, "metadata.name", draft.errors);
  else require_dns_subdomain(name, "metadata.name", draft.errors);
}

void validate_annotations(const json::Node& metadata, FieldErrors& errors) {
  const json::Node* annotations = metadata.find("annotations");
  if (!present(annotations)) return;
  size_t total = 0;
  for (const json::Node& annotation : *annotations) {
    require_qualified_name(to_lower(annotation.key()), "metadata.annotations", errors);
    total += annotation.key().size() + annotation.as_string().size();
  }
  if (total > max_annotation_bytes) errors.too_long("metadata.annotations", max_annotation_bytes);
}

void validate_owners(const json::Node& metadata, FieldErrors& errors) {
  const json::Node* owners = metadata.find("ownerReferences");
  if (!present(owners)) return;
  size_t i = 0, controllers = 0;
  for (const json::Node& owner : *owners) {
    std::string path = at("metadata.ownerReferences", i++);
    for (std::string_view field : {"apiVersion", "kind", "name", "uid"}) {
      if (!has_value(owner, field)) errors.invalid_string(path + "." + std::string(field), "", std::string(field) + " must not be empty");
    }
    const json::Node* controller = owner.find("controller");
    if (controller && controller->as_bool() && ++controllers == 2) {
      errors.invalid("metadata.ownerReferences", owners, "Only one reference can have Controller set to true");
    }
  }
}

void validate_finalizers(Draft& draft) {
  const json::Node* finalizers = draft.metadata().find("finalizers");
  if (!present(finalizers)) return;
  const json::Node* before = draft.old ? draft.old->at("metadata", "finalizers") : nullptr;
  bool deleting = draft.old && !draft.old->string_at("metadata", "deletionTimestamp").empty();
  size_t i = 0;
  for (const json::Node& finalizer : *finalizers) {
    std::string path = at("metadata.finalizers", i++);
    require_qualified_name(finalizer.as_string(), path, draft.errors);
    bool known =
        before && std::any_of(before->begin(), before->end(), [&](const json::Node& f) { return f.as_string() == finalizer.as_string(); });
    if (deleting && !known) {
      draft.errors.forbidden("metadata.finalizers",
                             "no new finalizers can be added if the object is being deleted, found new finalizers []string{" +
                                 quoted(finalizer.as_string()) + "}");
    }
  }
}

}  // namespace

void fill_new_metadata(Draft& draft, bool generation, WallTime now) {
  json::Node& metadata = draft.metadata();
  for (std::string_view field : {"resourceVersion", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"}) {
    draft.doc.remove(metadata, field);
  }
  draft.doc.set(metadata, "uid", random_uuid());
  draft.doc.set(metadata, "creationTimestamp", format_rfc3339(now));
  if (generation) set_int(draft.doc, metadata, "generation", 1);
}

bool spec_changed(const json::Node& before, const json::Node& now, bool with_status) {
  auto counts = [=](std::string_view key) {
    return key != "metadata" && (with_status || key != "status") && key != "apiVersion" && key != "kind";
  };
  for (const json::Node& member : now) {
    if (counts(member.key()) && !same(before.find(member.key()), &member)) return true;
  }
  for (const json::Node& member : before) {
    if (counts(member.key()) && !now.find(member.key()) && !member.is_null()) return true;
  }
  return false;
}

namespace {

// Some metadata counts like the spec: what controllers copy from a Deployment, and whom an EndpointSlice belongs to.
bool metadata_changed(const Draft& draft) {
  const std::string_view kind = draft.action.resource->kind;
  const std::string_view counted = kind == "Deployment" ? "annotations" : kind == "EndpointSlice" ? "labels" : "";
  return !counted.empty() && !same(draft.old->at("metadata", counted), draft.object.at("metadata", counted));
}

}  // namespace

void keep_metadata(Draft& draft, bool generation) {
  json::Node& metadata = draft.metadata();
  const json::Node* old = draft.old->find("metadata");
  draft.doc.remove(metadata, "selfLink");
  for (std::string_view field :
       {"uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds", "generateName"}) {
    set_copy(draft.doc, metadata, field, old ? old->find(field) : nullptr);
  }
  for (std::string_view field : {"labels", "annotations", "finalizers", "ownerReferences"}) {
    const json::Node* value = metadata.find(field);
    if (value && (value->is_null() || value->empty())) draft.doc.remove(metadata, field);
  }
  const model::CustomVersion* custom = model::custom_of(*draft.action.resource);
  const bool changed = spec_changed(*draft.old, draft.object, custom && !custom->status) || (!custom && metadata_changed(draft));
  if (!generation || !changed) return;
  const json::Node* count = metadata.find("generation");
  set_int(draft.doc, metadata, "generation", (count ? count->as_int().value_or(0) : 0) + 1);
}

void validate_metadata(Draft& draft) {
  if (draft.creating()) validate_name(draft);
  const json::Node& metadata = draft.metadata();
  validate_labels(metadata.find("labels"), "metadata.labels", draft.errors);
  validate_annotations(metadata, draft.errors);
  validate_owners(metadata, draft.errors);
  validate_finalizers(draft);
}

}  // namespace estiba::apiserver
