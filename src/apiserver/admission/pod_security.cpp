#include <algorithm>
#include <map>
#include <set>

#include "apiserver/admission/plugins.h"
#include "apiserver/admission/pod_security_policy.h"
#include "apiserver/api_errors.h"
#include "apiserver/cluster.h"
#include "apiserver/edit.h"
#include "apiserver/field_errors.h"
#include "base/strings.h"

namespace estiba::apiserver::admission {
namespace {

constexpr std::string_view label_prefix = "pod-security.kubernetes.io/";
constexpr size_t most_pods_checked = 3000;

// What a namespace asks for. Audit's findings have no reader yet, so only its labels are checked.
struct Policy {
  LevelVersion enforce, audit, warn;
};

Result<Level> parse_level(std::string_view text) {
  for (Level level : {Level::privileged, Level::baseline, Level::restricted})
    if (text == to_string(level)) return level;
  return fail(Code::invalid, "must be one of privileged, baseline, restricted");
}

Result<int> parse_version(std::string_view text) {
  if (text == "latest") return LevelVersion::latest;
  const std::string_view minor = text.starts_with("v1.") ? text.substr(3) : std::string_view{};
  const auto number = parse_number<int>(minor);
  if (!number || *number < 0 || (minor.size() > 1 && minor[0] == '0')) return fail(Code::invalid, "must be \"latest\" or \"v1.x\"");
  return *number;
}

struct Reader {
  const json::Node* labels;
  FieldErrors& errors;

