#include "apiserver/authz.h"

#include <unordered_map>

#include "apiserver/bootstrap_rbac.h"
#include "apiserver/edit.h"
#include "apiserver/node_authorizer.h"
#include "base/strings.h"

namespace estiba::apiserver {
namespace {

constexpr std::string_view rbac = "rbac.authorization.k8s.io";

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
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  using Index = std::unordered_map<std::string, std::vector<uint32_t>, Hash, std::equal_to<>>;

  void add(Grant grant) {
    const uint32_t at = uint32_t(list.size());
    for (const Subject& subject : grant.subjects) {
      auto& places = (subject.kind == Subject::Kind::user ? by_user : by_group)[subject.name];
      if (places.empty() || places.back() != at) places.push_back(at);
    }
    list.push_back(std::move(grant));
  }

  /// Calls `visit` for each grant to the user, once, until it says true.
  template <class Visit>
  bool any(const User& user, Visit visit) const {
    std::vector<uint32_t> seen;
    const auto look = [&](const Index& index, std::string_view name) {
      const auto places = index.find(name);
      if (places == index.end()) return false;
      for (uint32_t at : places->second) {
        if (std::find(seen.begin(), seen.end(), at) != seen.end()) continue;
        seen.push_back(at);
        if (visit(list[at])) return true;
      }
      return false;
    };
    if (look(by_user, user.name)) return true;
    return std::any_of(user.groups.begin(), user.groups.end(), [&](const std::string& group) { return look(by_group, group); });
  }

  std::vector<Grant> list;
  Index by_user, by_group;
};

// Of the role system:node. Read when the first node asks: a cluster of one process has none that does.
static const std::vector<Rule>& rules_of_nodes() {
  static const std::vector<Rule> rules = [] {
    for (const BootstrapObject& object : bootstrap_rbac()) {
      if (object.resource != "clusterroles" || object.name != "system:node") continue;
      if (auto doc = json::Document::parse(object.json)) return rules_in(doc->root());
    }
    return std::vector<Rule>{};
  }();
  return rules;
}

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
      if (auto grant = grant_of(cluster_, binding)) fresh->add(std::move(*grant));
    }
  }
  grants_ = std::move(fresh);
  return grants_;
}

Decision Authorizer::authorize(const User& user, const Attributes& asked) const {
  if (user.in_group("system:masters")) return {true, {}};
  if (const std::string_view node = node_of(user); !node.empty()) {
    const auto may = node_may(cluster_, node, asked);
    const auto fits = [&](const Rule& rule) { return allows(rule, asked); };
    if (may ? *may : std::ranges::any_of(rules_of_nodes(), fits)) return {true, {}};
  }
  Decision decision;
  grants()->any(user, [&](const Grant& grant) {
    if (!grant.ns.empty() && (grant.ns != asked.ns || !asked.path.empty())) return false;
    if (std::none_of(grant.rules.begin(), grant.rules.end(), [&](const Rule& rule) { return allows(rule, asked); })) return false;
    decision = {true, grant.why};
    return true;
  });
  return decision;
}

std::vector<Rule> Authorizer::rules_of(const User& user, std::string_view ns) const {
  std::vector<Rule> out;
  if (user.in_group("system:masters")) {
    out.push_back({{"*"}, {"*"}, {"*"}, {}, {}});
    out.push_back({{"*"}, {}, {}, {}, {"*"}});
  }
  grants()->any(user, [&](const Grant& grant) {
    if (grant.ns.empty() || grant.ns == ns) out.insert(out.end(), grant.rules.begin(), grant.rules.end());
    return false;
  });
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
  const bool many = action.verb == Verb::list || action.verb == Verb::watch || action.verb == Verb::remove_collection;
  if (many) {
    out.field_selector = action.list.field_selector;
    // One object by a selector is asked for as by its name, so that rules with names allow it.
    for (std::string_view part : split(out.field_selector, ',')) {
      const auto [field, value] = split_once(part, '=');
      if (field == "metadata.name" && value) out.name = value->starts_with('=') ? value->substr(1) : *value;
    }
  }
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
