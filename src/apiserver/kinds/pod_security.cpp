// Security contexts, and what a pod's operating system leaves no room for.
#include <algorithm>

#include "apiserver/edit.h"
#include "apiserver/kinds/field_rules.h"
#include "apiserver/kinds/pod_check.h"
#include "apiserver/kinds/value_checks.h"
#include "base/strings.h"

namespace estiba::apiserver {
namespace {

using json::Node;

void validate_profile(const Node& context, std::string_view member, std::string_view what, const std::string& path, FieldErrors& errors) {
  const Node* profile = context.find(member);
  if (!present(profile)) return;
  const std::string here = path + "." + std::string(member), local = here + ".localhostProfile";
  const std::string_view type = profile->string_at("type");
  const Node* file = profile->find("localhostProfile");
  if (type.empty()) errors.required(here + ".type", "type is required when " + std::string(member) + " is set");
  else if (type != "Localhost" && type != "RuntimeDefault" && type != "Unconfined")
    errors.not_supported(here + ".type", type, {"Localhost", "RuntimeDefault", "Unconfined"});
  if (type != "Localhost") {
    if (present(file)) errors.invalid(local, file, "can only be set when " + std::string(what) + " type is Localhost");
    return;
  }
  if (!present(file)) return errors.required(local, "must be set when " + std::string(what) + " type is Localhost");
  if (member == "seccompProfile") return check_value(file, Check::relative_path, {}, local, errors);
  const std::string_view name = file->as_string();
  if (trim(name) != name) errors.invalid_string(local, name, "must not be padded with whitespace");
  else if (name.empty()) errors.required(local, "must be set when AppArmor type is Localhost");
  if (name.size() > 4095) errors.too_long(local, 4095);
}

void validate_windows_options(const Node& context, const std::string& path, FieldErrors& errors) {
  const Node* options = context.find("windowsOptions");
  if (!present(options)) return;
  const std::string here = path + ".windowsOptions";
  constexpr FieldRule rules[] = {{"gmsaCredentialSpecName", Check::dns_subdomain}, {"gmsaCredentialSpec", Check::max_bytes, "65536"}};
  check_fields(*options, rules, here, errors);
  if (const Node* spec = options->find("gmsaCredentialSpec"); present(spec) && spec->as_string().empty())
    errors.invalid_string(here + ".gmsaCredentialSpec", "", "gmsaCredentialSpec cannot be an empty string");
  if (const Node* name = options->find("runAsUserName"); present(name) && name->as_string().empty())
    errors.invalid_string(here + ".runAsUserName", "", "runAsUserName cannot be an empty string");
}

void validate_sysctls(const PodScope& pod, const Node& context, const std::string& path) {
  static constexpr std::string_view ipc[] = {"kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue."};
  std::set<std::string, std::less<>> names;
  FieldErrors& errors = pod.errors;
  each(context, "sysctls", path, [&](const Node& sysctl, const std::string& here) {
    const std::string_view name = sysctl.string_at("name");
    const std::string field = here + ".name";
    if (name.empty()) errors.required(field);
    else if (!is_sysctl_name(name))
      errors.invalid_string(field, name,
                            "must have at most 253 characters and match regex "
                            "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$");
    else if (!names.emplace(name).second) errors.duplicate(field, name);
    std::string dotted(name);
    std::ranges::replace(dotted, '/', '.');
    if (pod.host_network() && dotted.starts_with("net."))
      errors.invalid_string(field, name, "may not be specified when 'hostNetwork' is true");
    const bool of_ipc = std::ranges::any_of(ipc, [&](std::string_view prefix) { return dotted.starts_with(prefix); });
    if (bool_at(pod.spec, "hostIPC") && of_ipc) errors.invalid_string(field, name, "may not be specified when 'hostIPC' is true");
  });
}

// What a Windows pod cannot have.
void validate_windows(const PodScope& pod) {
  static constexpr std::string_view of_spec[] = {"hostUsers", "hostPID", "hostIPC", "shareProcessNamespace", "resources"};
  static constexpr std::string_view of_context[] = {"appArmorProfile",     "seLinuxOptions",
                                                    "seccompProfile",      "fsGroup",
                                                    "fsGroupChangePolicy", "sysctls",
                                                    "runAsUser",           "runAsGroup",
                                                    "supplementalGroups",  "supplementalGroupsPolicy",
                                                    "seLinuxChangePolicy"};
  static constexpr std::string_view of_container[] = {
      "appArmorProfile", "seLinuxOptions",           "seccompProfile", "capabilities", "readOnlyRootFilesystem",
      "privileged",      "allowPrivilegeEscalation", "procMount",      "runAsUser",    "runAsGroup"};
  auto refuse = [&](const Node& holder, std::span<const std::string_view> fields, const std::string& path) {
    for (std::string_view field : fields) {
      if (has(holder, field)) pod.errors.forbidden(join_path(path, field), "cannot be set for a windows pod");
    }
  };
  refuse(pod.spec, of_spec, pod.path);
  if (const Node* context = pod.spec.find("securityContext"); present(context)) refuse(*context, of_context, pod.path + ".securityContext");
  for (std::string_view list : {"containers", "initContainers", "ephemeralContainers"}) {
    each(pod.spec, list, pod.path, [&](const Node& container, const std::string& here) {
      if (const Node* context = container.find("securityContext"); present(context))
        refuse(*context, of_container, here + ".securityContext");
    });
  }
}

void validate_linux(const PodScope& pod) {
  constexpr std::string_view told = "windows options cannot be set for a linux pod";
  constexpr FieldRule rules[] = {{"securityContext.windowsOptions", Check::forbidden, told},
                                 {"containers[].securityContext.windowsOptions", Check::forbidden, told},
                                 {"initContainers[].securityContext.windowsOptions", Check::forbidden, told},
                                 {"ephemeralContainers[].securityContext.windowsOptions", Check::forbidden, told}};
  check_fields(pod.spec, rules, pod.path, pod.errors);
}

}  // namespace

void validate_pod_security(PodScope& pod) {
  const std::string path = pod.path + ".securityContext";
  FieldErrors& errors = pod.errors;
  constexpr FieldRule rules[] = {
      {"fsGroup", Check::user_id},
      {"runAsUser", Check::user_id},
      {"runAsGroup", Check::user_id},
      {"supplementalGroups[]", Check::user_id},
      {"fsGroupChangePolicy", Check::one_of, "Always OnRootMismatch"},
      {"supplementalGroupsPolicy", Check::one_of, "Merge Strict"},
      {"seLinuxChangePolicy", Check::one_of, "MountOption Recursive"},
  };
  if (const Node* context = pod.spec.find("securityContext"); present(context)) {
    check_fields(*context, rules, path, errors);
    validate_sysctls(pod, *context, path);
    validate_profile(*context, "seccompProfile", "seccomp", path, errors);
    validate_profile(*context, "appArmorProfile", "AppArmor", path, errors);
    validate_windows_options(*context, path, errors);
  }
  if (bool_at(pod.spec, "shareProcessNamespace") && bool_at(pod.spec, "hostPID"))
    errors.invalid(path + ".shareProcessNamespace", "true", "ShareProcessNamespace and HostPID cannot both be enabled");
  if (!pod.host_users()) {
    if (pod.host_network()) errors.forbidden(pod.path + ".hostNetwork", "when `hostUsers` is false");
    if (bool_at(pod.spec, "hostPID")) errors.forbidden(pod.path + ".HostPID", "when `hostUsers` is false");
    if (bool_at(pod.spec, "hostIPC")) errors.forbidden(pod.path + ".HostIPC", "when `hostUsers` is false");
    for (std::string_view list : {"containers", "initContainers", "ephemeralContainers"}) {
      each(pod.spec, list, pod.path, [&](const Node& container, const std::string& here) {
        if (has_value(container, "volumeDevices")) errors.forbidden(here + ".volumeDevices", "when `hostUsers` is false");
      });
    }
  }
  const Node* os = pod.spec.find("os");
  if (!present(os)) return;
  const std::string_view name = os->string_at("name");
  if (name.empty()) errors.required(pod.path + ".os.name");
  else if (name == "linux") validate_linux(pod);
  else if (name == "windows") validate_windows(pod);
  else errors.not_supported(pod.path + ".os", name, {"linux", "windows"});
}

void validate_container_security(const PodScope& pod, const Node& container, const std::string& path) {
  const Node* context = container.find("securityContext");
  if (!present(context)) return;
  FieldErrors& errors = pod.errors;
  const std::string here = path + ".securityContext";
  constexpr FieldRule rules[] = {
      {"runAsUser", Check::user_id}, {"runAsGroup", Check::user_id}, {"procMount", Check::one_of, "Default Unmasked"}};
  check_fields(*context, rules, here, errors);
  if (context->string_at("procMount") == "Unmasked" && pod.host_users())
    errors.invalid_string(here + ".procMount", "Unmasked", "`hostUsers` must be false to use `Unmasked`");
  const Node* escalation = context->find("allowPrivilegeEscalation");
  if (present(escalation) && !escalation->as_bool()) {
    if (bool_at(*context, "privileged"))
      errors.invalid(here, context, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
    const Node* added = context->at("capabilities", "add");
    if (present(added) && std::any_of(added->begin(), added->end(), [](const Node& c) { return c.as_string() == "CAP_SYS_ADMIN"; }))
      errors.invalid(here, context, "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN");
  }
  validate_profile(*context, "seccompProfile", "seccomp", here, errors);
  validate_profile(*context, "appArmorProfile", "AppArmor", here, errors);
  validate_windows_options(*context, here, errors);
}

}  // namespace estiba::apiserver
