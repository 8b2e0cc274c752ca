#include "apiserver/fairness/schema.h"

#include <algorithm>

#include "apiserver/edit.h"
#include "base/strings.h"

namespace estiba::apiserver {
namespace {

std::vector<std::string> strings_of(const json::Node& node, std::string_view key) {
  std::vector<std::string> out;
  const json::Node* list = node.find(key);
  for (size_t i = 0; present(list) && i < list->size(); ++i) out.emplace_back((*list)[i].as_string());
  return out;
}

bool lists(const std::vector<std::string>& list, std::string_view value) {
  return std::any_of(list.begin(), list.end(), [value](const std::string& one) { return one == "*" || one == value; });
}

bool path_matches(std::string_view pattern, std::string_view path) {
  return pattern == "*" || pattern == path || (pattern.ends_with('*') && path.starts_with(pattern.substr(0, pattern.size() - 1)));
}

// "system:serviceaccount:NS:NAME", compared without making it.
bool is_account(std::string_view user, const FlowSubject& subject) {
  constexpr std::string_view prefix = "system:serviceaccount:";
  if (!user.starts_with(prefix)) return false;
  auto [ns, name] = split_once(user.substr(prefix.size()), ':');
  return name && ns == subject.ns && (subject.name == "*" || *name == subject.name);
}

bool is_subject(const User& user, const FlowSubject& subject) {
  switch (subject.kind) {
    case FlowSubject::Kind::user: return subject.name == "*" || subject.name == user.name;
    case FlowSubject::Kind::group: return subject.name == "*" || user.in_group(subject.name);
    case FlowSubject::Kind::service_account: return is_account(user.name, subject);
  }
  return false;
}

bool resource_matches(const std::vector<std::string>& resources, const Attributes& asked) {
  if (asked.subresource.empty()) return lists(resources, asked.resource);
  return std::any_of(resources.begin(), resources.end(), [&](const std::string& one) {
    if (one == "*") return true;
    return one.size() == asked.resource.size() + 1 + asked.subresource.size() && one.starts_with(asked.resource) &&
           one[asked.resource.size()] == '/' && one.ends_with(asked.subresource);
  });
}

int64_t number(const json::Node* node, int64_t otherwise) { return present(node) ? node->as_int().value_or(otherwise) : otherwise; }

FlowSubject read_subject(const json::Node& subject) {
  const std::string_view kind = subject.string_at("kind");
  if (kind == "ServiceAccount") {
    return {FlowSubject::Kind::service_account, std::string(subject.string_at("serviceAccount", "name")),
            std::string(subject.string_at("serviceAccount", "namespace"))};
  }
  if (kind == "Group") return {FlowSubject::Kind::group, std::string(subject.string_at("group", "name")), {}};
  return {FlowSubject::Kind::user, std::string(subject.string_at("user", "name")), {}};
}

FlowRule read_rule(const json::Node& rule) {
  FlowRule out;
  const json::Node *subjects = rule.find("subjects"), *resources = rule.find("resourceRules"), *paths = rule.find("nonResourceRules");
  for (size_t i = 0; present(subjects) && i < subjects->size(); ++i) out.subjects.push_back(read_subject((*subjects)[i]));
  for (size_t i = 0; present(resources) && i < resources->size(); ++i) {
    const json::Node& one = (*resources)[i];
    const json::Node* cluster = one.find("clusterScope");
    out.resources.push_back({strings_of(one, "verbs"), strings_of(one, "apiGroups"), strings_of(one, "resources"),
                             strings_of(one, "namespaces"), present(cluster) && cluster->as_bool()});
  }
  for (size_t i = 0; present(paths) && i < paths->size(); ++i)
    out.paths.push_back({strings_of((*paths)[i], "verbs"), strings_of((*paths)[i], "nonResourceURLs")});
  return out;
}

}  // namespace

bool FlowRule::matches(const User& user, const Attributes& asked) const {
  if (std::none_of(subjects.begin(), subjects.end(), [&](const FlowSubject& one) { return is_subject(user, one); })) return false;
  if (!asked.path.empty()) {
    return std::any_of(paths.begin(), paths.end(), [&](const Paths& rule) {
      return lists(rule.verbs, asked.verb) &&
             std::any_of(rule.paths.begin(), rule.paths.end(), [&](const std::string& one) { return path_matches(one, asked.path); });
    });
  }
  return std::any_of(resources.begin(), resources.end(), [&](const Resources& rule) {
    return lists(rule.verbs, asked.verb) && lists(rule.groups, asked.group) && resource_matches(rule.resources, asked) &&
           (asked.ns.empty() ? rule.cluster_scope : lists(rule.namespaces, asked.ns));
  });
}

bool FlowSchema::matches(const User& user, const Attributes& asked) const {
  return std::any_of(rules.begin(), rules.end(), [&](const FlowRule& rule) { return rule.matches(user, asked); });
}

uint64_t FlowSchema::flow_of(const User& user, const Attributes& asked) const {
  const std::string_view by = distinguisher == Distinguisher::by_user        ? std::string_view(user.name)
                              : distinguisher == Distinguisher::by_namespace ? std::string_view(asked.ns)
                                                                             : std::string_view();
  return fnv1a64(name + "," + std::string(by));
}

FlowSchema read_flow_schema(const json::Node& object) {
  FlowSchema out;
  out.name = object.string_at("metadata", "name");
  out.uid = object.string_at("metadata", "uid");
  out.level_name = object.string_at("spec", "priorityLevelConfiguration", "name");
  out.precedence = number(object.at("spec", "matchingPrecedence"), 1000);
  const std::string_view by = object.string_at("spec", "distinguisherMethod", "type");
  if (by == "ByUser") out.distinguisher = Distinguisher::by_user;
  if (by == "ByNamespace") out.distinguisher = Distinguisher::by_namespace;
  const json::Node* rules = object.at("spec", "rules");
  for (size_t i = 0; present(rules) && i < rules->size(); ++i) out.rules.push_back(read_rule((*rules)[i]));
  return out;
}

LevelConfig read_level(const json::Node& object) {
  LevelConfig out;
  out.name = object.string_at("metadata", "name");
  out.uid = object.string_at("metadata", "uid");
  out.shape.exempt = object.string_at("spec", "type") == "Exempt";
  const json::Node* part = object.at("spec", out.shape.exempt ? "exempt" : "limited");
  if (!present(part)) return out;
  out.shares = number(part->find("nominalConcurrencyShares"), out.shape.exempt ? 0 : 30);
  out.lendable_percent = number(part->find("lendablePercent"), 0);
  out.borrowing_percent = number(part->find("borrowingLimitPercent"), -1);
  const json::Node* queuing = part->at("limitResponse", "queuing");
  if (part->string_at("limitResponse", "type") != "Queue" || !present(queuing)) return out;
  // What nobody needs is not made: each queue costs memory.
  constexpr int64_t most_queues = 1024;
  out.shape.queues = size_t(std::clamp<int64_t>(number(queuing->find("queues"), 64), 1, most_queues));
  out.shape.hand_size = size_t(std::clamp<int64_t>(number(queuing->find("handSize"), 8), 1, int64_t(out.shape.queues)));
  out.shape.queue_length = size_t(std::max<int64_t>(1, number(queuing->find("queueLengthLimit"), 50)));
  return out;
}

void divide_seats(std::vector<LevelConfig>& levels, int seats) {
  int64_t sum = 0;
  for (const LevelConfig& level : levels) sum += level.shares;
  for (LevelConfig& level : levels) {
    const int64_t nominal = sum > 0 ? (int64_t(seats) * level.shares + sum - 1) / sum : 0;
    level.shape.nominal = int(nominal);
    level.shape.lendable = int((nominal * level.lendable_percent + 50) / 100);
    level.shape.borrowing_limit = level.borrowing_percent < 0 ? -1 : int((nominal * level.borrowing_percent + 50) / 100);
  }
}

}  // namespace estiba::apiserver
