#include "apiserver/admission/pod_security_policy.h"

#include <algorithm>
#include <optional>
#include <set>

#include "apiserver/edit.h"
#include "base/strings.h"

namespace estiba::apiserver::admission {
namespace {

using Found = std::optional<Violation>;
using Names = std::vector<std::string>;
using Sorted = std::set<std::string, std::less<>>;

struct Pod {
  const json::Node* metadata;
  const json::Node& spec;
  int minor;  // the policy's version
};

constexpr std::string_view lists[] = {"initContainers", "containers", "ephemeralContainers"};

template <class F>
void each_container(const Pod& pod, F&& visit) {
  for (std::string_view list : lists) {
    const json::Node* containers = pod.spec.find(list);
    if (!present(containers)) continue;
    for (const json::Node& container : *containers) visit(container);
  }
}

template <class List>
std::string quote_all(const List& names) {
  std::string out;
  for (const std::string& name : names) out.append(out.empty() ? "\"" : ", \"").append(name).append("\"");
  return out;
}

std::string plural(size_t count, std::string_view one, std::string_view many) { return std::string(count == 1 ? one : many); }
std::string containers_of(const Names& names) { return plural(names.size(), "container", "containers") + " " + quote_all(names); }

// "pod and containers "a", "b"": who set something.
std::string setters(bool pod, const Names& containers) {
  std::string out = pod ? "pod" : "";
  if (!containers.empty()) out += (pod ? " and " : "") + containers_of(containers);
  return out;
}

const json::Node* security(const json::Node& holder, std::string_view field) {
  const json::Node* found = holder.at("securityContext", field);
  return present(found) ? found : nullptr;
}

bool is_true(const json::Node* flag) { return present(flag) && flag->as_bool(); }
bool has_user_namespace(const Pod& pod) {
  const json::Node* host_users = pod.spec.find("hostUsers");
  return present(host_users) && !host_users->as_bool(true);
}
bool is_windows(const Pod& pod) { return pod.minor >= 25 && pod.spec.string_at("os", "name") == "windows"; }

template <class F>
Names containers_where(const Pod& pod, F&& is_bad) {
  Names out;
  each_container(pod, [&](const json::Node& container) {
    if (is_bad(container)) out.emplace_back(container.string_at("name"));
  });
  return out;
}

// Baseline

Found app_armor(const Pod& pod) {
  Sorted values;
  auto is_bad = [&](const json::Node& holder) {
    const json::Node* profile = security(holder, "appArmorProfile");
    if (!profile) return false;
    const std::string_view type = profile->string_at("type");
    if (type == "RuntimeDefault" || type == "Localhost") return false;
    values.emplace(type);
    return true;
  };
  const bool whole = is_bad(pod.spec);
  const Names bad = containers_where(pod, is_bad);
  Names all(values.begin(), values.end()), annotated;
  const json::Node* annotations = pod.metadata ? pod.metadata->find("annotations") : nullptr;
  if (present(annotations)) {
    for (const json::Node& entry : *annotations) {
      const std::string_view profile = entry.as_string();
      if (!entry.key().starts_with("container.apparmor.security.beta.kubernetes.io/")) continue;
      if (!profile.empty() && profile != "runtime/default" && !profile.starts_with("localhost/"))
        annotated.push_back(std::string(entry.key()) + "=" + quoted(profile));
    }
  }
  std::sort(annotated.begin(), annotated.end());
  std::string who = setters(whole, bad);
  if (!annotated.empty()) who += (who.empty() ? "" : " and ") + plural(annotated.size(), "annotation", "annotations");
  if (who.empty()) return {};
  all.insert(all.end(), annotated.begin(), annotated.end());
  return Violation{plural(all.size(), "forbidden AppArmor profile", "forbidden AppArmor profiles"),
                   who + " must not set AppArmor profile type to " + quote_all(all)};
}

// The capabilities added beyond those allowed.
template <class Allowed>
Names adding(const Pod& pod, const Allowed& allowed, Sorted& forbidden) {
  return containers_where(pod, [&](const json::Node& container) {
    const json::Node* added = container.at("securityContext", "capabilities", "add");
    bool bad = false;
    if (!present(added)) return false;
    for (const json::Node& capability : *added) {
      if (std::find(std::begin(allowed), std::end(allowed), capability.as_string()) != std::end(allowed)) continue;
      bad = true;
      forbidden.emplace(capability.as_string());
    }
    return bad;
  });
}

Found capabilities_baseline(const Pod& pod) {
  constexpr std::string_view allowed[] = {"AUDIT_WRITE",      "CHOWN",   "DAC_OVERRIDE", "FOWNER",  "FSETID", "KILL",      "MKNOD",
                                          "NET_BIND_SERVICE", "SETFCAP", "SETGID",       "SETPCAP", "SETUID", "SYS_CHROOT"};
  Sorted forbidden;
  const Names bad = adding(pod, allowed, forbidden);
  if (bad.empty()) return {};
  return Violation{"non-default capabilities",
                   containers_of(bad) + " must not include " + quote_all(forbidden) + " in securityContext.capabilities.add"};
}

Found host_namespaces(const Pod& pod) {
  Names set;
  for (std::string_view field : {"hostNetwork", "hostPID", "hostIPC"})
    if (is_true(pod.spec.find(field))) set.push_back(std::string(field) + "=true");
  if (set.empty()) return {};
  return Violation{"host namespaces", join(set, ", ")};
}

Found host_path_volumes(const Pod& pod) {
  Names bad;
  if (const json::Node* volumes = pod.spec.find("volumes"); present(volumes))
    for (const json::Node& volume : *volumes)
      if (has(volume, "hostPath")) bad.emplace_back(volume.string_at("name"));
  if (bad.empty()) return {};
  return Violation{"hostPath volumes", plural(bad.size(), "volume", "volumes") + " " + quote_all(bad)};
}

Found host_ports(const Pod& pod) {
  Sorted numbers;
  const Names bad = containers_where(pod, [&](const json::Node& container) {
    const json::Node* ports = container.find("ports");
    bool any = false;
    if (!present(ports)) return false;
    for (const json::Node& port : *ports) {
      const int64_t number = present(port.find("hostPort")) ? port.find("hostPort")->as_int().value_or(0) : 0;
      if (number == 0) continue;
      any = true;
      numbers.insert(std::to_string(number));
    }
    return any;
  });
  if (bad.empty()) return {};
  return Violation{"hostPort", containers_of(bad) + " " + plural(bad.size(), "uses", "use") + " " +
                                   plural(numbers.size(), "hostPort", "hostPorts") + " " + join({numbers.begin(), numbers.end()}, ", ")};
}

Found host_probes(const Pod& pod) {
  Sorted bad, hosts;
  each_container(pod, [&](const json::Node& container) {
    auto look = [&](const json::Node* handler) {
      if (!present(handler)) return;
      for (std::string_view kind : {"httpGet", "tcpSocket"}) {
        const std::string_view host = handler->string_at(kind, "host");
        if (host.empty()) continue;
        bad.emplace(container.string_at("name"));
        hosts.emplace(host);
      }
    };
    for (std::string_view probe : {"livenessProbe", "readinessProbe", "startupProbe"}) look(container.find(probe));
    for (std::string_view hook : {"postStart", "preStop"}) look(container.at("lifecycle", hook));
  });
  if (bad.empty()) return {};
  return Violation{"probe or lifecycle host", containers_of({bad.begin(), bad.end()}) + " " + plural(bad.size(), "uses", "use") + " " +
                                                  plural(hosts.size(), "probe or lifecycle host", "probe or lifecycle hosts") + " " +
                                                  quote_all(hosts)};
}

Found privileged(const Pod& pod) {
  const Names bad = containers_where(pod, [](const json::Node& container) { return is_true(security(container, "privileged")); });
  if (bad.empty()) return {};
  return Violation{"privileged", containers_of(bad) + " must not set securityContext.privileged=true"};
}

Found proc_mount(const Pod& pod) {
  Sorted types;
  const Names bad = containers_where(pod, [&](const json::Node& container) {
    const json::Node* mount = security(container, "procMount");
    if (!mount || mount->as_string() == "Default") return false;
    types.emplace(mount->as_string());
    return true;
  });
  if (bad.empty()) return {};
  return Violation{"procMount", containers_of(bad) + " must not set securityContext.procMount to " + quote_all(types)};
}

Found proc_mount_baseline(const Pod& pod) {
  if (pod.minor >= 35 && has_user_namespace(pod)) return {};
  return proc_mount(pod);
}

Found selinux(const Pod& pod) {
  Sorted types;
  bool user = false, role = false;
  auto is_bad = [&](const json::Node& holder) {
    const json::Node* options = security(holder, "seLinuxOptions");
    if (!options) return false;
    const std::string_view type = options->string_at("type");
    const bool type_ok = type.empty() || type == "container_t" || type == "container_init_t" || type == "container_kvm_t" ||
                         (pod.minor >= 31 && type == "container_engine_t");
    const bool sets_user = !options->string_at("user").empty(), sets_role = !options->string_at("role").empty();
    if (!type_ok) types.emplace(type);
    user = user || sets_user;
    role = role || sets_role;
    return !type_ok || sets_user || sets_role;
  };
  const bool whole = is_bad(pod.spec);
  const std::string who = setters(whole, containers_where(pod, is_bad));
  if (who.empty()) return {};
  Names what;
  if (!types.empty()) what.push_back(plural(types.size(), "type", "types") + " " + quote_all(types));
  if (user) what.emplace_back("user may not be set");
  if (role) what.emplace_back("role may not be set");
  return Violation{"seLinuxOptions", who + " set forbidden securityContext.seLinuxOptions: " + join(what, "; ")};
}

bool seccomp_type_ok(std::string_view type) { return type == "Localhost" || type == "RuntimeDefault"; }

Found seccomp_annotations(const Pod& pod) {
  Sorted forbidden;
  auto look = [&](const std::string& key) {
    const json::Node* entry = pod.metadata ? pod.metadata->at("annotations", std::string_view(key)) : nullptr;
    if (!present(entry)) return;
    const std::string_view value = entry->as_string();
    if (value != "runtime/default" && value != "docker/default" && !value.starts_with("localhost/"))
      forbidden.insert(key + "=" + quoted(value));
  };
  look("seccomp.security.alpha.kubernetes.io/pod");
  each_container(pod, [&](const json::Node& container) {
    look("container.seccomp.security.alpha.kubernetes.io/" + std::string(container.string_at("name")));
  });
  if (forbidden.empty()) return {};
  return Violation{"seccompProfile", "forbidden " + plural(forbidden.size(), "annotation", "annotations") + " " +
                                         join({forbidden.begin(), forbidden.end()}, ", ")};
}

// Profiles that are set to something that is not allowed; `unset` gets the containers that have none, from the pod neither.
Found seccomp_fields(const Pod& pod, Names& unset) {
  Sorted values;
  auto is_bad = [&](const json::Node& holder) {
    const json::Node* profile = security(holder, "seccompProfile");
    if (!profile || seccomp_type_ok(profile->string_at("type"))) return false;
    values.emplace(profile->string_at("type"));
    return true;
  };
  const bool whole = is_bad(pod.spec), pod_sets = security(pod.spec, "seccompProfile") && !whole;
  const std::string who = setters(whole, containers_where(pod, is_bad));
  unset = containers_where(pod, [&](const json::Node& container) { return !security(container, "seccompProfile") && !pod_sets; });
  if (who.empty()) return {};
  return Violation{"seccompProfile", who + " must not set securityContext.seccompProfile.type to " + quote_all(values)};
}

Found seccomp_baseline(const Pod& pod) {
  if (pod.minor < 19) return seccomp_annotations(pod);
  Names unset;
  return seccomp_fields(pod, unset);
}

Found sysctls(const Pod& pod) {
  struct Row {
    std::string_view name;
    int since;
  };
  constexpr Row allowed[] = {{"kernel.shm_rmid_forced", 0},
                             {"net.ipv4.ip_local_port_range", 0},
                             {"net.ipv4.tcp_syncookies", 0},
                             {"net.ipv4.ping_group_range", 0},
                             {"net.ipv4.ip_unprivileged_port_start", 0},
                             {"net.ipv4.ip_local_reserved_ports", 27},
                             {"net.ipv4.tcp_keepalive_time", 29},
                             {"net.ipv4.tcp_fin_timeout", 29},
                             {"net.ipv4.tcp_keepalive_intvl", 29},
                             {"net.ipv4.tcp_keepalive_probes", 29},
                             {"net.ipv4.tcp_rmem", 32},
                             {"net.ipv4.tcp_wmem", 32}};
  Names bad;
  if (const json::Node* set = security(pod.spec, "sysctls"))
    for (const json::Node& sysctl : *set) {
      const std::string_view name = sysctl.string_at("name");
      const bool ok =
          std::any_of(std::begin(allowed), std::end(allowed), [&](const Row& row) { return row.name == name && pod.minor >= row.since; });
      if (!ok) bad.emplace_back(name);
    }
  if (bad.empty()) return {};
  return Violation{"forbidden sysctls", join(bad, ", ")};
}

Found windows_host_process(const Pod& pod) {
  auto is_bad = [](const json::Node& holder) { return is_true(holder.at("securityContext", "windowsOptions", "hostProcess")); };
  const bool whole = is_bad(pod.spec);
  const std::string who = setters(whole, containers_where(pod, is_bad));
  if (who.empty()) return {};
  return Violation{"hostProcess", who + " must not set securityContext.windowsOptions.hostProcess=true"};
}

// Restricted

Found privilege_escalation(const Pod& pod) {
  if (is_windows(pod)) return {};
  const Names bad = containers_where(pod, [](const json::Node& container) {
    const json::Node* flag = security(container, "allowPrivilegeEscalation");
    return !flag || flag->as_bool(true);
  });
  if (bad.empty()) return {};
  return Violation{"allowPrivilegeEscalation != false", containers_of(bad) + " must set securityContext.allowPrivilegeEscalation=false"};
}

Found capabilities_restricted(const Pod& pod) {
  if (is_windows(pod)) return {};
  const Names keeping = containers_where(pod, [](const json::Node& container) {
    const json::Node* dropped = container.at("securityContext", "capabilities", "drop");
    return !present(dropped) || std::none_of(dropped->begin(), dropped->end(), [](const json::Node& c) { return c.as_string() == "ALL"; });
  });
  constexpr std::string_view allowed[] = {"NET_BIND_SERVICE"};
  Sorted forbidden;
  const Names bad = adding(pod, allowed, forbidden);
  Names what;
  if (!keeping.empty()) what.push_back(containers_of(keeping) + " must set securityContext.capabilities.drop=[\"ALL\"]");
  if (!bad.empty())
    what.push_back(containers_of(bad) + " must not include " + quote_all(forbidden) + " in securityContext.capabilities.add");
  if (what.empty()) return {};
  return Violation{"unrestricted capabilities", join(what, "; ")};
}

Found restricted_volumes(const Pod& pod) {
  constexpr std::string_view allowed[] = {"configMap", "csi",   "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim",
                                          "projected", "secret"};
  constexpr std::string_view known[] = {"hostPath",
                                        "gcePersistentDisk",
                                        "awsElasticBlockStore",
                                        "gitRepo",
                                        "nfs",
                                        "iscsi",
                                        "glusterfs",
                                        "rbd",
                                        "flexVolume",
                                        "cinder",
                                        "cephfs",
                                        "flocker",
                                        "fc",
                                        "azureFile",
                                        "vsphereVolume",
                                        "quobyte",
                                        "azureDisk",
                                        "photonPersistentDisk",
                                        "portworxVolume",
                                        "scaleIO",
                                        "storageos"};
  Names bad;
  Sorted types;
  const json::Node* volumes = pod.spec.find("volumes");
  if (!present(volumes)) return {};
  for (const json::Node& volume : *volumes) {
    auto there = [&](std::string_view type) { return has(volume, type); };
    if (std::any_of(std::begin(allowed), std::end(allowed), there)) continue;
    bad.emplace_back(volume.string_at("name"));
    const auto* type = std::find_if(std::begin(known), std::end(known), there);
    types.emplace(type == std::end(known) ? "unknown" : *type);
  }
  if (bad.empty()) return {};
  return Violation{"restricted volume types",
                   plural(bad.size(), "volume", "volumes") + " " + quote_all(bad) + " " + plural(bad.size(), "uses", "use") + " " +
                       plural(types.size(), "restricted volume type", "restricted volume types") + " " + quote_all(types)};
}

Found run_as_non_root(const Pod& pod) {
  if (pod.minor >= 35 && has_user_namespace(pod)) return {};
  auto sets = [](const json::Node& holder, bool value) {
    const json::Node* flag = security(holder, "runAsNonRoot");
    return flag && flag->as_bool() == value;
  };
  const std::string who = setters(sets(pod.spec, false), containers_where(pod, [&](const json::Node& c) { return sets(c, false); }));
  if (!who.empty()) return Violation{"runAsNonRoot != true", who + " must not set securityContext.runAsNonRoot=false"};
  if (sets(pod.spec, true)) return {};
  const Names silent = containers_where(pod, [](const json::Node& c) { return !security(c, "runAsNonRoot"); });
  if (silent.empty()) return {};
  return Violation{"runAsNonRoot != true", "pod or " + containers_of(silent) + " must set securityContext.runAsNonRoot=true"};
}

Found run_as_user(const Pod& pod) {
  if (pod.minor >= 35 && has_user_namespace(pod)) return {};
  auto is_root = [](const json::Node& holder) {
    const json::Node* user = security(holder, "runAsUser");
    return user && user->as_int() == 0;
  };
  const bool whole = is_root(pod.spec);
  const std::string who = setters(whole, containers_where(pod, is_root));
  if (who.empty()) return {};
  return Violation{"runAsUser=0", who + " must not set runAsUser=0"};
}

Found seccomp_restricted(const Pod& pod) {
  if (is_windows(pod)) return {};
  Names unset;
  if (auto found = seccomp_fields(pod, unset)) return found;
  if (unset.empty()) return {};
  return Violation{"seccompProfile", "pod or " + containers_of(unset) +
                                         " must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\""};
}

struct Check {
  std::string_view id;
  Level level;
  int since;
  Found (*run)(const Pod&);
  std::string_view overrides;  // the baseline check that this one makes needless
};

// Baseline first, each level sorted by id, as Kubernetes reports them.
constexpr Check checks[] = {
    {"appArmorProfile", Level::baseline, 0, app_armor, {}},
    {"capabilities_baseline", Level::baseline, 0, capabilities_baseline, {}},
    {"hostNamespaces", Level::baseline, 0, host_namespaces, {}},
    {"hostPathVolumes", Level::baseline, 0, host_path_volumes, {}},
    {"hostPorts", Level::baseline, 0, host_ports, {}},
    {"hostProbesAndHostLifecycle", Level::baseline, 34, host_probes, {}},
    {"privileged", Level::baseline, 0, privileged, {}},
    {"procMount", Level::baseline, 0, proc_mount_baseline, {}},
    {"seLinuxOptions", Level::baseline, 0, selinux, {}},
    {"seccompProfile_baseline", Level::baseline, 0, seccomp_baseline, {}},
    {"sysctls", Level::baseline, 0, sysctls, {}},
    {"windowsHostProcess", Level::baseline, 0, windows_host_process, {}},
    {"allowPrivilegeEscalation", Level::restricted, 8, privilege_escalation, {}},
    {"capabilities_restricted", Level::restricted, 22, capabilities_restricted, "capabilities_baseline"},
    {"procMount_restricted", Level::restricted, 35, proc_mount, "procMount"},
    {"restrictedVolumes", Level::restricted, 0, restricted_volumes, "hostPathVolumes"},
    {"runAsNonRoot", Level::restricted, 0, run_as_non_root, {}},
    {"runAsUser", Level::restricted, 23, run_as_user, {}},
    {"seccompProfile_restricted", Level::restricted, 19, seccomp_restricted, "seccompProfile_baseline"},
};

bool applies(const Check& check, const LevelVersion& policy) {
  if (check.level > policy.level || policy.minor < check.since) return false;
  if (policy.level != Level::restricted) return true;
  return std::none_of(std::begin(checks), std::end(checks),
                      [&](const Check& other) { return other.overrides == check.id && policy.minor >= other.since; });
}

}  // namespace

std::string_view to_string(Level level) {
  switch (level) {
    case Level::privileged: return "privileged";
    case Level::baseline: return "baseline";
    case Level::restricted: break;
  }
  return "restricted";
}

std::string LevelVersion::print() const {
  return std::string(to_string(level)) + ":" + (minor == latest ? "latest" : "v1." + std::to_string(minor));
}

std::vector<Violation> evaluate(const LevelVersion& policy, const json::Node* metadata, const json::Node* spec) {
  std::vector<Violation> out;
  if (!present(spec)) return out;
  const Pod pod{metadata, *spec, policy.minor};
  for (const Check& check : checks)
    if (applies(check, policy))
      if (auto found = check.run(pod)) out.push_back(*std::move(found));
  return out;
}

std::string details(const std::vector<Violation>& violations) {
  std::string out;
  for (const Violation& each : violations) {
    out += (out.empty() ? "" : ", ") + each.reason;
    if (!each.detail.empty()) out += " (" + each.detail + ")";
  }
  return out;
}

std::string reasons(const std::vector<Violation>& violations) {
  std::string out;
  for (const Violation& each : violations) out += (out.empty() ? "" : ", ") + each.reason;
  return out;
}

}  // namespace estiba::apiserver::admission
