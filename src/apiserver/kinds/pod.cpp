#include "apiserver/kinds/pod.h"

#include "apiserver/api_errors.h"
#include "apiserver/cluster.h"
#include "apiserver/edit.h"
#include "apiserver/kinds/pod_spec.h"
#include "base/strings.h"

namespace estiba::apiserver::pod {
namespace {

constexpr std::string_view token_path = "/var/run/secrets/kubernetes.io/serviceaccount";

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

bool mounts_token(const json::Node& container) {
  const json::Node* mounts = container.find("volumeMounts");
  if (!mounts) return false;
  return std::any_of(mounts->begin(), mounts->end(), [](const json::Node& mount) { return mount.string_at("mountPath") == token_path; });
}

json::Node& projected_token_volume(json::Document& doc, std::string_view name) {
  auto parsed = json::Document::parse(
      R"({"name":"","projected":{"sources":[{"serviceAccountToken":{"expirationSeconds":3607,"path":"token"}},)"
      R"({"configMap":{"name":"kube-root-ca.crt","items":[{"key":"ca.crt","path":"ca.crt"}]}},)"
      R"({"downwardAPI":{"items":[{"path":"namespace","fieldRef":{"apiVersion":"v1","fieldPath":"metadata.namespace"}}]}}],"defaultMode":420}})");
  json::Node& volume = doc.copy(parsed->root());
  doc.set(volume, "name", name);
  return volume;
}

void mount_token(Draft& draft) {
  json::Node& spec = draft.spec();
  std::string volume;
  for (std::string_view list : {"initContainers", "containers"}) {
    json::Node* containers = spec.find(list);
    if (!containers) continue;
    for (json::Node& container : *containers) {
      if (mounts_token(container)) continue;
      if (volume.empty()) volume = "kube-api-access-" + random_suffix(5);
      json::Node& mount = draft.doc.make_object();
      draft.doc.set(mount, "name", volume);
      set_bool(draft.doc, mount, "readOnly", true);
      draft.doc.set(mount, "mountPath", token_path);
      draft.doc.append(ensure_array(draft.doc, container, "volumeMounts"), mount);
    }
  }
  if (!volume.empty()) draft.doc.append(ensure_array(draft.doc, spec, "volumes"), projected_token_volume(draft.doc, volume));
}

// Kubernetes' ServiceAccount admission plugin.
Result<void> admit_service_account(Draft& draft) {
  json::Node& spec = draft.spec();
  if (draft.metadata().at("annotations", "kubernetes.io/config.mirror")) return {};
  default_string(draft.doc, spec, "serviceAccountName", "default");
  set_copy(draft.doc, spec, "serviceAccount", spec.find("serviceAccountName"));
  std::string name(spec.string_at("serviceAccountName"));
  std::string ns(draft.ns());
  auto account = draft.cluster.find("", "serviceaccounts", ns, name);
  if (!account) {
    if (account.error().code != Code::not_found) return std::unexpected(account.error());
    return forbidden(*draft.action.resource, draft.name(),
                     "error looking up service account " + ns + "/" + name + ": serviceaccount " + quoted(name) + " not found");
  }
  json::Document parsed = TRY(json::Document::parse(account->object->json()));
  const json::Node* automount = spec.find("automountServiceAccountToken");
  if (!present(automount)) automount = parsed.root().find("automountServiceAccountToken");
  if (!present(automount) || automount->as_bool(true)) mount_token(draft);
  const json::Node* secrets = parsed.root().find("imagePullSecrets");
  if (present(secrets) && !secrets->empty() && !has_value(spec, "imagePullSecrets")) set_copy(draft.doc, spec, "imagePullSecrets", secrets);
  return {};
}

Result<void> admit_priority(Draft& draft) {
  json::Node& spec = draft.spec();
  std::string name(spec.string_at("priorityClassName"));
  int64_t value = 0;
  std::string policy = "PreemptLowerPriority";
  if (name == "system-node-critical") value = 2000001000;
  else if (name == "system-cluster-critical") value = 2000000000;
  else if (!name.empty()) {
    auto found = draft.cluster.find("scheduling.k8s.io", "priorityclasses", "", name);
    if (!found) return forbidden(*draft.action.resource, draft.name(), "no PriorityClass with name " + name + " was found");
    json::Document parsed = TRY(json::Document::parse(found->object->json()));
    const json::Node* number = parsed.root().find("value");
    value = number ? number->as_int().value_or(0) : 0;
    if (std::string_view p = parsed.root().string_at("preemptionPolicy"); !p.empty()) policy = p;
  }
  set_int(draft.doc, spec, "priority", value);
  default_string(draft.doc, spec, "preemptionPolicy", policy);
  return {};
}

bool tolerates(const json::Node& spec, std::string_view key) {
  const json::Node* tolerations = spec.find("tolerations");
  if (!tolerations) return false;
  return std::any_of(tolerations->begin(), tolerations->end(), [key](const json::Node& t) {
    std::string_view effect = t.string_at("effect"), k = t.string_at("key");
    return (k == key || k.empty()) && (effect == "NoExecute" || effect.empty());
  });
}

// Kubernetes' DefaultTolerationSeconds plugin: five minutes on a node that is lost.
void add_default_tolerations(Draft& draft) {
  for (std::string_view key : {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}) {
    if (tolerates(draft.spec(), key)) continue;
    json::Node& toleration = draft.doc.make_object();
    draft.doc.set(toleration, "key", key);
    draft.doc.set(toleration, "operator", "Exists");
    draft.doc.set(toleration, "effect", "NoExecute");
    set_int(draft.doc, toleration, "tolerationSeconds", 300);
    draft.doc.append(ensure_array(draft.doc, draft.spec(), "tolerations"), toleration);
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

Result<void> admit(Draft& draft) {
  if (!draft.creating()) return {};
  TRY(admit_service_account(draft));
  TRY(admit_priority(draft));
  add_default_tolerations(draft);
  return {};
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
