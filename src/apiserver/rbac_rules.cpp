#include "apiserver/rbac_rules.h"

#include <algorithm>

#include "apiserver/edit.h"
#include "base/strings.h"

namespace estiba::apiserver {
namespace {

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

// `resource` may have a subresource: pods/log.
bool resource_matches(const std::vector<std::string>& resources, std::string_view resource) {
  const size_t slash = resource.find('/');
  return std::any_of(resources.begin(), resources.end(), [&](const std::string& item) {
    return item == "*" || item == resource || (slash != resource.npos && item == "*" + std::string(resource.substr(slash)));
  });
}

bool name_matches(const std::vector<std::string>& names, std::string_view name) {
  return names.empty() || std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

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

bool allows(const Rule& rule, const Attributes& asked) {
  if (!lists(rule.verbs, asked.verb)) return false;
  if (!asked.path.empty()) return path_matches(rule.paths, asked.path);
  if (!lists(rule.groups, asked.group)) return false;
  const bool matches = asked.subresource.empty() ? resource_matches(rule.resources, asked.resource)
                                                 : resource_matches(rule.resources, asked.resource + "/" + asked.subresource);
  return matches && name_matches(rule.names, asked.name);
}

std::vector<Rule> not_covered(const std::vector<Rule>& owned, const std::vector<Rule>& wanted) {
  std::vector<Rule> out;
  const auto covered = [&](const Rule& piece) {
    return std::any_of(owned.begin(), owned.end(), [&](const Rule& rule) {
      if (!lists(rule.verbs, piece.verbs[0])) return false;
      if (!piece.paths.empty()) return path_matches(rule.paths, piece.paths[0]);
      if (!lists(rule.groups, piece.groups[0]) || !resource_matches(rule.resources, piece.resources[0])) return false;
      return piece.names.empty() ? rule.names.empty() : name_matches(rule.names, piece.names[0]);
    });
  };
  for (const Rule& rule : wanted) {
    for (const std::string& verb : rule.verbs) {
      for (const std::string& path : rule.paths)
        if (Rule piece{{verb}, {}, {}, {}, {path}}; !covered(piece)) out.push_back(std::move(piece));
      for (const std::string& group : rule.groups) {
        for (const std::string& resource : rule.resources) {
          const size_t names = std::max<size_t>(1, rule.names.size());
          for (size_t i = 0; i < names; ++i) {
            Rule piece{{verb}, {group}, {resource}, {}, {}};
            if (!rule.names.empty()) piece.names = {rule.names[i]};
            if (!covered(piece)) out.push_back(std::move(piece));
          }
        }
      }
    }
  }
  return out;
}

std::string to_string(const Rule& rule) {
  std::string out = "{";
  const auto put = [&](std::string_view name, const std::vector<std::string>& values) {
    if (values.empty()) return;
    if (out.size() > 1) out += ", ";
    out.append(name).append(":[");
    for (size_t i = 0; i < values.size(); ++i) out.append(i > 0 ? " " : "").append(quoted(values[i]));
    out += "]";
  };
  put("APIGroups", rule.groups);
  put("Resources", rule.resources);
  put("ResourceNames", rule.names);
  put("NonResourceURLs", rule.paths);
  put("Verbs", rule.verbs);
  return out + "}";
}

}  // namespace estiba::apiserver
