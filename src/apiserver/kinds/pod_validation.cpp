#include <map>
#include <set>

#include "apiserver/edit.h"
#include "apiserver/kinds/pod_spec.h"
#include "apiserver/kinds/rules.h"
#include "base/strings.h"
#include "model/quantity.h"

namespace estiba::apiserver {
namespace {

struct Names {
  std::set<std::string, std::less<>> volumes, containers;
};

void validate_ports(const json::Node& container, const std::string& path, FieldErrors& errors) {
  const json::Node* ports = container.find("ports");
  if (!present(ports)) return;
  std::set<std::string> names;
  size_t i = 0;
  for (const json::Node& port : *ports) {
    std::string here = at(path + ".ports", i++);
    std::string name(port.string_at("name"));
    if (!name.empty()) require_port_name(name, here + ".name", errors);
    if (!name.empty() && !names.insert(name).second) errors.duplicate(here + ".name", name);
    if (!has_value(port, "containerPort")) errors.required(here + ".containerPort");
    else require_port_number(port.find("containerPort"), here + ".containerPort", errors);
    if (has_value(port, "hostPort")) require_port_number(port.find("hostPort"), here + ".hostPort", errors);
    require_one_of(port.find("protocol"), here + ".protocol", {"SCTP", "TCP", "UDP"}, errors);
  }
}

void validate_env(const json::Node& container, const std::string& path, FieldErrors& errors) {
  const json::Node* env = container.find("env");
  if (!present(env)) return;
  size_t i = 0;
  for (const json::Node& variable : *env) {
    std::string here = at(path + ".env", i++);
    std::string_view name = variable.string_at("name");
    if (name.empty()) errors.required(here + ".name");
    else if (name.find('=') != std::string_view::npos)
      errors.invalid_string(here + ".name", name, "a valid environment variable name must not contain '='");
    const json::Node* from = variable.find("valueFrom");
    if (!present(from)) continue;
    if (from->empty())
      errors.invalid(here + ".valueFrom", "\"\"",
                     "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`");
    if (from->size() > 1) errors.invalid(here + ".valueFrom", "\"\"", "may not have more than one field specified at a time");
    if (has_value(variable, "value")) errors.invalid(here + ".valueFrom", "\"\"", "may not be specified when `value` is not empty");
  }
}

void validate_mounts(const json::Node& container, const std::string& path, const Names& names, FieldErrors& errors) {
  const json::Node* mounts = container.find("volumeMounts");
  if (!present(mounts)) return;
  std::set<std::string> paths;
  size_t i = 0;
  for (const json::Node& mount : *mounts) {
    std::string here = at(path + ".volumeMounts", i++);
    std::string name(mount.string_at("name")), where(mount.string_at("mountPath"));
    if (name.empty()) errors.required(here + ".name");
    else if (!names.volumes.contains(name)) errors.not_found(here + ".name", name);
    if (where.empty()) errors.required(here + ".mountPath");
    else if (!paths.insert(where).second) errors.invalid_string(here + ".mountPath", where, "must be unique");
    std::string_view sub = mount.string_at("subPath");
    for (std::string_view step : split(sub, '/')) {
      if (step == "..") errors.invalid_string(here + ".subPath", sub, "must not contain '..'");
    }
    if (sub.starts_with('/')) errors.invalid_string(here + ".subPath", sub, "must be a relative path");
  }
}

void validate_handler(const json::Node& action, const std::string& path, FieldErrors& errors) {
  int handlers = 0;
  for (std::string_view kind : {"exec", "httpGet", "tcpSocket", "grpc", "sleep"}) {
    if (has(action, kind) && ++handlers > 1) errors.forbidden(path + "." + std::string(kind), "may not specify more than 1 handler type");
  }
  if (handlers == 0) errors.required(path, "must specify a handler type");
  if (const json::Node* exec = action.find("exec"); present(exec) && !has_value(*exec, "command")) errors.required(path + ".exec.command");
  for (std::string_view kind : {"httpGet", "tcpSocket", "grpc"}) {
    const json::Node* handler = action.find(kind);
    if (!present(handler)) continue;
    const json::Node* port = handler->find("port");
    if (!port || port->is_number()) require_port_number(port, path + "." + std::string(kind) + ".port", errors);
  }
}

void validate_probes(const json::Node& container, const std::string& path, FieldErrors& errors) {
  for (std::string_view name : {"livenessProbe", "readinessProbe", "startupProbe"}) {
    const json::Node* probe = container.find(name);
    if (!present(probe)) continue;
    std::string here = path + "." + std::string(name);
    validate_handler(*probe, here, errors);
    for (std::string_view key : {"initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"}) {
      require_not_negative(*probe, key, here + "." + std::string(key), errors);
    }
    const json::Node* successes = probe->find("successThreshold");
    if (name != "readinessProbe" && successes && successes->as_int().value_or(1) != 1)
      errors.invalid(here + ".successThreshold", successes, "must be 1");
  }
  for (std::string_view hook : {"postStart", "preStop"}) {
    if (const json::Node* action = container.at("lifecycle", hook); present(action)) {
      validate_handler(*action, path + ".lifecycle." + std::string(hook), errors);
    }
  }
}

void validate_resources(const json::Node& container, const std::string& path, FieldErrors& errors) {
  const json::Node* limits = container.at("resources", "limits");
  const json::Node* requests = container.at("resources", "requests");
  if (!present(requests)) return;
  for (const json::Node& request : *requests) {
    const json::Node* limit = present(limits) ? limits->find(request.key()) : nullptr;
    if (!limit) continue;
    auto asked = model::Quantity::parse(request.is_string() ? request.as_string() : request.number_text());
    auto most = model::Quantity::parse(limit->is_string() ? limit->as_string() : limit->number_text());
    if (!asked || !most || *asked <= *most) continue;
    errors.invalid(
        path + ".resources.requests", &request,
        "must be less than or equal to " + std::string(request.key()) + " limit of " + std::string(limit->as_string(limit->number_text())));
  }
}

void validate_containers(const json::Node& spec, std::string_view list, const std::string& path, Names& names, FieldErrors& errors) {
  const json::Node* containers = spec.find(list);
  if (!present(containers)) return;
  size_t i = 0;
  for (const json::Node& container : *containers) {
    std::string here = at(path + "." + std::string(list), i++);
    std::string name(container.string_at("name"));
    require_dns_label(name, here + ".name", errors);
    if (!name.empty() && !names.containers.insert(name).second) errors.duplicate(here + ".name", name);
    std::string_view image = container.string_at("image");
    if (image.empty()) errors.required(here + ".image");
    else if (trim(image) != image) errors.invalid_string(here + ".image", image, "must not have leading or trailing whitespace");
    require_one_of(container.find("imagePullPolicy"), here + ".imagePullPolicy", {"Always", "IfNotPresent", "Never"}, errors);
    require_one_of(container.find("terminationMessagePolicy"), here + ".terminationMessagePolicy", {"FallbackToLogsOnError", "File"},
                   errors);
    validate_ports(container, here, errors);
    validate_env(container, here, errors);
    validate_mounts(container, here, names, errors);
    validate_probes(container, here, errors);
    validate_resources(container, here, errors);
    const json::Node* privileged = container.at("securityContext", "privileged");
    const json::Node* escalation = container.at("securityContext", "allowPrivilegeEscalation");
    if (privileged && privileged->as_bool() && escalation && !escalation->as_bool(true)) {
      errors.invalid(here + ".securityContext", container.find("securityContext"),
                     "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
    }
  }
}

void validate_volumes(const json::Node& spec, const std::string& path, Names& names, FieldErrors& errors) {
  const json::Node* volumes = spec.find("volumes");
  if (!present(volumes)) return;
  size_t i = 0;
  for (const json::Node& volume : *volumes) {
    std::string here = at(path + ".volumes", i++);
    std::string name(volume.string_at("name"));
    require_dns_label(name, here + ".name", errors);
    if (!name.empty() && !names.volumes.insert(name).second) errors.duplicate(here + ".name", name);
    if (volume.size() > 2) errors.forbidden(here, "may not specify more than 1 volume type");
    if (const json::Node* host = volume.find("hostPath"); present(host) && !has_value(*host, "path"))
      errors.required(here + ".hostPath.path");
    if (const json::Node* secret = volume.find("secret"); present(secret) && !has_value(*secret, "secretName"))
      errors.required(here + ".secret.secretName");
    if (const json::Node* map = volume.find("configMap"); present(map) && !has_value(*map, "name"))
      errors.required(here + ".configMap.name");
    if (const json::Node* claim = volume.find("persistentVolumeClaim"); present(claim) && !has_value(*claim, "claimName")) {
      errors.required(here + ".persistentVolumeClaim.claimName");
    }
  }
}

bool selector_matches(const json::Node& selector, const json::Node* labels) {
  const json::Node* wanted = selector.find("matchLabels");
  if (present(wanted)) {
    for (const json::Node& label : *wanted) {
      if (!labels || !labels->find(label.key()) || labels->string_at(label.key()) != label.as_string()) return false;
    }
  }
  const json::Node* expressions = selector.find("matchExpressions");
  if (!present(expressions)) return true;
  for (const json::Node& expression : *expressions) {
    const json::Node* label = labels ? labels->find(expression.string_at("key")) : nullptr;
    std::string_view op = expression.string_at("operator");
    const json::Node* values = expression.find("values");
    bool listed = label && values &&
                  std::any_of(values->begin(), values->end(), [&](const json::Node& v) { return v.as_string() == label->as_string(); });
    bool holds = op == "In" ? listed : op == "NotIn" ? !listed : op == "Exists" ? label != nullptr : label == nullptr;
    if (!holds) return false;
  }
  return true;
}

}  // namespace

void validate_pod_spec(const json::Node& spec, const std::string& path, FieldErrors& errors) {
  Names names;
  validate_volumes(spec, path, names, errors);
  if (!has_value(spec, "containers")) errors.required(path + ".containers");
  for (std::string_view list : {"initContainers", "containers"}) validate_containers(spec, list, path, names, errors);
  require_one_of(spec.find("restartPolicy"), path + ".restartPolicy", {"Always", "OnFailure", "Never"}, errors);
  require_one_of(spec.find("dnsPolicy"), path + ".dnsPolicy", {"ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"}, errors);
  if (spec.string_at("dnsPolicy") == "None" && !spec.at("dnsConfig", "nameservers")) {
    errors.required(path + ".dnsConfig.nameservers", "must provide at least one DNS nameserver when `dnsPolicy` is None");
  }
  require_not_negative(spec, "terminationGracePeriodSeconds", path + ".terminationGracePeriodSeconds", errors);
  const json::Node* deadline = spec.find("activeDeadlineSeconds");
  if (present(deadline) && deadline->as_int().value_or(0) < 1)
    errors.invalid(path + ".activeDeadlineSeconds", deadline, "must be between 1 and 2147483647, inclusive");
  validate_labels(spec.find("nodeSelector"), path + ".nodeSelector", errors);
  for (std::string_view key : {"serviceAccountName", "nodeName"}) {
    if (has_value(spec, key)) require_dns_subdomain(spec.string_at(key), path + "." + std::string(key), errors);
  }
  for (std::string_view key : {"hostname", "subdomain"}) {
    if (has_value(spec, key)) require_dns_label(spec.string_at(key), path + "." + std::string(key), errors);
  }
}

void validate_template_restart(const json::Node& owner_spec, std::initializer_list<std::string_view> policies, FieldErrors& errors) {
  require_one_of(owner_spec.at("template", "spec", "restartPolicy"), "spec.template.spec.restartPolicy", policies, errors);
}

void validate_selector_matches_template(const json::Node& spec, FieldErrors& errors) {
  const json::Node* selector = spec.find("selector");
  if (!present(selector)) return errors.required("spec.selector");
  validate_label_selector(*selector, "spec.selector", errors);
  if (!has_value(*selector, "matchLabels") && !has_value(*selector, "matchExpressions")) {
    return errors.invalid("spec.selector", selector, "empty selector is invalid for deployment");
  }
  const json::Node* labels = spec.at("template", "metadata", "labels");
  validate_labels(labels, "spec.template.metadata.labels", errors);
  if (!selector_matches(*selector, labels)) {
    errors.invalid("spec.template.metadata.labels", labels ? std::string_view(json::print(*labels)) : std::string_view("null"),
                   "`selector` does not match template `labels`");
  }
}

}  // namespace estiba::apiserver
