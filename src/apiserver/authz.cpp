#include "apiserver/authz.h"

#include <functional>

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

bool is_subject(const json::Node& binding, const User& user) {
  const json::Node* subjects = binding.find("subjects");
  if (!subjects) return false;
  return std::any_of(subjects->begin(), subjects->end(), [&](const json::Node& subject) {
    std::string_view kind = subject.string_at("kind"), name = subject.string_at("name");
    if (kind == "User") return name == user.name;
    if (kind == "Group") return user.in_group(name);
    std::string_view ns = subject.string_at("namespace");
    if (ns.empty()) ns = binding.string_at("metadata", "namespace");
    return kind == "ServiceAccount" && user.name == "system:serviceaccount:" + std::string(ns) + ":" + std::string(name);
  });
}

// Calls `visit` with every rule of every role that the bindings give the user, until it returns true.
using Visit = std::function<bool(const Rule&, const std::string& why)>;
bool visit_role(const Cluster& cluster, const json::Node& binding, std::string_view ns, const Visit& visit) {
  std::string_view kind = binding.string_at("roleRef", "kind"), name = binding.string_at("roleRef", "name");
  auto role = cluster.find(rbac, kind == "ClusterRole" ? "clusterroles" : "roles", kind == "ClusterRole" ? std::string_view{} : ns, name);
  if (!role) return false;
  auto doc = json::Document::parse(role->object->json());
  const json::Node* rules = doc ? doc->root().find("rules") : nullptr;
  if (!rules) return false;
  std::string why = "RBAC: allowed by " + std::string(binding.string_at("kind")) + " " + quoted(binding.string_at("metadata", "name")) + " of " +
                    std::string(kind) + " " + quoted(name);
  for (const json::Node& node : *rules) {
    Rule rule{strings_of(node, "verbs"), strings_of(node, "apiGroups"), strings_of(node, "resources"), strings_of(node, "resourceNames"),
              strings_of(node, "nonResourceURLs")};
    if (visit(rule, why)) return true;
  }
  return false;
}

bool visit_bindings(const Cluster& cluster, const User& user, std::string_view ns, const Visit& visit) {
  auto all = ns.empty() ? cluster.all(rbac, "clusterrolebindings") : cluster.all(rbac, "rolebindings", ns);
  if (!all) return false;
  for (const model::ObjectRef& object : *all) {
    auto doc = json::Document::parse(object.object->json());
    if (doc && is_subject(doc->root(), user) && visit_role(cluster, doc->root(), ns, visit)) return true;
  }
  return false;
}

}  // namespace

Decision Authorizer::authorize(const User& user, const Attributes& asked) const {
  if (user.in_group("system:masters")) return {true, {}};
  Decision out;
  Visit visit = [&](const Rule& rule, const std::string& why) {
    if (!allows(rule, asked)) return false;
    out = {true, why};
    return true;
  };
  if (visit_bindings(cluster_, user, {}, visit)) return out;
  if (!asked.ns.empty() && asked.path.empty()) visit_bindings(cluster_, user, asked.ns, visit);
  return out;
}

std::vector<Rule> Authorizer::rules_of(const User& user, std::string_view ns) const {
  std::vector<Rule> out;
  if (user.in_group("system:masters")) {
    out.push_back({{"*"}, {"*"}, {"*"}, {}, {}});
    out.push_back({{"*"}, {}, {}, {}, {"*"}});
  }
  Visit collect = [&](const Rule& rule, const std::string&) {
    out.push_back(rule);
    return false;
  };
  visit_bindings(cluster_, user, {}, collect);
  if (!ns.empty()) visit_bindings(cluster_, user, ns, collect);
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

std::string denial(const User& user, const Attributes& asked) {
  std::string who = "User " + quoted(user.name);
  if (!asked.path.empty()) return who + " cannot " + asked.verb + " path " + quoted(asked.path);
  std::string resource = asked.subresource.empty() ? asked.resource : asked.resource + "/" + asked.subresource;
  std::string out = who + " cannot " + asked.verb + " resource " + quoted(resource) + " in API group " + quoted(asked.group);
  return out + (asked.ns.empty() ? " at the cluster scope" : " in the namespace " + quoted(asked.ns));
}

}  // namespace estiba::apiserver
