#include "apiserver/kinds/simple.h"

#include "apiserver/cluster.h"
#include "apiserver/edit.h"
#include "apiserver/kinds/rules.h"
#include "base/strings.h"
#include "base/time.h"
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

void default_node(json::Document& doc, json::Node& object) {
  json::Node* status = object.find("status");
  if (present(status) && !has(*status, "allocatable") && has(*status, "capacity"))
    set_copy(doc, *status, "allocatable", status->find("capacity"));
}

void prepare_node(Draft& draft) {
  if (!draft.creating()) draft.keep_old("status");
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

namespace {

struct SecretKey {
  std::string_view type, key;
};
constexpr SecretKey required_keys[] = {{"kubernetes.io/dockerconfigjson", ".dockerconfigjson"},
                                       {"kubernetes.io/dockercfg", ".dockercfg"},
                                       {"kubernetes.io/tls", "tls.crt"},
                                       {"kubernetes.io/tls", "tls.key"},
                                       {"kubernetes.io/ssh-auth", "ssh-privatekey"}};

// A Secret of a type that Kubernetes knows has what the type is for.
void validate_secret_type(Draft& draft) {
  const std::string_view type = draft.object.string_at("type");
  const json::Node* data = draft.object.find("data");
  for (const SecretKey& row : required_keys) {
    if (row.type != type) continue;
    const json::Node* value = data ? data->find(row.key) : nullptr;
    if (!value || (type == "kubernetes.io/ssh-auth" && value->as_string().empty())) {
      draft.errors.required(at("data", row.key));
    } else if (row.key.starts_with(".docker")) {
      const auto decoded = base64_decode(value->as_string());
      auto parsed = json::Document::parse(decoded ? *decoded : std::string());
      if (!parsed || !parsed->root().is_object())
        draft.errors.invalid_string(at("data", row.key), "<secret contents redacted>",
                                    parsed ? "must be a JSON object" : parsed.error().message);
    }
  }
  if (type == "kubernetes.io/service-account-token" &&
      draft.object.string_at("metadata", "annotations", "kubernetes.io/service-account.name").empty())
    draft.errors.required(at("metadata.annotations", "kubernetes.io/service-account.name"));
  if (type == "kubernetes.io/basic-auth" && (!data || (!data->find("username") && !data->find("password")))) {
    draft.errors.required(at("data", "username"));
    draft.errors.required(at("data", "password"));
  }
}

}  // namespace

void validate_secret(Draft& draft) {
  size_t total = validate_data(draft.object, "data", draft.errors);
  if (total / 4 * 3 > max_data_bytes) draft.errors.too_long("data", max_data_bytes);
  validate_secret_type(draft);
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

// Both groups store the same objects, each as it was written: the paths are of both, and the positions are the same.
const SelectableField event_fields[11] = {
    {"involvedObject.kind", "involvedObject.kind|regarding.kind", ""},
    {"involvedObject.namespace", "involvedObject.namespace|regarding.namespace", ""},
    {"involvedObject.name", "involvedObject.name|regarding.name", ""},
    {"involvedObject.uid", "involvedObject.uid|regarding.uid", ""},
    {"involvedObject.apiVersion", "involvedObject.apiVersion|regarding.apiVersion", ""},
    {"involvedObject.resourceVersion", "involvedObject.resourceVersion|regarding.resourceVersion", ""},
    {"involvedObject.fieldPath", "involvedObject.fieldPath|regarding.fieldPath", ""},
    {"reason", "", ""},
    {"reportingComponent", "reportingComponent|reportingController", ""},
    {"type", "", ""},
    {"source", "source.component|deprecatedSource.component|reportingComponent|reportingController", ""},
};

const SelectableField new_event_fields[11] = {
    {"regarding.kind", "involvedObject.kind|regarding.kind", ""},
    {"regarding.namespace", "involvedObject.namespace|regarding.namespace", ""},
    {"regarding.name", "involvedObject.name|regarding.name", ""},
    {"regarding.uid", "involvedObject.uid|regarding.uid", ""},
    {"regarding.apiVersion", "involvedObject.apiVersion|regarding.apiVersion", ""},
    {"regarding.resourceVersion", "involvedObject.resourceVersion|regarding.resourceVersion", ""},
    {"regarding.fieldPath", "involvedObject.fieldPath|regarding.fieldPath", ""},
    {"reason", "", ""},
    {"reportingController", "reportingComponent|reportingController", ""},
    {"type", "", ""},
    {"", "source.component|deprecatedSource.component|reportingComponent|reportingController", ""},
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

// Storage

void default_volume_claim(json::Document& doc, json::Node& object) {
  default_string(doc, ensure(doc, object, "spec"), "volumeMode", "Filesystem");
}

namespace {

// dataSource and dataSourceRef say the same, unless the latter names another namespace.
void pair_data_sources(Draft& draft) {
  json::Node& spec = draft.spec();
  const auto copy = [&](std::string_view from, std::string_view to) {
    json::Node& made = draft.doc.make_object();
    for (std::string_view field : {"apiGroup", "kind", "name"}) set_copy(draft.doc, made, field, spec.find(from)->find(field));
    draft.doc.set(spec, to, made);
  };
  if (has(spec, "dataSource") && !has(spec, "dataSourceRef")) copy("dataSource", "dataSourceRef");
  else if (has(spec, "dataSourceRef") && !has(spec, "dataSource") && !has_value(*spec.find("dataSourceRef"), "namespace"))
    copy("dataSourceRef", "dataSource");
}

}  // namespace

void prepare_volume_claim(Draft& draft) {
  pair_data_sources(draft);
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

void prepare_volume(Draft& draft) {
  if (!draft.creating()) return draft.keep_old("status");
  json::Node& status = draft.doc.make_object();
  draft.doc.set(status, "phase", "Pending");
  draft.doc.set(status, "lastPhaseTransitionTime", format_rfc3339(draft.cluster.now()));
  draft.doc.set(draft.object, "status", status);
}

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

// RBAC

void default_binding(json::Document& doc, json::Node& object) {
  if (json::Node* role = object.find("roleRef"); present(role)) default_string(doc, *role, "apiGroup", "rbac.authorization.k8s.io");
  json::Node* subjects = object.find("subjects");
  if (!present(subjects)) return;
  for (json::Node& subject : *subjects) {
    if (subject.string_at("kind") != "ServiceAccount") default_string(doc, subject, "apiGroup", "rbac.authorization.k8s.io");
  }
}

// Scheduling, autoscaling, coordination, certificates

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
  draft.doc.remove(spec, "extra");
  if (user.extra.empty()) return;
  json::Node& extra = ensure(draft.doc, spec, "extra");
  for (const auto& [key, values] : user.extra) {
    json::Node& list = draft.doc.make_array();
    for (const std::string& value : values) draft.doc.append(list, draft.doc.make_string(value));
    draft.doc.set(extra, key, list);
  }
}

void prepare_limit_range(Draft& draft) {
  if (draft.creating() && draft.name().empty()) draft.doc.set(draft.metadata(), "name", random_uuid());
}

void prepare_service_account(Draft& draft) {
  json::Node* secrets = draft.object.find("secrets");
  if (!present(secrets) || !secrets->is_array()) return;
  json::Node& kept = draft.doc.make_array();
  for (const json::Node& secret : *secrets) {
    json::Node& one = draft.doc.make_object();
    if (has(secret, "name")) set_copy(draft.doc, one, "name", secret.find("name"));
    draft.doc.append(kept, one);
  }
  draft.doc.set(draft.object, "secrets", kept);
}

}  // namespace estiba::apiserver::simple
