// RoleEscalation: the rules that a role or a binding grants are ones that its writer has, or he may "escalate" or "bind"
// (kubernetes.io/docs/reference/access-authn-authz/rbac, privilege escalation prevention).
#include "apiserver/admission/extensions.h"
#include "apiserver/admission/plugins.h"
#include "apiserver/authz.h"
#include "apiserver/edit.h"
#include "base/strings.h"

namespace estiba::apiserver::admission {
namespace {

constexpr std::string_view rbac = "rbac.authorization.k8s.io";

Result<void> confirm(Attributes& attributes, const Authorizer& authorizer, const std::vector<Rule>& wanted) {
  const User& user = attributes.action.user;
  const std::vector<Rule> missing = not_covered(authorizer.rules_of(user, attributes.ns()), wanted);
  if (missing.empty()) return {};
  std::string groups;
  for (const std::string& group : user.groups) groups.append(groups.empty() ? "" : " ").append(quoted(group));
  std::string message =
      "user " + quoted(user.name) + " (groups=[" + groups + "]) is attempting to grant RBAC permissions not currently held:";
  for (const Rule& rule : missing) message += "\n" + to_string(rule);
  return attributes.forbidden(message);
}

bool may(const Attributes& attributes, const Authorizer& authorizer, std::string_view verb, std::string_view resource,
         std::string_view name) {
  apiserver::Attributes asked{.verb = std::string(verb), .group = std::string(rbac), .version = "*", .resource = std::string(resource)};
  asked.ns = attributes.ns();
  asked.name = name;
  return authorizer.authorize(attributes.action.user, asked).allowed;
}

// What garbage collection changes grants nothing.
bool only_collection_fields(const json::Node& before, const json::Node& after) {
  json::Document doc;
  json::Node &old = doc.copy(before), &now = doc.copy(after);
  for (json::Node* object : {&old, &now})
    if (json::Node* metadata = object->find("metadata"))
      for (std::string_view field : {"ownerReferences", "finalizers", "managedFields", "resourceVersion"}) doc.remove(*metadata, field);
  return json::equal(old, now);
}

Result<void> check_binding(Attributes& attributes, const Authorizer& authorizer) {
  const json::Node& reference = *attributes.object->find("roleRef");
  const bool everywhere = reference.string_at("kind") == "ClusterRole";
  const std::string_view name = reference.string_at("name"), resource = everywhere ? "clusterroles" : "roles";
  if (may(attributes, authorizer, "bind", resource, name)) return {};
  // A role that is not there yet may become anything.
  const model::ObjectRef role = TRY(attributes.cluster.find(rbac, resource, everywhere ? std::string_view{} : attributes.ns(), name));
  const json::Document doc = TRY(json::Document::parse(role.object->json()));
  return confirm(attributes, authorizer, rules_in(doc.root()));
}

}  // namespace

Result<void> check_escalation(Attributes& attributes) {
  if (attributes.action.resource->group != rbac || !(attributes.creating() || attributes.updating())) return {};
  const Authorizer* authorizer = attributes.cluster.extensions().authorizer();
  if (!authorizer || attributes.action.user.in_group("system:masters")) return {};
  if (attributes.updating() && only_collection_fields(*attributes.old, *attributes.object)) return {};
  const std::string_view resource = attributes.action.resource->plural;
  if (resource.ends_with("bindings")) return check_binding(attributes, *authorizer);
  if (may(attributes, *authorizer, "escalate", resource, attributes.name())) return {};
  TRY(confirm(attributes, *authorizer, rules_in(*attributes.object)));
  // What takes other roles in may take anything in.
  const bool aggregates =
      present(attributes.object->find("aggregationRule")) || (attributes.updating() && present(attributes.old->find("aggregationRule")));
  if (!aggregates) return {};
  return confirm(attributes, *authorizer, {{{"*"}, {"*"}, {"*"}, {}, {}}, {{"*"}, {}, {}, {}, {"*"}}});
}

}  // namespace estiba::apiserver::admission
