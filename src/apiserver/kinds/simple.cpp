#include "apiserver/kinds/simple.h"

#include "apiserver/edit.h"
#include "apiserver/kinds/rules.h"
#include "base/strings.h"
#include "model/names.h"

namespace estiba::apiserver::simple {

void reset_status(Draft& draft) {
  if (draft.creating()) draft.doc.remove(draft.object, "status");
  else draft.keep_old("status");
}

// Namespace

const SelectableField namespace_fields[1] = {{"status.phase", "", ""}};

void default_namespace(json::Document& doc, json::Node& object) {
  json::Node& labels = ensure(doc, ensure(doc, object, "metadata"), "labels");
  std::string_view name = object.string_at("metadata", "name");
  if (!name.empty()) doc.set(labels, "kubernetes.io/metadata.name", name);
}

void prepare_namespace(Draft& draft) {
  if (!draft.creating()) {
    // The list of finalizers changes by /finalize only.
    draft.keep_old("spec");
    draft.keep_old("status");
    return;
  }
  json::Node& finalizers = ensure_array(draft.doc, draft.spec(), "finalizers");
  bool there = std::any_of(finalizers.begin(), finalizers.end(), [](const json::Node& f) { return f.as_string() == "kubernetes"; });
  if (!there) draft.doc.append(finalizers, draft.doc.make_string("kubernetes"));
  json::Node& status = draft.doc.make_object();
  draft.doc.set(status, "phase", "Active");
  draft.doc.set(draft.object, "status", status);
}

// Node

const SelectableField node_fields[1] = {{"spec.unschedulable", "", "false"}};

void prepare_node(Draft& draft) {
  if (!draft.creating()) draft.keep_old("status");
}

void validate_node(Draft& draft) {
  const json::Node* taints = draft.spec().find("taints");
  if (present(taints)) {
    size_t i = 0;
    for (const json::Node& taint : *taints) {
      std::string path = at("spec.taints", i++);
      if (!has_value(taint, "key")) draft.errors.required(path + ".key");
      if (!has_value(taint, "effect")) draft.errors.required(path + ".effect");
      require_one_of(taint.find("effect"), path + ".effect", {"NoSchedule", "PreferNoSchedule", "NoExecute"}, draft.errors);
    }
  }
  if (draft.creating()) return;
  const json::Node* before = draft.old->at("spec", "podCIDR");
  if (present(before) && !before->as_string().empty() && !same(before, draft.spec().find("podCIDR"))) {
    draft.errors.forbidden("spec.podCIDR", "node updates may not change podCIDR except from \"\" to valid");
  }
}

// Secret and ConfigMap

const SelectableField secret_fields[1] = {{"type", "", ""}};

void default_secret(json::Document& doc, json::Node& object) {
  default_string(doc, object, "type", "Opaque");
  json::Node* plain = object.find("stringData");
  if (present(plain) && !plain->empty()) {
    json::Node& data = ensure(doc, object, "data");
    for (const json::Node& entry : *plain) doc.set(data, entry.key(), base64_encode(entry.as_string()));
  }
  if (plain) doc.remove(object, "stringData");
}

namespace {

constexpr size_t max_data_bytes = 1024 * 1024;

size_t validate_data(const json::Node& object, std::string_view member, FieldErrors& errors) {
  const json::Node* data = object.find(member);
  if (!present(data)) return 0;
  size_t total = 0;
  for (const json::Node& entry : *data) {
    for (const std::string& problem : model::check_config_key(entry.key()))
      errors.invalid_string(at(member, entry.key()), entry.key(), problem);
    total += entry.as_string().size();
  }
  return total;
}

// An object marked immutable keeps its data, and the mark.
void validate_immutable_data(Draft& draft) {
  if (draft.creating()) return;
  const json::Node* immutable = draft.old->find("immutable");
  if (!immutable || !immutable->as_bool()) return;
  for (std::string_view member : {"immutable", "data", "binaryData"}) {
    if (!same(draft.old->find(member), draft.object.find(member)))
      draft.errors.forbidden(std::string(member), "field is immutable when `immutable` is set");
  }
}

}  // namespace

void validate_secret(Draft& draft) {
  size_t total = validate_data(draft.object, "data", draft.errors);
  if (total / 4 * 3 > max_data_bytes) draft.errors.too_long("data", max_data_bytes);
  struct Requirement {
    std::string_view type, key;
  };
  for (auto [type, key] : {Requirement{"kubernetes.io/dockerconfigjson", ".dockerconfigjson"},
                           Requirement{"kubernetes.io/dockercfg", ".dockercfg"}, Requirement{"kubernetes.io/tls", "tls.crt"},
                           Requirement{"kubernetes.io/tls", "tls.key"}, Requirement{"kubernetes.io/ssh-auth", "ssh-privatekey"}}) {
    if (draft.object.string_at("type") == type && !draft.object.at("data", key)) draft.errors.required(at("data", key));
  }
  validate_immutable_data(draft);
  if (!draft.creating()) require_unchanged(draft, "type");
}

void validate_config_map(Draft& draft) {
  size_t total = validate_data(draft.object, "data", draft.errors);
  total += validate_data(draft.object, "binaryData", draft.errors) / 4 * 3;
  if (total > max_data_bytes) draft.errors.too_long("", max_data_bytes);
  const json::Node* data = draft.object.find("data");
  const json::Node* binary = draft.object.find("binaryData");
  if (present(data) && present(binary)) {
    for (const json::Node& entry : *binary) {
      if (data->find(entry.key()))
        draft.errors.invalid_string(at("data", entry.key()), entry.key(), "duplicate of key present in binaryData");
    }
  }
  validate_immutable_data(draft);
}

// Event

const SelectableField event_fields[11] = {
    {"involvedObject.kind", "", ""},
    {"involvedObject.namespace", "", ""},
    {"involvedObject.name", "", ""},
    {"involvedObject.uid", "", ""},
    {"involvedObject.apiVersion", "", ""},
    {"involvedObject.resourceVersion", "", ""},
    {"involvedObject.fieldPath", "", ""},
    {"reason", "", ""},
    {"reportingComponent", "", ""},
    {"source", "source.component", ""},
    {"type", "", ""},
};

void validate_event(Draft& draft) {
  std::string_view about = draft.object.string_at("involvedObject", "namespace");
  std::string_view ns = draft.ns();
  if (about.empty() ? ns != "default" && ns != "kube-system" : about != ns) {
    draft.errors.invalid_string("involvedObject.namespace", about, "does not match event.namespace");
  }
}

// Endpoints, EndpointSlice

void default_endpoints(json::Document& doc, json::Node& object) {
  json::Node* subsets = object.find("subsets");
  if (!present(subsets)) return;
  for (json::Node& subset : *subsets) {
    json::Node* ports = subset.find("ports");
    if (!ports) continue;
    for (json::Node& port : *ports) default_string(doc, port, "protocol", "TCP");
  }
}

void default_endpoint_slice(json::Document& doc, json::Node& object) {
  json::Node* ports = object.find("ports");
  if (!present(ports)) return;
  for (json::Node& port : *ports) {
    if (!has(port, "name")) doc.set(port, "name", "");
    default_string(doc, port, "protocol", "TCP");
  }
}

void validate_endpoint_slice(Draft& draft) {
  if (!has_value(draft.object, "addressType")) draft.errors.required("addressType");
  require_one_of(draft.object.find("addressType"), "addressType", {"FQDN", "IPv4", "IPv6"}, draft.errors);
  if (!draft.creating()) require_unchanged(draft, "addressType");
  const json::Node* endpoints = draft.object.find("endpoints");
  if (!present(endpoints)) return;
  if (endpoints->size() > 1000)
    draft.errors.add(
        {"FieldValueTooMany", "Too many: " + std::to_string(endpoints->size()) + ": must have at most 1000 items", "endpoints"});
  size_t i = 0;
  for (const json::Node& endpoint : *endpoints) {
    const json::Node* addresses = endpoint.find("addresses");
    std::string path = at("endpoints", i++) + ".addresses";
    if (!present(addresses) || addresses->empty()) draft.errors.required(path, "must contain at least 1 address");
  }
}

// Storage

void default_volume_claim(json::Document& doc, json::Node& object) {
  default_string(doc, ensure(doc, object, "spec"), "volumeMode", "Filesystem");
}

void prepare_volume_claim(Draft& draft) {
  if (!draft.creating()) return draft.keep_old("status");
  json::Node& status = draft.doc.make_object();
  draft.doc.set(status, "phase", "Pending");
  draft.doc.set(draft.object, "status", status);
}

void default_volume(json::Document& doc, json::Node& object) {
  json::Node& spec = ensure(doc, object, "spec");
  default_string(doc, spec, "persistentVolumeReclaimPolicy", "Retain");
  default_string(doc, spec, "volumeMode", "Filesystem");
  if (json::Node* host = spec.find("hostPath"); present(host) && !has(*host, "type")) doc.set(*host, "type", "");
}

void prepare_volume(Draft& draft) { prepare_volume_claim(draft); }

void default_storage_class(json::Document& doc, json::Node& object) {
  default_string(doc, object, "reclaimPolicy", "Delete");
  default_string(doc, object, "volumeBindingMode", "Immediate");
}

// Networking

void default_network_policy(json::Document& doc, json::Node& object) {
  json::Node& spec = ensure(doc, object, "spec");
  for (std::string_view direction : {"ingress", "egress"}) {
    json::Node* rules = spec.find(direction);
    if (!present(rules)) continue;
    for (json::Node& rule : *rules) {
      json::Node* ports = rule.find("ports");
      if (!present(ports)) continue;
      for (json::Node& port : *ports) default_string(doc, port, "protocol", "TCP");
    }
  }
  if (has_value(spec, "policyTypes")) return;
  json::Node& types = ensure_array(doc, spec, "policyTypes");
  doc.append(types, doc.make_string("Ingress"));
  if (has_value(spec, "egress")) doc.append(types, doc.make_string("Egress"));
}

void default_ingress_class(json::Document& doc, json::Node& object) {
  json::Node* spec = object.find("spec");
  json::Node* parameters = spec ? spec->find("parameters") : nullptr;
  if (present(parameters)) default_string(doc, *parameters, "scope", "Cluster");
}

void validate_ingress(Draft& draft) {
  const json::Node& spec = draft.spec();
  const json::Node* rules = spec.find("rules");
  bool any_rule = present(rules) && !rules->empty();
  if (!any_rule && !has(spec, "defaultBackend"))
    draft.errors.invalid("spec", "\"\"", "either `defaultBackend` or `rules` must be specified");
  if (!any_rule) return;
  size_t i = 0;
  for (const json::Node& rule : *rules) {
    std::string path = at("spec.rules", i++) + ".http.paths";
    const json::Node* paths = rule.at("http", "paths");
    if (!present(paths)) continue;
    if (paths->empty()) draft.errors.required(path);
    size_t j = 0;
    for (const json::Node& entry : *paths) {
      std::string here = at(path, j++);
      std::string_view type = entry.string_at("pathType"), value = entry.string_at("path");
      if (type.empty()) draft.errors.required(here + ".pathType", "pathType must be specified");
      require_one_of(entry.find("pathType"), here + ".pathType", {"Exact", "ImplementationSpecific", "Prefix"}, draft.errors);
      if ((type == "Exact" || type == "Prefix") && !value.starts_with('/'))
        draft.errors.invalid_string(here + ".path", value, "must be an absolute path");
    }
  }
}

// RBAC

void default_binding(json::Document& doc, json::Node& object) {
  if (json::Node* role = object.find("roleRef"); present(role)) default_string(doc, *role, "apiGroup", "rbac.authorization.k8s.io");
  json::Node* subjects = object.find("subjects");
  if (!present(subjects)) return;
  for (json::Node& subject : *subjects) {
    if (subject.string_at("kind") != "ServiceAccount") default_string(doc, subject, "apiGroup", "rbac.authorization.k8s.io");
  }
}

void validate_binding(Draft& draft) {
  require_one_of(draft.object.at("roleRef", "kind"), "roleRef.kind",
                 draft.action.resource->namespaced ? std::initializer_list<std::string_view>{"Role", "ClusterRole"}
                                                   : std::initializer_list<std::string_view>{"ClusterRole"},
                 draft.errors);
  if (draft.object.string_at("roleRef", "name").empty()) draft.errors.required("roleRef.name");
  const json::Node* subjects = draft.object.find("subjects");
  size_t i = 0;
  if (present(subjects)) {
    for (const json::Node& subject : *subjects) {
      std::string path = at("subjects", i++);
      if (!has_value(subject, "name")) draft.errors.required(path + ".name");
      require_one_of(subject.find("kind"), path + ".kind", {"ServiceAccount", "User", "Group"}, draft.errors);
      if (subject.string_at("kind") == "ServiceAccount" && !draft.action.resource->namespaced && !has_value(subject, "namespace")) {
        draft.errors.required(path + ".namespace");
      }
    }
  }
  if (!draft.creating() && !same(draft.old->find("roleRef"), draft.object.find("roleRef"))) {
    draft.errors.invalid("roleRef", draft.object.find("roleRef"), "cannot change roleRef");
  }
}

// Scheduling, autoscaling, coordination, certificates

void default_autoscaler(json::Document& doc, json::Node& object) { default_int(doc, ensure(doc, object, "spec"), "minReplicas", 1); }

void validate_lease(Draft& draft) {
  const json::Node& spec = draft.spec();
  const json::Node* duration = spec.find("leaseDurationSeconds");
  if (present(duration) && duration->as_int().value_or(0) <= 0)
    draft.errors.invalid("spec.leaseDurationSeconds", duration, "must be greater than 0");
  require_not_negative(spec, "leaseTransitions", "spec.leaseTransitions", draft.errors);
}

void validate_disruption_budget(Draft& draft) {
  const json::Node& spec = draft.spec();
  if (has(spec, "minAvailable") && has(spec, "maxUnavailable")) {
    draft.errors.invalid("spec", draft.object.find("spec"), "minAvailable and maxUnavailable cannot be both set");
  }
  if (const json::Node* selector = spec.find("selector"); present(selector))
    validate_label_selector(*selector, "spec.selector", draft.errors);
}

void prepare_signing_request(Draft& draft) {
  if (!draft.creating()) {
    draft.keep_old("spec");
    draft.keep_old("status");
    return;
  }
  draft.doc.remove(draft.object, "status");
  json::Node& spec = draft.spec();
  const User& user = draft.action.user;
  draft.doc.set(spec, "username", user.name);
  draft.doc.remove(spec, "uid");
  if (!user.uid.empty()) draft.doc.set(spec, "uid", user.uid);
  json::Node& groups = draft.doc.make_array();
  for (const std::string& group : user.groups) draft.doc.append(groups, draft.doc.make_string(group));
  draft.doc.set(spec, "groups", groups);
}

}  // namespace estiba::apiserver::simple
