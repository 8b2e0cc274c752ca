#include "apiserver/bootstrap_rbac.h"

#include "apiserver/api_errors.h"
#include "apiserver/edit.h"
#include "apiserver/own_action.h"
#include "base/strings.h"

namespace estiba::apiserver {
namespace {

using json::Node;

constexpr std::string_view rbac = "rbac.authorization.k8s.io";
constexpr std::string_view autoupdate = "rbac.authorization.kubernetes.io/autoupdate";
constexpr std::string_view aggregate_prefix = "rbac.authorization.k8s.io/aggregate-to-";

Node& strings(json::Document& doc, Node& object, std::string_view key, const std::vector<std::string_view>& values) {
  Node& list = doc.set(object, key, doc.make_array());
  for (std::string_view value : values) doc.append(list, doc.make_string(value));
  return list;
}

std::vector<std::string_view> verbs_of(std::string_view text) {
  std::vector<std::string_view> out;
  for (std::string_view word : words(text)) {
    if (word == "read") out.insert(out.end(), {"get", "list", "watch"});
    else if (word == "write") out.insert(out.end(), {"create", "delete", "deletecollection", "patch", "update"});
    else out.push_back(word);
  }
  return out;
}

Node& read_rule(json::Document& doc, std::string_view line) {
  Node& rule = doc.make_object();
  const auto [verbs, paths] = split_once(line, '@');
  if (paths) {
    strings(doc, rule, "verbs", verbs_of(verbs));
    strings(doc, rule, "nonResourceURLs", words(*paths));
    return rule;
  }
  const size_t first = line.find(" : "), second = line.find(" : ", first + 3);
  strings(doc, rule, "verbs", verbs_of(line.substr(0, first)));
  std::vector<std::string_view> groups = split(trim(line.substr(first + 3, second - first - 3)), ',');
  for (std::string_view& group : groups)
    if (group == "core") group = {};
  strings(doc, rule, "apiGroups", groups);
  const auto [resources, names] = split_once(line.substr(second + 3), '=');
  strings(doc, rule, "resources", words(resources));
  if (names) strings(doc, rule, "resourceNames", words(*names));
  return rule;
}

/// Lines with those that go on joined to the one before.
std::vector<std::string> joined_lines(std::string_view text) {
  std::vector<std::string> out;
  for (std::string_view line : split(text, '\n')) {
    if (trim(line).empty()) continue;
    if (line.starts_with("      ")) out.back().append(" ").append(trim(line));
    else out.emplace_back(line);
  }
  return out;
}

class Reader {
 public:
  std::vector<BootstrapObject> run() {
    for (const std::string& line : joined_lines(bootstrap_rbac_text)) {
      if (line.starts_with("  ")) {
        doc_.append(*rules_, read_rule(doc_, trim(line)));
        continue;
      }
      const auto [kind, rest] = split_once(line, ' ');
      if (kind == "role") begin_role(words(*rest));
      else if (kind == "bind") bind(*rest);
      else
        for (std::string_view name : words(*rest))
          bind("system:controller:" + std::string(name) + " : account:kube-system/" + std::string(name));
    }
    // What takes others in may itself be taken in: view, then edit, then admin.
    for (std::string_view name : {"view", "edit", "admin"}) aggregate(name);
    std::vector<BootstrapObject> out;
    for (Made& made : made_) out.push_back({made.resource, made.ns, made.name, json::print(*made.object)});
    return out;
  }

 private:
  struct Made {
    std::string_view resource;
    std::string ns, name;
    Node* object;
  };

  Node& begin(std::string_view where, bool binding) {
    const auto [ns, rest] = split_once(where, '/');
    const bool namespaced = rest.has_value();
    Node& object = doc_.make_object();
    Node& metadata = doc_.set(object, "metadata", doc_.make_object());
    const std::string name(namespaced ? *rest : where);
    doc_.set(metadata, "name", name);
    if (namespaced) doc_.set(metadata, "namespace", ns);
    doc_.set(doc_.set(metadata, "annotations", doc_.make_object()), autoupdate, "true");
    doc_.set(doc_.set(metadata, "labels", doc_.make_object()), "kubernetes.io/bootstrapping", "rbac-defaults");
    const std::string_view resource = binding      ? (namespaced ? "rolebindings" : "clusterrolebindings")
                                      : namespaced ? "roles"
                                                   : "clusterroles";
    made_.push_back({resource, namespaced ? std::string(ns) : std::string(), name, &object});
    return object;
  }

  void begin_role(const std::vector<std::string_view>& parts) {
    Node& role = begin(parts[0], false);
    for (size_t i = 1; i < parts.size(); ++i) {
      const std::string label = std::string(aggregate_prefix) + std::string(parts[i].substr(1));
      if (parts[i].starts_with('>')) {
        doc_.set(*role.find("metadata")->find("labels"), label, "true");
        continue;
      }
      Node& selectors = doc_.set(doc_.ensure_object(role, "aggregationRule"), "clusterRoleSelectors", doc_.make_array());
      Node& selector = doc_.append(selectors, doc_.make_object());
      doc_.set(doc_.ensure_object(selector, "matchLabels"), label, "true");
    }
    rules_ = &doc_.set(role, "rules", doc_.make_array());
  }

