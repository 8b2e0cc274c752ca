#include "apiserver/authz.h"

#include "apiserver/edit.h"
#include "base/strings.h"

namespace estiba::apiserver {
namespace {

constexpr std::string_view rbac = "rbac.authorization.k8s.io";

std::vector<std::string> strings_of(const json::Node& rule, std::string_view key) {
  std::vector<std::string> out;
  const json::Node* list = rule.find(key);
  if (!list) return out;
  for (const json::Node& item : *list) out.emplace_back(item.as_string());
  return out;
}

bool lists(const std::vector<std::string>& list, std::string_view value) {
  return std::any_of(list.begin(), list.end(), [value](const std::string& item) { return item == "*" || item == value; });
}

bool path_matches(const std::vector<std::string>& paths, std::string_view path) {
  return std::any_of(paths.begin(), paths.end(), [path](std::string_view pattern) {
    if (pattern == "*" || pattern == path) return true;
    return pattern.ends_with('*') && path.starts_with(pattern.substr(0, pattern.size() - 1));
  });
}

bool resource_matches(const std::vector<std::string>& resources, const Attributes& asked) {
  std::string combined = asked.subresource.empty() ? asked.resource : asked.resource + "/" + asked.subresource;
  return std::any_of(resources.begin(), resources.end(), [&](const std::string& item) {
    return item == "*" || item == combined || (!asked.subresource.empty() && item == "*/" + asked.subresource);
  });
}

bool allows(const Rule& rule, const Attributes& asked) {
  if (!lists(rule.verbs, asked.verb)) return false;
  if (!asked.path.empty()) return path_matches(rule.paths, asked.path);
  if (!lists(rule.groups, asked.group) || !resource_matches(rule.resources, asked)) return false;
  return rule.names.empty() || std::find(rule.names.begin(), rule.names.end(), asked.name) != rule.names.end();
}

struct Subject {
  enum class Kind : uint8_t { user, group } kind;
  std::string name;  // a service account stands as the user that its tokens name
};

std::vector<Subject> subjects_of(const json::Node& binding) {
  std::vector<Subject> out;
  const json::Node* subjects = binding.find("subjects");
  if (!present(subjects)) return out;
  for (const json::Node& subject : *subjects) {
    std::string_view kind = subject.string_at("kind");
    std::string name(subject.string_at("name"));
    std::string ns(subject.string_at("namespace"));
    if (ns.empty()) ns = binding.string_at("metadata", "namespace");
    if (kind == "Group") out.push_back({Subject::Kind::group, std::move(name)});
    else if (kind == "User") out.push_back({Subject::Kind::user, std::move(name)});
    else if (kind == "ServiceAccount") out.push_back({Subject::Kind::user, "system:serviceaccount:" + ns + ":" + name});
  }
  return out;
}

bool is_among(const User& user, const std::vector<Subject>& subjects) {
  return std::any_of(subjects.begin(), subjects.end(),
                     [&](const Subject& s) { return s.kind == Subject::Kind::user ? s.name == user.name : user.in_group(s.name); });
}

std::vector<Rule> rules_in(const json::Node& role) {
  std::vector<Rule> out;
  const json::Node* rules = role.find("rules");
  if (!present(rules)) return out;
  for (const json::Node& rule : *rules) {
    out.push_back({strings_of(rule, "verbs"), strings_of(rule, "apiGroups"), strings_of(rule, "resources"),
                   strings_of(rule, "resourceNames"), strings_of(rule, "nonResourceURLs")});
  }
  return out;
}

// One binding with the rules of its role.
struct Grant {
  std::string ns;  // empty: everywhere
  std::vector<Subject> subjects;
  std::vector<Rule> rules;
  std::string why;
};

Result<Grant> grant_of(const Cluster& cluster, const model::ObjectRef& object) {
  json::Document doc = TRY(json::Document::parse(object.object->json()));
  const json::Node& binding = doc.root();
  std::string_view kind = binding.string_at("roleRef", "kind"), name = binding.string_at("roleRef", "name");
  bool cluster_role = kind == "ClusterRole";
  Grant out{object.meta().ns, subjects_of(binding), {}, {}};
  auto role =
      TRY(cluster.find(rbac, cluster_role ? "clusterroles" : "roles", cluster_role ? std::string_view{} : std::string_view(out.ns), name));
  json::Document role_doc = TRY(json::Document::parse(role.object->json()));
  out.rules = rules_in(role_doc.root());
  out.why = "RBAC: allowed by " + object.meta().kind + " " + quoted(object.meta().name) + " of " + std::string(kind) + " " + quoted(name);
  return out;
}

}  // namespace

struct Authorizer::Grants {
  std::vector<Grant> list;
};

Authorizer::Authorizer(Cluster& cluster) : cluster_(cluster) {}
Authorizer::~Authorizer() = default;

std::shared_ptr<const Authorizer::Grants> Authorizer::grants() const {
  std::lock_guard lock(mutex_);
  std::vector<store::Event> events;
  bool current = grants_ && changes_ && changes_->poll(events, 1).value_or(1) == 0;
  if (current) return grants_;
  // The watch begins before the reading, so that nothing is missed between.
  auto changes = cluster_.store().watch("/registry/" + std::string(rbac) + "/", cluster_.store().revision());
  changes_ = changes ? std::move(*changes) : nullptr;
  auto fresh = std::make_shared<Grants>();
  for (std::string_view resource : {"clusterrolebindings", "rolebindings"}) {
    auto bindings = cluster_.all(rbac, resource);
    if (!bindings) continue;
    for (const model::ObjectRef& binding : *bindings) {
      // A binding whose role is missing grants nothing until the role is there.
      if (auto grant = grant_of(cluster_, binding)) fresh->list.push_back(std::move(*grant));
    }
  }
  grants_ = std::move(fresh);
  return grants_;
}

Decision Authorizer::authorize(const User& user, const Attributes& asked) const {
  if (user.in_group("system:masters")) return {true, {}};
  auto all = grants();
  for (const Grant& grant : all->list) {
    if (!grant.ns.empty() && (grant.ns != asked.ns || !asked.path.empty())) continue;
    if (!is_among(user, grant.subjects)) continue;
    if (std::any_of(grant.rules.begin(), grant.rules.end(), [&](const Rule& rule) { return allows(rule, asked); }))
      return {true, grant.why};
  }
  return {};
}

std::vector<Rule> Authorizer::rules_of(const User& user, std::string_view ns) const {
  std::vector<Rule> out;
  if (user.in_group("system:masters")) {
    out.push_back({{"*"}, {"*"}, {"*"}, {}, {}});
    out.push_back({{"*"}, {}, {}, {}, {"*"}});
  }
  auto all = grants();
  for (const Grant& grant : all->list) {
    if ((grant.ns.empty() || grant.ns == ns) && is_among(user, grant.subjects))
      out.insert(out.end(), grant.rules.begin(), grant.rules.end());
  }
  return out;
}

Attributes attributes_of(const Action& action) {
  Attributes out;
  out.verb = to_string(action.verb);
  out.group = action.resource->group;
  out.version = action.resource->version;
  out.resource = action.resource->plural;
  out.subresource = action.subresource;
  out.ns = action.ns;
  out.name = action.name;
  // Reading or changing a Namespace is asked in that namespace, so that its own roles can allow it.
  if (out.resource == "namespaces" && out.group.empty() && out.ns.empty()) out.ns = action.name;
  return out;
}

std::optional<Attributes> granting_attributes(const Action& action) {
  bool writes = action.verb == Verb::create || action.verb == Verb::update || action.verb == Verb::patch;
  if (!writes || action.resource->group != rbac) return std::nullopt;
  Attributes out = attributes_of(action);
  bool binding = action.resource->kind.ends_with("Binding");
  out.verb = binding ? "bind" : "escalate";
  if (binding) out.resource = "clusterroles";
  return out;
}

std::string denial(const User& user, const Attributes& asked) {
  std::string who = "User " + quoted(user.name);
  if (!asked.path.empty()) return who + " cannot " + asked.verb + " path " + quoted(asked.path);
  std::string resource = asked.subresource.empty() ? asked.resource : asked.resource + "/" + asked.subresource;
  std::string out = who + " cannot " + asked.verb + " resource " + quoted(resource) + " in API group " + quoted(asked.group);
  return out + (asked.ns.empty() ? " at the cluster scope" : " in the namespace " + quoted(asked.ns));
}

}  // namespace estiba::apiserver
