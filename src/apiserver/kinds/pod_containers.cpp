// A pod's containers: all three lists.
#include <algorithm>
#include <array>

#include "apiserver/edit.h"
#include "apiserver/kinds/field_rules.h"
#include "apiserver/kinds/pod_check.h"
#include "apiserver/kinds/rules.h"
#include "base/signals.h"
#include "base/strings.h"
#include "model/names.h"

namespace estiba::apiserver {
namespace {

using json::Node;

constexpr FieldRule common_rules[] = {
    {"name", Check::required},
    {"name", Check::dns_label},
    {"image", Check::required},
    {"terminationMessagePolicy", Check::one_of, "File FallbackToLogsOnError"},
    {"imagePullPolicy", Check::one_of, "Always IfNotPresent Never"},
    {"ports[].name", Check::port_or_name},
    {"ports[].containerPort", Check::required},
    {"ports[].containerPort", Check::port},
    {"ports[].protocol", Check::one_of, "SCTP TCP UDP"},
    {"env[].name", Check::required},
    {"env[].name", Check::env_name},
    {"envFrom[].prefix", Check::env_name},
    {"envFrom[].configMapRef.name", Check::required},
    {"envFrom[].configMapRef.name", Check::dns_subdomain},
    {"envFrom[].secretRef.name", Check::required},
    {"envFrom[].secretRef.name", Check::dns_subdomain},
    {"resizePolicy[].resourceName", Check::one_of, "cpu memory"},
    {"resizePolicy[].restartPolicy", Check::one_of, "NotRequired RestartContainer"},
    {"restartPolicy", Check::one_of, "Always Never OnFailure"},
    {"restartPolicyRules", Check::max_items, "20"},
    {"restartPolicyRules[].action", Check::required},
    {"restartPolicyRules[].action", Check::one_of, "Restart RestartAllContainers"},
    {"restartPolicyRules[].exitCodes", Check::required, "must be specified"},
    {"restartPolicyRules[].exitCodes.operator", Check::one_of, "In NotIn"},
    {"restartPolicyRules[].exitCodes.values", Check::max_items, "255"},
};

void validate_ports(const Node& container, const std::string& path, FieldErrors& errors) {
  std::set<std::string> names;
  each(container, "ports", path, [&](const Node& port, const std::string& here) {
    std::string name(port.string_at("name"));
    if (!name.empty() && !names.insert(name).second) errors.duplicate(here + ".name", name);
    if (has_value(port, "hostPort")) require_port_number(port.find("hostPort"), here + ".hostPort", errors);
  });
}

// One host port, protocol and address may be claimed once in a list of containers.
void validate_host_ports(const Node& container, const std::string& path, std::set<std::string>& taken, FieldErrors& errors) {
  each(container, "ports", path, [&](const Node& port, const std::string& here) {
    const int64_t number = int_at(port, "hostPort").value_or(0);
    if (number == 0) return;
    std::string key = std::string(port.string_at("protocol")) + "/" + std::string(port.string_at("hostIP")) + "/" + std::to_string(number);
    if (!taken.insert(key).second) errors.duplicate(here + ".hostPort", key);
  });
}

void validate_key_ref(const Node& from, std::string_view kind, const std::string& path, FieldErrors& errors) {
  const Node* ref = from.find(kind);
  if (!present(ref)) return;
  constexpr FieldRule rules[] = {{"key", Check::required}, {"key", Check::config_key}};
  const std::string here = path + "." + std::string(kind);
  check_fields(*ref, rules, here, errors);
  for (const std::string& problem : model::check_dns1123_subdomain(ref->string_at("name")))
    errors.invalid_string(here + ".name", ref->string_at("name"), problem);
}

void validate_file_ref(const PodScope& pod, const Node& ref, const std::string& path) {
  constexpr FieldRule rules[] = {{"key", Check::required},         {"key", Check::env_name},  {"volumeName", Check::required},
                                 {"volumeName", Check::dns_label}, {"path", Check::required}, {"path", Check::no_backsteps}};
  check_fields(ref, rules, path, pod.errors);
  const std::string_view name = ref.string_at("volumeName");
  const auto volume = pod.volumes.find(name);
  if (volume == pod.volumes.end()) pod.errors.not_found(path + ".volumeName", name);
  else if (!has(*volume->second, "emptyDir"))
    pod.errors.invalid_string(path + ".volumeName", name, "referenced volume must be of type emptyDir");
}

void validate_value_from(const PodScope& pod, const Node& variable, const Node& from, const std::string& path) {
  FieldErrors& errors = pod.errors;
  if (const Node* ref = from.find("fieldRef"); present(ref)) validate_field_ref(*ref, path + ".fieldRef", false, errors);
  if (const Node* ref = from.find("resourceFieldRef"); present(ref))
    validate_resource_field_ref(*ref, path + ".resourceFieldRef", false, errors);
  validate_key_ref(from, "configMapKeyRef", path, errors);
  validate_key_ref(from, "secretKeyRef", path, errors);
  if (const Node* ref = from.find("fileKeyRef"); present(ref)) validate_file_ref(pod, *ref, path + ".fileKeyRef");
  if (from.empty())
    errors.invalid_string(path, "",
                          "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`");
  else if (has_value(variable, "value")) errors.invalid_string(path, "", "may not be specified when `value` is not empty");
  else if (from.size() > 1) errors.invalid_string(path, "", "may not have more than one field specified at a time");
}

void validate_env(const PodScope& pod, const Node& container, const std::string& path) {
  each(container, "env", path, [&](const Node& variable, const std::string& here) {
    const Node* from = variable.find("valueFrom");
    if (present(from)) validate_value_from(pod, variable, *from, here + ".valueFrom");
  });
  each(container, "envFrom", path, [&](const Node& source, const std::string&) {
    const int count = has(source, "configMapRef") + has(source, "secretRef");
    if (count == 0) pod.errors.invalid_string(path + ".envFrom", "", "must specify one of: `configMapRef` or `secretRef`");
    if (count > 1) pod.errors.invalid_string(path + ".envFrom", "", "may not have more than one field specified at a time");
  });
}

void validate_mount_propagation(const Node& mount, bool privileged, const std::string& path, FieldErrors& errors) {
  check_value(mount.find("mountPropagation"), Check::one_of, "Bidirectional HostToContainer None", path + ".mountPropagation", errors);
  if (mount.string_at("mountPropagation") == "Bidirectional" && !privileged)
    errors.forbidden(path + ".mountPropagation", "Bidirectional mount propagation is available only to privileged containers");
  const std::string_view recursive = mount.string_at("recursiveReadOnly"), propagation = mount.string_at("mountPropagation");
  if (recursive.empty() || recursive == "Disabled") return;
  const std::string here = path + ".recursiveReadOnly";
  check_value(mount.find("recursiveReadOnly"), Check::one_of, "Disabled Enabled IfPossible", here, errors);
  if (!bool_at(mount, "readOnly")) errors.forbidden(here, "may only be specified when readOnly is true");
  if (!propagation.empty() && propagation != "None")
    errors.forbidden(here, "may only be specified when mountPropagation is None or not specified");
}

// Whether a list of mounts or devices has an entry with this value.
bool lists(const Node& container, std::string_view list, std::string_view key, std::string_view value) {
  const Node* entries = container.find(list);
  return present(entries) && std::any_of(entries->begin(), entries->end(), [&](const Node& e) { return e.string_at(key) == value; });
}

void validate_mounts(const PodScope& pod, const Node& container, const std::string& path) {
  FieldErrors& errors = pod.errors;
  std::set<std::string, std::less<>> paths;
  const Node* privileged = container.at("securityContext", "privileged");
  each(container, "volumeMounts", path, [&](const Node& mount, const std::string& here) {
    const std::string_view name = mount.string_at("name"), where = mount.string_at("mountPath");
    if (name.empty()) errors.required(here + ".name");
    else if (!pod.volumes.contains(name)) errors.not_found(here + ".name", name);
    if (where.empty()) errors.required(here + ".mountPath");
    else if (!paths.emplace(where).second) errors.invalid_string(here + ".mountPath", where, "must be unique");
    if (lists(container, "volumeDevices", "name", name))
      errors.invalid_string(here + ".name", name, "must not already exist in volumeDevices");
    if (lists(container, "volumeDevices", "devicePath", where))
      errors.invalid_string(here + ".mountPath", where, "must not already exist as a path in volumeDevices");
    check_value(mount.find("subPath"), Check::relative_path, {}, here + ".subPath", errors);
    check_value(mount.find("subPathExpr"), Check::relative_path, {}, here + ".subPathExpr", errors);
    if (has_value(mount, "subPath") && has_value(mount, "subPathExpr"))
      errors.invalid_string(here + ".subPathExpr", mount.string_at("subPathExpr"), "subPathExpr and subPath are mutually exclusive");
    validate_mount_propagation(mount, privileged && privileged->as_bool(), here, errors);
  });
}

void validate_devices(const PodScope& pod, const Node& container, const std::string& path) {
  FieldErrors& errors = pod.errors;
  std::set<std::string, std::less<>> names, paths;
  each(container, "volumeDevices", path, [&](const Node& device, const std::string& here) {
    const std::string_view name = device.string_at("name"), where = device.string_at("devicePath");
    const auto volume = pod.volumes.find(name);
    if (name.empty()) errors.required(here + ".name");
    else if (!names.emplace(name).second) errors.invalid_string(here + ".name", name, "must be unique");
    if (volume == pod.volumes.end()) errors.not_found(here + ".name", name);
    else if (!has(*volume->second, "persistentVolumeClaim") && !has(*volume->second, "ephemeral"))
      errors.invalid_string(here + ".name", name, "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode");
    if (where.empty()) errors.required(here + ".devicePath");
    else if (!paths.emplace(where).second) errors.invalid_string(here + ".devicePath", where, "must be unique");
    const auto steps = split(where, '/');
    if (std::ranges::find(steps, "..") != steps.end())
      errors.invalid_string(here + ".devicePath", where, "can not contain backsteps ('..')");
    if (lists(container, "volumeMounts", "name", name))
      errors.invalid_string(here + ".name", name, "must not already exist in volumeMounts");
    if (lists(container, "volumeMounts", "mountPath", where))
      errors.invalid_string(here + ".devicePath", where, "must not already exist as a path in volumeMounts");
  });
}

constexpr std::string_view probe_names[] = {"livenessProbe", "readinessProbe", "startupProbe"};

void validate_probe(const Node& probe, std::string_view name, const std::string& path, int64_t grace, FieldErrors& errors) {
  constexpr FieldRule rules[] = {
      {"initialDelaySeconds", Check::not_negative}, {"timeoutSeconds", Check::not_negative},
      {"periodSeconds", Check::not_negative},       {"successThreshold", Check::not_negative},
      {"failureThreshold", Check::not_negative},    {"terminationGracePeriodSeconds", Check::positive},
  };
  validate_handler(probe, path, grace, errors);
  check_fields(probe, rules, path, errors);
  if (name != "readinessProbe") {
    if (int_at(probe, "successThreshold").value_or(1) != 1)
      errors.invalid(path + ".successThreshold", probe.find("successThreshold"), "must be 1");
  } else if (has(probe, "terminationGracePeriodSeconds")) {
    errors.invalid(path + ".terminationGracePeriodSeconds", probe.find("terminationGracePeriodSeconds"),
                   "must not be set for readinessProbes");
  }
}

// As core/validation has them: "SIGTERM", "SIGRTMIN+1"; neither numbers nor other letters.
bool is_linux_signal(std::string_view text) {
  const auto number = signal_number(text);
  if (!number || !text.starts_with("SIG")) return false;
  const auto known = named_signals();
  return signal_name(*number) == text || std::ranges::any_of(known, [&](const auto& named) { return named.first == text.substr(3); });
}

void validate_stop_signal(const PodScope& pod, const Node& signal, const std::string& path) {
  const std::string_view os = pod.spec.string_at("os", "name"), text = signal.as_string();
  if (os.empty()) return pod.errors.forbidden(path, "may not be set for containers with empty `spec.os.name`");
  if (os == "windows" && text != "SIGKILL" && text != "SIGTERM") pod.errors.not_supported(path, text, {"SIGKILL", "SIGTERM"});
  if (os != "linux" || is_linux_signal(text)) return;
  std::vector<std::string> names;
  for (const auto& [name, number] : named_signals()) names.push_back("SIG" + std::string(name));
  std::vector<std::string_view> shown(names.begin(), names.end());
  pod.errors.not_supported(path, text, std::span<const std::string_view>(shown));
}

void validate_lifecycle(const PodScope& pod, const Node& container, const std::string& path) {
  const Node* lifecycle = container.find("lifecycle");
  if (!present(lifecycle)) return;
  for (std::string_view hook : {"postStart", "preStop"}) {
    if (const Node* action = lifecycle->find(hook); present(action))
      validate_handler(*action, path + ".lifecycle." + std::string(hook), pod.grace(), pod.errors);
  }
  if (const Node* signal = lifecycle->find("stopSignal"); present(signal))
    validate_stop_signal(pod, *signal, path + ".lifecycle.stopSignal");
}

void validate_probes(const PodScope& pod, const Node& container, const std::string& path) {
  for (std::string_view name : probe_names) {
    const Node* probe = container.find(name);
    if (present(probe)) validate_probe(*probe, name, path + "." + std::string(name), pod.grace(), pod.errors);
  }
}

void validate_resize_policy(const PodScope& pod, const Node& container, const std::string& path) {
  std::set<std::string, std::less<>> seen;
  each(container, "resizePolicy", path, [&](const Node& policy, const std::string& here) {
    const std::string_view name = policy.string_at("resourceName"), restart = policy.string_at("restartPolicy");
    if (!seen.emplace(name).second) pod.errors.duplicate(here, name);
    if (pod.spec.string_at("restartPolicy") == "Never" && restart != "NotRequired")
      pod.errors.invalid_string(path + ".resizePolicy", restart, "must be 'NotRequired' when pod `restartPolicy` is 'Never'");
  });
}

void validate_container(const PodScope& pod, const Node& container, const std::string& path) {
  FieldErrors& errors = pod.errors;
  check_fields(container, common_rules, path, errors);
  const std::string_view image = container.string_at("image");
  if (pod.metadata && trim(image) != image) errors.invalid_string(path + ".image", image, "must not have leading or trailing whitespace");
  validate_ports(container, path, errors);
  validate_env(pod, container, path);
  validate_mounts(pod, container, path);
  validate_devices(pod, container, path);
  if (const Node* resources = container.find("resources"); present(resources))
    validate_resources(pod, *resources, path + ".resources", false);
  validate_resize_policy(pod, container, path);
  validate_container_security(pod, container, path);
  if (!has(container, "restartPolicy") && has_value(container, "restartPolicyRules"))
    errors.required(path + ".restartPolicy", "must specify restartPolicy when restart rules are used");
}

void validate_init_container(const PodScope& pod, const Node& container, const std::string& path) {
  FieldErrors& errors = pod.errors;
  const bool sidecar = container.string_at("restartPolicy") == "Always";
  if (sidecar) {
    validate_lifecycle(pod, container, path);
    return validate_probes(pod, container, path);
  }
  for (std::string_view field : {"lifecycle", "livenessProbe", "readinessProbe", "startupProbe"}) {
    if (has(container, field))
      errors.forbidden(path + "." + std::string(field), "may not be set for init containers without restartPolicy=Always");
  }
  each(container, "resizePolicy", path, [&](const Node& policy, const std::string& here) {
    if (policy.string_at("restartPolicy") == "RestartContainer")
      errors.invalid_string(here + ".restartPolicy", "RestartContainer",
                            "must not be set to 'RestartContainer' for non-sidecar initContainers");
  });
}

void validate_ephemeral(const PodScope& pod, const Node& container, const std::string& path, const std::set<std::string>& others) {
  static constexpr std::string_view not_allowed[] = {"ports",     "livenessProbe", "readinessProbe", "startupProbe",
                                                     "lifecycle", "resizePolicy",  "restartPolicy",  "restartPolicyRules"};
  for (std::string_view field : not_allowed) {
    if (has_value(container, field)) pod.errors.forbidden(path + "." + std::string(field), "cannot be set for an Ephemeral Container");
  }
  for (std::string_view field : {"limits", "requests", "claims"}) {
    const Node* resources = container.find("resources");
    if (!present(resources) || !has_value(*resources, field)) continue;
    pod.errors.forbidden(path + ".resources", "cannot be set for an Ephemeral Container");
    break;
  }
  each(container, "volumeMounts", path, [&](const Node& mount, const std::string& here) {
    for (std::string_view field : {"subPath", "subPathExpr"}) {
      if (has_value(mount, field)) pod.errors.forbidden(here + "." + std::string(field), "cannot be set for an Ephemeral Container");
    }
  });
  const std::string target(container.string_at("targetContainerName"));
  if (!target.empty() && !others.contains(target)) pod.errors.not_found(path + ".targetContainerName", target);
}

}  // namespace

void validate_containers(PodScope& pod) {
  std::set<std::string> names, ports;
  auto name_once = [&](const Node& container, const std::string& here) {
    const std::string name(container.string_at("name"));
    if (!name.empty() && !names.insert(name).second) pod.errors.duplicate(here + ".name", name);
  };
  if (!has_value(pod.spec, "containers")) pod.errors.required(pod.path + ".containers");
  each(pod.spec, "containers", pod.path, [&](const Node& container, const std::string& here) {
    validate_container(pod, container, here);
    name_once(container, here);
    validate_lifecycle(pod, container, here);
    validate_probes(pod, container, here);
    validate_host_ports(container, here, ports, pod.errors);
    if (!pod.host_network()) return;
    each(container, "ports", here, [&](const Node& port, const std::string& where) {
      const Node* host = port.find("hostPort");
      if ((pod.metadata || has_value(port, "hostPort")) && !same(host, port.find("containerPort")))
        pod.errors.invalid(where + ".hostPort", host, "must match `containerPort` when `hostNetwork` is true");
    });
  });
  each(pod.spec, "initContainers", pod.path, [&](const Node& container, const std::string& here) {
    validate_container(pod, container, here);
    name_once(container, here);
    std::set<std::string> own;
    validate_host_ports(container, here, own, pod.errors);
    validate_init_container(pod, container, here);
  });
  const std::set<std::string> others = names;
  each(pod.spec, "ephemeralContainers", pod.path, [&](const Node& container, const std::string& here) {
    validate_container(pod, container, here);
    name_once(container, here);
    validate_ephemeral(pod, container, here, others);
  });
}

void validate_handler(const Node& action, const std::string& path, int64_t grace, FieldErrors& errors) {
  static constexpr std::string_view kinds[] = {"exec", "httpGet", "tcpSocket", "grpc", "sleep"};
  constexpr FieldRule rules[] = {
      {"exec.command", Check::required},       {"httpGet.path", Check::required},     {"httpGet.scheme", Check::one_of, "HTTP HTTPS"},
      {"tcpSocket.port", Check::port_or_name}, {"httpGet.port", Check::port_or_name}, {"grpc.port", Check::port}};
  check_union(action, kinds, path, "may not specify more than 1 handler type", "must specify a handler type", errors);
  check_fields(action, rules, path, errors);
  for (std::string_view kind : {"httpGet", "tcpSocket", "grpc"}) {
    const Node* handler = action.find(kind);
    if (present(handler) && !has(*handler, "port"))
      errors.invalid(path + "." + std::string(kind) + ".port", "0", "must be between 1 and 65535, inclusive");
  }
  if (const Node* headers = action.at("httpGet", "httpHeaders"); present(headers)) {
    for (const Node& header : *headers) {
      const Node* name = header.find("name");
      if (has_value(header, "name")) check_value(name, Check::http_header, {}, path + ".httpGet.httpHeaders", errors);
    }
  }
  const Node* sleep = action.find("sleep");
  if (!present(sleep)) return;
  const int64_t seconds = int_at(*sleep, "seconds").value_or(0);
  if (seconds < 0 || seconds > grace)
    errors.invalid(path + ".sleep", std::string_view(std::to_string(seconds)),
                   "must be non-negative and less than terminationGracePeriodSeconds (" + std::to_string(grace) + ")");
}

}  // namespace estiba::apiserver
