#include "apiserver/kinds/pod_spec.h"

#include "apiserver/edit.h"
#include "base/strings.h"
#include "model/quantity.h"

namespace estiba::apiserver {
namespace {

void default_http_get(json::Document& doc, json::Node& action) {
  if (json::Node* get = action.find("httpGet"); present(get)) {
    default_string(doc, *get, "path", "/");
    default_string(doc, *get, "scheme", "HTTP");
  }
}

void default_probe(json::Document& doc, json::Node& probe) {
  auto number = [&](std::string_view key, int64_t value) {
    if (!has_value(probe, key)) set_int(doc, probe, key, value);
  };
  number("timeoutSeconds", 1);
  number("periodSeconds", 10);
  number("successThreshold", 1);
  number("failureThreshold", 3);
  default_http_get(doc, probe);
  if (json::Node* grpc = probe.find("grpc"); present(grpc) && !has(*grpc, "service")) doc.set(*grpc, "service", "");
}

void default_field_ref(json::Document& doc, json::Node& holder) {
  if (json::Node* ref = holder.find("fieldRef"); present(ref)) default_string(doc, *ref, "apiVersion", "v1");
}

void default_env(json::Document& doc, json::Node& container) {
  json::Node* env = container.find("env");
  if (!env) return;
  for (json::Node& variable : *env) {
    if (json::Node* from = variable.find("valueFrom"); present(from)) default_field_ref(doc, *from);
  }
}

void default_ports(json::Document& doc, json::Node& container) {
  json::Node* ports = container.find("ports");
  if (!ports) return;
  for (json::Node& port : *ports) default_string(doc, port, "protocol", "TCP");
}

void default_container(json::Document& doc, json::Node& container) {
  default_string(doc, container, "imagePullPolicy", default_pull_policy(container.string_at("image")));
  default_string(doc, container, "terminationMessagePath", "/dev/termination-log");
  default_string(doc, container, "terminationMessagePolicy", "File");
  ensure(doc, container, "resources");
  default_ports(doc, container);
  default_env(doc, container);
  for (std::string_view probe : {"livenessProbe", "readinessProbe", "startupProbe"}) {
    if (json::Node* node = container.find(probe); present(node)) default_probe(doc, *node);
  }
  if (json::Node* lifecycle = container.find("lifecycle"); present(lifecycle)) {
    for (std::string_view hook : {"postStart", "preStop"}) {
      if (json::Node* node = lifecycle->find(hook); present(node)) default_http_get(doc, *node);
    }
  }
}

void default_downward_items(json::Document& doc, json::Node& source) {
  if (json::Node* items = source.find("items")) {
    for (json::Node& item : *items) default_field_ref(doc, item);
  }
}

void default_volume(json::Document& doc, json::Node& volume) {
  if (volume.size() <= 1) ensure(doc, volume, "emptyDir");
  for (std::string_view kind : {"secret", "configMap", "downwardAPI", "projected"}) {
    json::Node* source = volume.find(kind);
    if (!present(source)) continue;
    default_int(doc, *source, "defaultMode", 0644);
    if (kind == "downwardAPI") default_downward_items(doc, *source);
    json::Node* sources = source->find("sources");
    if (!sources) continue;
    for (json::Node& projected : *sources) {
      if (json::Node* token = projected.find("serviceAccountToken"); present(token)) default_int(doc, *token, "expirationSeconds", 3600);
      if (json::Node* downward = projected.find("downwardAPI"); present(downward)) default_downward_items(doc, *downward);
    }
  }
  if (json::Node* host = volume.find("hostPath"); present(host) && !has(*host, "type")) doc.set(*host, "type", "");
  if (json::Node* image = volume.find("image"); present(image))
    default_string(doc, *image, "pullPolicy", default_pull_policy(image->string_at("reference")));
}

}  // namespace

std::string_view default_pull_policy(std::string_view image) {
  if (image.find('@') != std::string_view::npos) return "IfNotPresent";
  size_t slash = image.rfind('/');
  size_t colon = image.rfind(':');
  bool tagged = colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash);
  return !tagged || image.substr(colon + 1) == "latest" ? "Always" : "IfNotPresent";
}

void default_pod_spec(json::Document& doc, json::Node& spec) {
  default_string(doc, spec, "restartPolicy", "Always");
  default_int(doc, spec, "terminationGracePeriodSeconds", 30);
  default_string(doc, spec, "dnsPolicy", "ClusterFirst");
  ensure(doc, spec, "securityContext");
  default_string(doc, spec, "schedulerName", "default-scheduler");
  // serviceAccount is the deprecated alias; both always say the same.
  if (has_value(spec, "serviceAccountName")) set_copy(doc, spec, "serviceAccount", spec.find("serviceAccountName"));
  else if (has_value(spec, "serviceAccount")) set_copy(doc, spec, "serviceAccountName", spec.find("serviceAccount"));
  for (std::string_view list : {"initContainers", "containers", "ephemeralContainers"}) {
    json::Node* containers = spec.find(list);
    if (!containers) continue;
    for (json::Node& container : *containers) {
      if (container.is_object()) default_container(doc, container);
    }
  }
  if (json::Node* volumes = spec.find("volumes")) {
    for (json::Node& volume : *volumes) {
      if (volume.is_object()) default_volume(doc, volume);
    }
  }
}

void default_pod_template(json::Document& doc, json::Node& owner_spec) {
  json::Node* pod_template = owner_spec.find("template");
  if (!present(pod_template)) return;
  default_pod_spec(doc, ensure(doc, *pod_template, "spec"));
}

namespace {

struct ResourceClaims {
  bool any = false;
  bool guaranteed = true;
};

bool same_quantity(const json::Node& a, const json::Node& b) {
  const auto text = [](const json::Node& quantity) { return quantity.as_string(quantity.number_text()); };
  const auto one = model::Quantity::parse(text(a)), other = model::Quantity::parse(text(b));
  return one && other && *one == *other;
}

void look_at(const json::Node& resources, ResourceClaims& claims) {
  for (std::string_view name : {"cpu", "memory"}) {
    const json::Node* request = resources.at("requests", name);
    const json::Node* limit = resources.at("limits", name);
    claims.any |= present(request) || present(limit);
    if (!present(limit) || (present(request) && !same_quantity(*request, *limit))) claims.guaranteed = false;
  }
}

}  // namespace

std::string_view qos_class(const json::Node& spec) {
  ResourceClaims claims;
  json::Document empty;
  // Where the pod says what it needs as a whole, that alone counts.
  const json::Node* whole = spec.find("resources");
  if (present(whole) && (has_value(*whole, "requests") || has_value(*whole, "limits"))) {
    look_at(*whole, claims);
    return !claims.any ? "BestEffort" : claims.guaranteed ? "Guaranteed" : "Burstable";
  }
  for (std::string_view list : {"containers", "initContainers"}) {
    const json::Node* containers = spec.find(list);
    if (!containers) continue;
    for (const json::Node& container : *containers) {
      const json::Node* resources = container.find("resources");
      look_at(present(resources) ? *resources : empty.make_object(), claims);
    }
  }
  return !claims.any ? "BestEffort" : claims.guaranteed ? "Guaranteed" : "Burstable";
}

}  // namespace estiba::apiserver