  std::optional<std::string_view> label(const std::string& key) const {
    const json::Node* found = present(labels) ? labels->find(key) : nullptr;
    if (!present(found)) return std::nullopt;
    return found->as_string();
  }
  // Labels that cannot be read count as the strictest for enforcing, as the laxest for the rest.
  bool read(LevelVersion& to, const std::string& mode, Level otherwise, bool* version_given = nullptr) {
    bool given = false;
    const std::string key = std::string(label_prefix) + mode;
    if (const auto text = label(key)) {
      auto level = parse_level(*text);
      to.level = level.value_or(otherwise);
      given = level.has_value() || otherwise == Level::privileged;
      if (!level) errors.invalid_string(at("metadata.labels", key), *text, level.error().message);
    }
    const std::string version_key = key + "-version";
    if (const auto text = label(version_key)) {
      auto version = parse_version(*text);
      to.minor = version.value_or(LevelVersion::latest);
      if (version_given) *version_given = true;
      if (!version) errors.invalid_string(at("metadata.labels", version_key), *text, version.error().message);
    }
    return given;
  }
};

Policy policy_of(const json::Node& ns, FieldErrors& errors) {
  Policy out;
  Reader reader{ns.at("metadata", "labels"), errors};
  const bool enforces = reader.read(out.enforce, "enforce", Level::restricted);
  reader.read(out.audit, "audit", Level::privileged);
  bool version_given = false;
  const bool warns = reader.read(out.warn, "warn", Level::privileged, &version_given);
  // Whoever enforces a level wants workloads to be warned of it as well.
  if (!warns && enforces && out.enforce.level > out.warn.level) {
    out.warn.level = out.enforce.level;
    if (!version_given) out.warn.minor = out.enforce.minor;
  }
  return out;
}

Result<Policy> policy_of_namespace(const Attributes& a) {
  const model::ObjectRef found = TRY(a.cluster.find("", "namespaces", "", a.ns()));
  const bool labelled = std::any_of(found.meta().labels.begin(), found.meta().labels.end(),
                                    [](const auto& label) { return label.first.starts_with(label_prefix); });
  if (!labelled) return Policy{};
  const json::Document parsed = TRY(json::Document::parse(found.object->json()));
  FieldErrors ignored;
  return policy_of(parsed.root(), ignored);
}

void warn(Attributes& a, const LevelVersion& policy, const json::Node* metadata, const json::Node* spec) {
  const auto violations = evaluate(policy, metadata, spec);
  if (!violations.empty()) a.warnings.push_back("would violate PodSecurity " + quoted(policy.print()) + ": " + details(violations));
}

// Pods

const json::Node* by_name(const json::Node* list, std::string_view name) {
  if (present(list))
    for (const json::Node& each : *list)
      if (each.string_at("name") == name) return &each;
  return nullptr;
}

// Of what an update may change only images and new ephemeral containers matter.
bool matters(const json::Node& now, const json::Node& old) {
  for (std::string_view list : {"containers", "initContainers", "ephemeralContainers"}) {
    const json::Node *fresh = now.at("spec", list), *before = old.at("spec", list);
    if (!present(fresh)) continue;
    for (const json::Node& container : *fresh) {
      const json::Node* known = by_name(before, container.string_at("name"));
      if (!known || known->string_at("image") != container.string_at("image")) return true;
    }
  }
  return false;
}

Result<void> check_pod(Attributes& a) {
  constexpr std::string_view ignored[] = {"exec", "attach", "binding", "eviction", "log", "portforward", "proxy", "status"};
  const bool skip = std::find(std::begin(ignored), std::end(ignored), a.action.subresource) != std::end(ignored);
  if (skip || a.removing()) return {};
  const Policy policy = TRY(policy_of_namespace(a));
  if (policy.enforce.level == Level::privileged && policy.warn.level == Level::privileged) return {};
  if (a.updating() && !matters(*a.object, *a.old)) return {};
  const json::Node *metadata = a.object->find("metadata"), *spec = a.object->find("spec");
  const auto violations = evaluate(policy.enforce, metadata, spec);
  if (!violations.empty()) return a.forbidden("violates PodSecurity " + quoted(policy.enforce.print()) + ": " + details(violations));
  warn(a, policy.warn, metadata, spec);
  return {};
}

// Workloads

struct Workload {
  std::string_view group, resource, path;
};
constexpr Workload workloads[] = {
    {"", "podtemplates", "template"},          {"", "replicationcontrollers", "spec.template"},
    {"apps", "replicasets", "spec.template"},  {"apps", "deployments", "spec.template"},
    {"apps", "statefulsets", "spec.template"}, {"apps", "daemonsets", "spec.template"},
    {"batch", "jobs", "spec.template"},        {"batch", "cronjobs", "spec.jobTemplate.spec.template"},
};

Result<void> check_workload(Attributes& a) {
  if (a.removing()) return {};
  for (const Workload& workload : workloads) {
    if (!a.is(workload.group, workload.resource)) continue;
    const json::Node* pod = follow(*a.object, workload.path);
    if (!present(pod)) return {};
    const Policy policy = TRY(policy_of_namespace(a));
    if (policy.warn.level != Level::privileged) warn(a, policy.warn, pod->find("metadata"), pod->find("spec"));
    return {};
  }
  return {};
}

// Namespaces

// One pod of each controller before the others: replicas violate alike.
std::vector<const model::ObjectRef*> by_worth(const std::vector<model::ObjectRef>& pods) {
  std::vector<const model::ObjectRef*> first, rest;
  std::set<std::string> seen;
  for (const model::ObjectRef& pod : pods) {
    const model::Owner* owner = pod.meta().controller();
    (!owner || seen.insert(owner->uid).second ? first : rest).push_back(&pod);
  }
  first.insert(first.end(), rest.begin(), rest.end());
  return first;
}

Result<void> warn_of_present_pods(Attributes& a, const LevelVersion& policy) {
  const auto pods = TRY(a.cluster.all("", "pods", a.name()));
  auto ordered = by_worth(pods);
  if (ordered.size() > most_pods_checked) {
    a.warnings.push_back("new PodSecurity enforce level only checked against the first " + std::to_string(most_pods_checked) + " of " +
                         std::to_string(ordered.size()) + " existing pods");
    ordered.resize(most_pods_checked);
  }
  struct Seen {
    std::string first;
    size_t count = 0;
  };
  std::map<std::string, Seen> found;
  for (const model::ObjectRef* pod : ordered) {
    const json::Document parsed = TRY(json::Document::parse(pod->object->json()));
    const auto violations = evaluate(policy, parsed.root().find("metadata"), parsed.root().find("spec"));
    if (violations.empty()) continue;
    Seen& seen = found[reasons(violations)];
    if (seen.count++ == 0 || pod->meta().name < seen.first) seen.first = pod->meta().name;
  }
  if (found.empty()) return {};
  a.warnings.push_back("existing pods in namespace " + quoted(a.name()) + " violate the new PodSecurity enforce level " +
                       quoted(policy.print()));
  std::vector<std::string> lines;
  for (const auto& [why, seen] : found) {
    std::string others;
    if (seen.count == 2) others = " (and 1 other pod)";
    if (seen.count > 2) others = " (and " + std::to_string(seen.count - 1) + " other pods)";
    lines.push_back(seen.first + others + ": " + why);
  }
  std::sort(lines.begin(), lines.end());
  a.warnings.insert(a.warnings.end(), lines.begin(), lines.end());
  return {};
}

Result<void> check_namespace(Attributes& a) {
  if (a.removing()) return {};
  FieldErrors errors, old_errors;
  const Policy policy = policy_of(*a.object, errors);
  const Policy before = a.old ? policy_of(*a.old, old_errors) : Policy{};
  auto same_complaint = [](const FieldCause& x, const FieldCause& y) { return x.field == y.field && x.message == y.message; };
  const bool known =
      std::equal(errors.causes().begin(), errors.causes().end(), old_errors.causes().begin(), old_errors.causes().end(), same_complaint);
  if (!errors.empty() && !known) return invalid(*a.action.resource, a.action.resource->kind, a.name(), errors.take());
  if (a.creating() || policy.enforce == before.enforce || policy.enforce.level == Level::privileged) return {};
  if (policy.enforce.minor == before.enforce.minor && policy.enforce.level <= before.enforce.level) return {};
  return warn_of_present_pods(a, policy.enforce);
}

}  // namespace

Result<void> check_pod_security(Attributes& attributes) {
  if (attributes.is("", "namespaces")) return check_namespace(attributes);
  if (attributes.is_any("", "pods")) return check_pod(attributes);
  return check_workload(attributes);
}

}  // namespace estiba::apiserver::admission
