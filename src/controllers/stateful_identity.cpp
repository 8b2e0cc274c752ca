#include "controllers/stateful_identity.h"

#include <algorithm>

#include "base/strings.h"
#include "client/json_writer.h"
#include "controllers/owned.h"
#include "controllers/pod_control.h"
#include "controllers/revision_history.h"

namespace estiba::controllers {

using client::JsonWriter;
using model::Meta;
using model::ObjectRef;
using model::apps_v1::StatefulSet;

constexpr std::string_view pod_name_label = "statefulset.kubernetes.io/pod-name";
constexpr std::string_view pod_index_label = "apps.kubernetes.io/pod-index";

StatefulName parse_stateful_name(std::string_view pod) {
  const size_t dash = pod.rfind('-');
  if (dash == std::string_view::npos) return {};
  const std::string_view digits = pod.substr(dash + 1);
  if (digits.empty() || digits[0] == '-') return {};
  const auto ordinal = parse_number<int32_t>(digits);
  return ordinal ? StatefulName{pod.substr(0, dash), *ordinal} : StatefulName{};
}

bool is_stateful_member(const Meta& set, const Meta& pod) {
  const StatefulName name = parse_stateful_name(pod.name);
  return name.ordinal >= 0 && name.set == set.name;
}

static std::string pod_name(const Meta& set, int64_t ordinal) { return set.name + "-" + std::to_string(ordinal); }

bool has_stateful_identity(const Meta& set, const Meta& pod) {
  return is_stateful_member(set, pod) && pod.name == pod_name(set, parse_stateful_name(pod.name).ordinal) &&
         pod.label(pod_name_label) == pod.name;
}

std::string stateful_identity_patch(const Meta& pod) {
  JsonWriter json;
  json.object().object("metadata").field("uid", pod.uid).object("labels").field(pod_name_label, pod.name);
  json.field(pod_index_label, std::to_string(parse_stateful_name(pod.name).ordinal)).end().end().end();
  return json.take();
}

// --- the pod ---------------------------------------------------------------------------------------------------------

static std::string claim_name(const std::string& claim, const Meta& set, int64_t ordinal) { return claim + "-" + pod_name(set, ordinal); }

// The volumes of the claims come first and win over the template's of the same name.
static void put_volumes(json::Document& doc, json::Node& spec, const ObjectRef& set, int64_t ordinal) {
  const auto& claims = set.as<StatefulSet>().spec.volumeClaimTemplates;
  if (claims.empty()) return;
  json::Node& volumes = doc.make_array();
  for (const auto& claim : claims) {
    json::Node& volume = doc.append(volumes, doc.make_object());
    doc.set(volume, "name", claim.metadata.name);
    doc.set(doc.ensure_object(volume, "persistentVolumeClaim"), "claimName", claim_name(claim.metadata.name, set.meta(), ordinal));
  }
  if (const json::Node* given = spec.find("volumes"))
    for (const json::Node& volume : *given) {
      const auto covered = [&](const auto& claim) { return claim.metadata.name == volume.string_at("name"); };
      if (std::none_of(claims.begin(), claims.end(), covered)) doc.append(volumes, doc.copy(volume));
    }
  doc.set(spec, "volumes", volumes);
}

Result<std::string> stateful_pod_body(const ObjectRef& set, const ObjectRef& revision, int64_t ordinal) {
  const json::Document given = TRY(json::Document::parse(TRY(template_of_revision(revision))));
  const std::string name = pod_name(set.meta(), ordinal);
  return pod_from_template(set, given.root(), [&](json::Document& doc, json::Node& pod) {
    json::Node& metadata = doc.ensure_object(pod, "metadata");
    doc.set(metadata, "name", name);
    json::Node& labels = doc.ensure_object(metadata, "labels");
    doc.set(labels, pod_name_label, name);
    doc.set(labels, pod_index_label, std::to_string(ordinal));
    doc.set(labels, revision_hash_label, revision.meta().name);
    json::Node& spec = doc.ensure_object(pod, "spec");
    doc.set(spec, "hostname", name);
    if (const std::string& service = set.as<StatefulSet>().spec.serviceName; !service.empty()) doc.set(spec, "subdomain", service);
    put_volumes(doc, spec, set, ordinal);
  });
}

// --- claims ----------------------------------------------------------------------------------------------------------

std::vector<std::string> claim_names(const ObjectRef& set, int64_t ordinal) {
  std::vector<std::string> names;
  for (const auto& claim : set.as<StatefulSet>().spec.volumeClaimTemplates)
    names.push_back(claim_name(claim.metadata.name, set.meta(), ordinal));
  return names;
}

Result<std::string> claim_body(const ObjectRef& set, size_t i, int64_t ordinal) {
  const json::Document parsed = TRY(json::Document::parse(set.object->json()));
  const json::Node* templates = parsed.root().at("spec", "volumeClaimTemplates");
  if (!templates || i >= templates->size()) return fail(Code::invalid, client::key_of(set) + ": spec.volumeClaimTemplates is too short");
  json::Document doc;
  json::Node& claim = doc.copy((*templates)[uint32_t(i)]);
  doc.set_root(claim);
  doc.set(claim, "apiVersion", "v1");
  doc.set(claim, "kind", "PersistentVolumeClaim");
  doc.remove(claim, "status");
  json::Node& metadata = doc.ensure_object(claim, "metadata");
  doc.set(metadata, "name", claim_name(std::string(metadata.string_at("name")), set.meta(), ordinal));
  doc.set(metadata, "namespace", set.meta().ns);
  json::Node& labels = doc.ensure_object(metadata, "labels");
  for (const auto& [key, value] : set.as<StatefulSet>().spec.selector.matchLabels) doc.set(labels, key, value);
  return json::print(claim);
}

static bool deletes_when_scaled(const ObjectRef& set) {
  const auto& policy = set.as<StatefulSet>().spec.persistentVolumeClaimRetentionPolicy;
  return policy && policy->whenScaled == "Delete";
}
static bool deletes_when_deleted(const ObjectRef& set) {
  const auto& policy = set.as<StatefulSet>().spec.persistentVolumeClaimRetentionPolicy;
  return policy && policy->whenDeleted == "Delete";
}

static bool refers(const model::Owner& owner, std::string_view version, std::string_view kind, std::string_view name) {
  return owner.api_version == version && owner.kind == kind && owner.name == name;
}
static bool refers_to_set(const model::Owner& owner, const ObjectRef& set) {
  return refers(owner, "apps/v1", "StatefulSet", set.meta().name);
}
static bool refers_to_pod(const model::Owner& owner, const std::string& pod) { return refers(owner, "v1", "Pod", pod); }

bool claim_has_other_controller(const ObjectRef& claim, const ObjectRef& set, const Meta& pod) {
  if (!deletes_when_scaled(set) && !deletes_when_deleted(set)) return false;
  const auto& owners = claim.meta().owners;
  return std::any_of(owners.begin(), owners.end(), [&](const model::Owner& owner) {
    if (refers_to_set(owner, set)) return owner.uid != set.meta().uid;
    if (refers_to_pod(owner, pod.name)) return owner.uid != pod.uid;
    return owner.controller;
  });
}

bool claim_is_stale(const ObjectRef& claim, const ObjectRef& set, const std::string& pod) {
  const auto& owners = claim.meta().owners;
  return deletes_when_scaled(set) &&
         std::any_of(owners.begin(), owners.end(), [&](const model::Owner& owner) { return refers_to_pod(owner, pod); });
}

std::string claim_owners_patch(const ObjectRef& claim, const ObjectRef& set, const Meta& pod, bool scaled_down) {
  bool by_set = false, by_pod = false, not_controller = false;
  for (const model::Owner& owner : claim.meta().owners) {
    const bool stale =
        (refers_to_set(owner, set) && owner.uid != set.meta().uid) || (refers_to_pod(owner, pod.name) && owner.uid != pod.uid);
    if (stale) return {};
    const bool is_set = owner.uid == set.meta().uid, is_pod = owner.uid == pod.uid;
    by_set |= is_set;
    by_pod |= is_pod;
    not_controller |= (is_set || is_pod) && !owner.controller;
  }
  bool want_pod = deletes_when_scaled(set) && scaled_down;
  bool want_set = deletes_when_deleted(set) && !want_pod;
  const bool other = claim_has_other_controller(claim, set, pod);
  if (other) want_pod = want_set = false;
  if (by_set == want_set && by_pod == want_pod && (other || !not_controller)) return {};

  JsonWriter json;
  json.object()
      .object("metadata")
      .field("uid", claim.meta().uid)
      .field("resourceVersion", claim.resource_version())
      .array("ownerReferences");
  for (const model::Owner& owner : claim.meta().owners)
    if (!refers_to_set(owner, set) && !refers_to_pod(owner, pod.name)) write_owner(json, owner);
  if (want_set) write_controller_reference(json, set.meta());
  if (want_pod) write_controller_reference(json, pod);
  json.end().end().end();
  return json.take();
}

}  // namespace estiba::controllers
