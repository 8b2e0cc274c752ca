#include "apiserver/kinds/pod_warnings.h"

#include <algorithm>
#include <map>
#include <set>

#include "apiserver/edit.h"
#include "apiserver/kinds/field_rules.h"
#include "base/strings.h"
#include "model/quantity.h"

namespace estiba::apiserver {
namespace {

using json::Node;
using Warnings = std::vector<std::string>;

struct Told {
  std::string_view key, text;
};

// pkg/api/node/util.go
constexpr Told old_labels[] = {
    {"beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"},
    {"beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"},
    {"failure-domain.beta.kubernetes.io/region", "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead"},
    {"failure-domain.beta.kubernetes.io/zone", "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"},
    {"beta.kubernetes.io/instance-type", "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"},
};
constexpr Told old_annotations[] = {
    {"scheduler.alpha.kubernetes.io/critical-pod", "non-functional in v1.16+; use the \"priorityClassName\" field instead"},
    {"security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"},
    {"security.alpha.kubernetes.io/unsafe-sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"},
};
constexpr Told old_volumes[] = {
    {"photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"},
    {"gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"},
    {"scaleIO", "deprecated in v1.16, non-functional in v1.22+"},
    {"flocker", "deprecated in v1.22, non-functional in v1.25+"},
    {"storageos", "deprecated in v1.22, non-functional in v1.25+"},
    {"quobyte", "deprecated in v1.22, non-functional in v1.25+"},
    {"glusterfs", "deprecated in v1.25, non-functional in v1.26+"},
    {"cephfs", "deprecated in v1.28, non-functional in v1.31+"},
    {"rbd", "deprecated in v1.28, non-functional in v1.31+"},
};

std::string_view told_of(std::span<const Told> rows, std::string_view key) {
  const auto row = std::ranges::find_if(rows, [&](const Told& t) { return t.key == key; });
  return row == rows.end() ? std::string_view{} : row->text;
}

// Calls act(container, path) for the containers of all three lists.
template <class Act>
void each_container(const Node& spec, const std::string& path, Act act) {
  for (std::string_view list : {"initContainers", "containers", "ephemeralContainers"}) each(spec, list, path, act);
}

void warn_about_labels(const Node& spec, const std::string& path, Warnings& out) {
  if (const Node* selector = spec.find("nodeSelector"); present(selector)) {
    for (const Node& label : *selector) {
      if (auto text = told_of(old_labels, label.key()); !text.empty())
        warn(out, at(path + ".nodeSelector", label.key()) + ": " + std::string(text));
    }
  }
  auto about_term = [&](const Node& term, const std::string& here) {
    each(term, "matchExpressions", here, [&](const Node& e, const std::string& where) {
      const std::string_view key = e.string_at("key");
      if (auto text = told_of(old_labels, key); !text.empty()) warn(out, where + ".key: " + std::string(key) + " is " + std::string(text));
    });
  };
  const std::string nodes = path + ".affinity.nodeAffinity";
  if (const Node* affinity = spec.at("affinity", "nodeAffinity"); present(affinity)) {
    constexpr std::string_view required = "requiredDuringSchedulingIgnoredDuringExecution";
    if (const Node* selector = affinity->find(required); present(selector))
      each(*selector, "nodeSelectorTerms", nodes + "." + std::string(required), about_term);
    each(*affinity, "preferredDuringSchedulingIgnoredDuringExecution", nodes, [&](const Node& term, const std::string& here) {
      if (const Node* preference = term.find("preference"); present(preference)) about_term(*preference, here + ".preference");
    });
  }
}

void warn_about_selectors(const Node& spec, const std::string& path, Warnings& out) {
  constexpr std::string_view null_selector = ": a null labelSelector results in matching no pod";
  each(spec, "topologySpreadConstraints", path, [&](const Node& constraint, const std::string& here) {
    const std::string_view key = constraint.string_at("topologyKey");
    if (auto text = told_of(old_labels, key); !text.empty())
      warn(out, here + ".topologyKey: " + std::string(key) + " is " + std::string(text));
    if (!has(constraint, "labelSelector")) warn(out, here + ".labelSelector" + std::string(null_selector));
  });
  for (std::string_view kind : {"podAffinity", "podAntiAffinity"}) {
    const Node* affinity = spec.at("affinity", kind);
    if (!present(affinity)) continue;
    const std::string base = path + ".affinity." + std::string(kind);
    each(*affinity, "requiredDuringSchedulingIgnoredDuringExecution", base, [&](const Node& term, const std::string& here) {
      if (!has(term, "labelSelector")) warn(out, here + ".labelSelector" + std::string(null_selector));
    });
    each(*affinity, "preferredDuringSchedulingIgnoredDuringExecution", base, [&](const Node& term, const std::string& here) {
      if (!present(term.at("podAffinityTerm", "labelSelector")))
        warn(out, here + ".podAffinityTerm.labelSelector" + std::string(null_selector));
    });
  }
}

void warn_about_repeats(const Node& spec, std::string_view list, std::string_view key, const std::string& path, Warnings& out) {
  std::set<std::string, std::less<>> seen;
  each(spec, list, path, [&](const Node& entry, const std::string& here) {
    const std::string_view value = entry.string_at(key);
    const std::string field = here + "." + std::string(key);
    if (!seen.emplace(value).second) warn(out, field + ": duplicate " + std::string(key) + " " + quoted(value));
    if (value.empty() && list == "imagePullSecrets") warn(out, field + ": invalid empty name " + quoted(value));
  });
}

void warn_about_fraction(const Node* quantity, const std::string& field, Warnings& out) {
  if (!present(quantity)) return;
  const auto value = model::Quantity::parse(quantity->as_string(quantity->number_text()));
  if (!value || value->to_milli() % 1000 == 0) return;
  warn(out, field + ": fractional byte value " + quoted(value->print()) + " is invalid, must be an integer");
}

void warn_about_env(const Node& container, const std::string& path, Warnings& out) {
  std::set<std::string, std::less<>> seen;
  each(container, "env", path, [&](const Node& variable, const std::string& here) {
    const std::string_view name = variable.string_at("name"), value = variable.string_at("value");
    if (seen.emplace(name).second) return;
    // A value that is made from the variable's own earlier value is meant.
    const std::string reference = "$(" + std::string(name) + ")";
    if (!has(variable, "valueFrom") && value != reference && value.contains(reference)) return;
    warn(out, here + ": hides previous definition of " + quoted(name) + ", which may be dropped when using apply");
  });
}

struct Port {
  std::string field, host;
  int64_t number;
};

void warn_about_ports(const Node& spec, const std::string& path, Warnings& out) {
  std::map<std::string, std::vector<Port>> seen;
  std::map<std::string, std::string, std::less<>> names;
  each_container(spec, path, [&](const Node& container, const std::string& where) {
    each(container, "ports", where, [&](const Node& port, const std::string& here) {
      Port now{here, std::string(port.string_at("hostIP")), int_at(port, "hostPort").value_or(0)};
      if (!now.host.empty() && now.number == 0) warn(out, here + ": hostIP set without hostPort: " + json::print(port));
      auto& others = seen[std::to_string(int_at(port, "containerPort").value_or(0)) + "/" + std::string(port.string_at("protocol"))];
      for (const Port& other : others) {
        const std::string_view how = now.host == other.host && now.number == other.number                     ? "duplicate"
                                     : now.number == 0 || other.number == 0                                   ? "overlapping"
                                     : now.number == other.number && (now.host.empty() || other.host.empty()) ? "dangerously ambiguous"
                                                                                                              : "";
        if (!how.empty()) warn(out, here + ": " + std::string(how) + " port definition with " + other.field);
      }
      others.push_back(std::move(now));
      const std::string_view name = port.string_at("name");
      if (name.empty()) return;
      if (auto [first, fresh] = names.try_emplace(std::string(name), here); !fresh)
        warn(out, here + ": duplicate port name " + quoted(name) + " with " + first->second +
                      ", services and probes that select ports by name will use " + first->second);
    });
  });
}

// Items of one volume whose paths lie in each other.
void warn_about_overlaps(const Node& volume, std::string_view kind, const std::string& shown, Warnings& out) {
  const Node* items = volume.at(kind, "items");
  if (!present(items)) return;
  std::vector<std::string> seen;
  for (const Node& item : *items) {
    std::string_view text = item.string_at("path");
    while (text.ends_with('/')) text.remove_suffix(1);
    const std::string path(text);
    if (path.empty()) continue;
    for (const std::string& other : seen) {
      if (!(other + "/").starts_with(path + "/") && !(path + "/").starts_with(other + "/")) continue;
      warn(out, "volume " + quoted(volume.string_at("name")) + " (" + shown + "): overlapping paths: " + quoted(path) + " with " +
                    quoted(other));
    }
    seen.push_back(path);
  }
}

void warn_about_volumes(const Node& spec, const std::string& path, Warnings& out) {
  each(spec, "volumes", path, [&](const Node& volume, const std::string& here) {
    for (const Told& old : old_volumes) {
      if (has(volume, old.key)) warn(out, here + "." + std::string(old.key) + ": " + std::string(old.text));
    }
    warn_about_overlaps(volume, "configMap", "ConfigMap " + quoted(volume.string_at("configMap", "name")), out);
    warn_about_overlaps(volume, "secret", "Secret " + quoted(volume.string_at("secret", "secretName")), out);
    warn_about_overlaps(volume, "downwardAPI", "DownwardAPI", out);
    if (const Node* projected = volume.find("projected"); present(projected)) {
      each(*projected, "sources", here, [&](const Node& source, const std::string&) {
        if (source.empty()) warn(out, "volume " + quoted(volume.string_at("name")) + " (Projected) has no sources provided");
      });
    }
  });
}

void warn_about_annotations(const Node& pod, const std::string& path, Warnings& out) {
  const Node* annotations = pod.at("metadata", "annotations");
  if (!present(annotations)) return;
  const std::string base = join_path(path, "metadata.annotations");
  for (const Node& annotation : *annotations) {
    if (auto text = told_of(old_annotations, annotation.key()); !text.empty())
      warn(out, at(base, annotation.key()) + ": " + std::string(text));
    const bool seccomp = annotation.key() == "seccomp.security.alpha.kubernetes.io/pod" ||
                         annotation.key().starts_with("container.seccomp.security.alpha.kubernetes.io/");
    if (seccomp) warn(out, at(base, annotation.key()) + ": non-functional in v1.27+; use the \"seccompProfile\" field instead");
    if (!path.empty() && annotation.key().starts_with("container.apparmor.security.beta.kubernetes.io/"))
      warn(out, at(base, annotation.key()) + ": deprecated since v1.30; use the \"appArmorProfile\" field instead");
  }
}

}  // namespace

void warn(Warnings& warnings, std::string text) {
  if (std::ranges::find(warnings, text) == warnings.end()) warnings.push_back(std::move(text));
}

void warn_about_pod(const Node& pod, const std::string& path, Warnings& out) {
  const Node* spec = pod.find("spec");
  if (!present(spec)) return;
  const std::string base = join_path(path, "spec");
  warn_about_labels(*spec, base, out);
  warn_about_selectors(*spec, base, out);
  warn_about_annotations(pod, path, out);
  warn_about_volumes(*spec, base, out);
  warn_about_repeats(*spec, "hostAliases", "ip", base, out);
  warn_about_repeats(*spec, "imagePullSecrets", "name", base, out);
  for (std::string_view resource : {"memory", "ephemeral-storage"})
    warn_about_fraction(spec->at("overhead", resource), at(base + ".overhead", resource), out);
  each_container(*spec, base, [&](const Node& container, const std::string& here) {
    for (std::string_view part : {"limits", "requests"}) {
      for (std::string_view resource : {"memory", "ephemeral-storage"})
        warn_about_fraction(container.at("resources", part, resource), at(here + ".resources." + std::string(part), resource), out);
    }
    warn_about_env(container, here, out);
  });
  warn_about_ports(*spec, base, out);
  if (int_at(*spec, "terminationGracePeriodSeconds").value_or(0) < 0)
    warn(out, base + ".terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1");
}

}  // namespace estiba::apiserver