  void bind(std::string_view line) {
    const size_t colon = line.find(" :");
    const auto [where, role] = split_once(line.substr(0, colon), '=');
    const std::string place(trim(where));
    Node& binding = begin(place, true);
    Node& reference = doc_.set(binding, "roleRef", doc_.make_object());
    doc_.set(reference, "apiGroup", rbac);
    doc_.set(reference, "kind", made_.back().ns.empty() ? "ClusterRole" : "Role");
    doc_.set(reference, "name", role ? std::string(trim(*role)) : made_.back().name);
    Node& subjects = doc_.set(binding, "subjects", doc_.make_array());
    for (std::string_view subject : words(line.substr(colon + 2))) {
      const auto [kind, name] = split_once(subject, ':');
      Node& row = doc_.append(subjects, doc_.make_object());
      if (kind == "account") {
        const auto [ns, account] = split_once(*name, '/');
        doc_.set(row, "kind", "ServiceAccount");
        doc_.set(row, "namespace", ns);
        doc_.set(row, "name", *account);
      } else {
        doc_.set(row, "apiGroup", rbac);
        doc_.set(row, "kind", kind == "user" ? "User" : "Group");
        doc_.set(row, "name", *name);
      }
    }
  }

  void aggregate(std::string_view name) {
    const std::string label = std::string(aggregate_prefix) + std::string(name);
    Node* into = nullptr;
    for (Made& made : made_)
      if (made.name == name) into = made.object->find("rules");
    for (Made& made : made_)
      if (made.object->at("metadata", "labels", label))
        for (const Node& rule : *made.object->find("rules")) doc_.append(*into, doc_.copy(rule));
  }

  json::Document doc_;
  std::vector<Made> made_;
  Node* rules_ = nullptr;
};

bool lists(const Node& list, const Node& item) {
  return std::any_of(list.begin(), list.end(), [&](const Node& each) { return json::equal(each, item); });
}

/// Adds what `wanted` has in its list `key` and `object` has not; whether there was anything.
bool add_missing(json::Document& doc, Node& object, const Node& wanted, std::string_view key) {
  const Node* from = wanted.find(key);
  if (!from || from->empty()) return false;
  Node* into = object.find(key);
  if (!into || !into->is_array()) into = &doc.set(object, key, doc.make_array());
  bool changed = false;
  for (const Node& item : *from) {
    if (lists(*into, item)) continue;
    doc.append(*into, doc.copy(item));
    changed = true;
  }
  return changed;
}

/// The new text of an object that lacks something, or nothing.
Result<std::optional<std::string>> mended(const model::ObjectRef& there, const BootstrapObject& wanted) {
  if (there.meta().annotation(autoupdate) == "false") return std::nullopt;
  json::Document doc = TRY(json::Document::parse(there.print()));
  const json::Document with = TRY(json::Document::parse(wanted.json));
  const bool aggregated = doc.root().find("aggregationRule") || with.root().find("aggregationRule");
  bool changed = false;
  if (!aggregated) changed |= add_missing(doc, doc.root(), with.root(), "rules");
  // A binding to another role is somebody's own.
  const Node *role = doc.root().find("roleRef"), *expected = with.root().find("roleRef");
  if (expected && role && json::equal(*role, *expected)) changed |= add_missing(doc, doc.root(), with.root(), "subjects");
  if (!changed) return std::nullopt;
  return json::print(doc.root());
}

Task<void> reconcile(Registry* registry, const BootstrapObject* object, std::optional<Error>* first_error) {
  const Resource& row = *model::schema::find_resource(rbac, "v1", object->resource);
  const auto there = registry->cluster().find(rbac, object->resource, object->ns, object->name);
  Result<Outcome> done;
  if (!there) {
    Action action = own_action(Verb::create, row, object->ns, {});
    action.body = object->json;
    done = co_await registry->create(std::move(action));
  } else {
    auto text = mended(*there, *object);
    if (text && !*text) co_return;
    if (text) {
      Action action = own_action(Verb::update, row, object->ns, object->name);
      action.body = std::move(**text);
      done = co_await registry->update(std::move(action));
    } else {
      done = std::unexpected(std::move(text.error()));
    }
  }
  // Another server may do the same at the same time.
  if (done || done.error().code == Code::already_exists || done.error().code == Code::conflict) co_return;
  if (!*first_error) *first_error = std::move(done.error().context("make " + std::string(object->resource) + " " + object->name));
}

}  // namespace

std::vector<BootstrapObject> bootstrap_rbac() { return Reader().run(); }

Task<Result<void>> reconcile_rbac(Registry& registry) {
  const std::vector<BootstrapObject> objects = bootstrap_rbac();
  std::optional<Error> error;
  TaskGroup group;
  for (const BootstrapObject& object : objects) group.start(reconcile(&registry, &object, &error));
  co_await group.join();
  if (error) co_return std::unexpected(std::move(*error));
  co_return {};
}

}  // namespace estiba::apiserver
