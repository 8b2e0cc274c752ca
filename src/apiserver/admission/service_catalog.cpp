// ServiceCatalog: what the Kubernetes project of the service catalogue had webhooks for. Instances and bindings get the identifiers by
// which their broker will know them before anybody can ask it for anything, and say who asked; nobody has the server use a Secret that they
// may not read themselves; and what is under way at a broker is not changed meanwhile. (kubernetes-retired/service-catalog: pkg/webhook.)
#include "apiserver/service_catalog_schemas.h"

#include "apiserver/admission/extensions.h"
#include "apiserver/admission/plugins.h"
#include "apiserver/authz.h"
#include "apiserver/edit.h"
#include "base/strings.h"

namespace estiba::apiserver::admission {
namespace {

constexpr std::string_view finalizer = "kubernetes-incubator/service-catalog";
constexpr std::string_view class_fields[] = {"clusterServiceClassExternalName", "clusterServiceClassExternalID", "clusterServiceClassName",
                                             "serviceClassExternalName",        "serviceClassExternalID",        "serviceClassName"};
constexpr std::string_view plan_fields[] = {"clusterServicePlanExternalName", "clusterServicePlanExternalID", "clusterServicePlanName",
                                            "servicePlanExternalName",        "servicePlanExternalID",        "servicePlanName"};

bool concerns(const Attributes& attributes) {
  return attributes.action.resource->group == service_catalog_group && attributes.action.subresource.empty() && !attributes.removing();
}
bool is_broker(std::string_view plural) { return plural == "clusterservicebrokers" || plural == "servicebrokers"; }
bool by_catalog(const Attributes& attributes) { return attributes.action.user.name == service_catalog_user; }

void hold(Attributes& attributes) {
  json::Document& doc = *attributes.doc;
  json::Node& metadata = doc.ensure_object(*attributes.object, "metadata");
  json::Node* list = metadata.find("finalizers");
  if (!list || !list->is_array()) list = &doc.set(metadata, "finalizers", doc.make_array());
  for (const json::Node& one : *list)
    if (one.as_string() == finalizer) return;
  doc.append(*list, doc.make_string(finalizer));
}

void set_user(Attributes& attributes) {
  json::Document& doc = *attributes.doc;
  const User& user = attributes.action.user;
  json::Node& info = doc.make_object();
  doc.set(info, "username", user.name);
  doc.set(info, "uid", user.uid);
  json::Node& groups = doc.set(info, "groups", doc.make_array());
  for (const std::string& group : user.groups) doc.append(groups, doc.make_string(group));
  if (!user.extra.empty()) {
    json::Node& extra = doc.set(info, "extra", doc.make_object());
    for (const auto& [key, values] : user.extra) {
      json::Node& list = doc.set(extra, key, doc.make_array());
      for (const std::string& value : values) doc.append(list, doc.make_string(value));
    }
  }
  doc.set(attributes.spec(), "userInfo", info);
}

void set_if_empty(Attributes& attributes, std::string_view field, std::string_view value) {
  if (attributes.spec().string_at(field).empty()) attributes.doc->set(attributes.spec(), field, value);
}

/// Whether the spec differs by more than who asked for it.
bool spec_differs(const json::Node* old, const json::Node* now) {
  const auto lacks = [](const json::Node* a, const json::Node* b) {
    if (a)
      for (const json::Node& member : *a)
        if (member.key() != "userInfo" && !same(&member, b ? b->find(member.key()) : nullptr)) return true;
    return false;
  };
  return lacks(old, now) || lacks(now, old);
}

bool any_differs(const Attributes& attributes, std::span<const std::string_view> fields) {
  return std::any_of(fields.begin(), fields.end(), [&](std::string_view field) {
    return attributes.old->string_at("spec", field) != attributes.object->string_at("spec", field);
  });
}

void keep_number(Attributes& attributes, std::string_view field) {
  const json::Node* now = attributes.spec().find(field);
  const json::Node* old = attributes.old->at("spec", field);
  if (old && (!now || now->as_int().value_or(0) == 0)) attributes.doc->set(attributes.spec(), field, attributes.doc->copy(*old));
}

void complete_new(Attributes& attributes, std::string_view plural) {
  hold(attributes);
  if (is_broker(plural)) return;
  set_if_empty(attributes, "externalID", random_uuid());
  set_user(attributes);
  if (plural == "servicebindings") return set_if_empty(attributes, "secretName", attributes.name());
  for (std::string_view reference : {"clusterServiceClassRef", "clusterServicePlanRef", "serviceClassRef", "servicePlanRef"})
    attributes.doc->remove(attributes.spec(), reference);
}

void complete_changed_instance(Attributes& attributes) {
  const json::Node* old = attributes.old->find("spec");
  set_if_empty(attributes, "externalID", attributes.old->string_at("spec", "externalID"));
  keep_number(attributes, "updateRequests");
  if (by_catalog(attributes)) return;
  if (any_differs(attributes, plan_fields))
    for (std::string_view reference : {"clusterServicePlanRef", "servicePlanRef"}) attributes.doc->remove(attributes.spec(), reference);
  if (spec_differs(old, &attributes.spec())) return set_user(attributes);
  if (const json::Node* user = old ? old->find("userInfo") : nullptr)
    attributes.doc->set(attributes.spec(), "userInfo", attributes.doc->copy(*user));
}

bool may_read_secret(const Attributes& attributes, const std::string& ns, const std::string& name) {
  const Authorizer* authorizer = attributes.cluster.extensions().authorizer();
  apiserver::Attributes asked{.verb = "get", .group = "", .version = "v1", .resource = "secrets"};
  asked.ns = ns;
  asked.name = name;
  return authorizer && authorizer->authorize(attributes.action.user, asked).allowed;
}

/// A broker is asked with what the Secret holds: who names the Secret must be one who may read it.
Result<void> check_auth_secrets(Attributes& attributes, bool cluster) {
  const json::Node* info = attributes.object->at("spec", "authInfo");
  if (!info || (attributes.updating() && same(info, attributes.old->at("spec", "authInfo")))) return {};
  for (std::string_view kind : {"basic", "bearer"}) {
    const json::Node* reference = info->at(kind, "secretRef");
    if (!reference) continue;
    const std::string name(reference->string_at("name"));
    const std::string ns(cluster ? reference->string_at("namespace") : attributes.ns());
    if (name.empty() || ns.empty())
      return attributes.forbidden("spec.authInfo." + std::string(kind) + ".secretRef must give the Secret's name" +
                                  (cluster ? " and namespace" : ""));
    if (!may_read_secret(attributes, ns, name))
      return attributes.forbidden("broker forbidden access to auth secret (" + name + "): user " + quoted(attributes.action.user.name) +
                                  " may not get Secret " + ns + "/" + name);
  }
  return {};
}

/// So must be who has a Secret of any namespace copied into a binding's.
Result<void> check_added_secrets(Attributes& attributes) {
  const json::Node* transforms = attributes.spec().find("secretTransforms");
  if (!transforms) return {};
  for (const json::Node& transform : *transforms) {
    const json::Node* reference = transform.at("addKeysFrom", "secretRef");
    if (!reference) continue;
    const std::string_view there = reference->string_at("namespace");
    const std::string ns(there.empty() ? attributes.ns() : there), name(reference->string_at("name"));
    if (!may_read_secret(attributes, ns, name))
      return attributes.forbidden("spec.secretTransforms: addKeysFrom: user " + quoted(attributes.action.user.name) +
                                  " may not get Secret " + ns + "/" + name);
  }
  return {};
}

/// Exactly one way of naming a class, and a plan in the same way or none.
Result<void> check_plan_reference(Attributes& attributes) {
  const json::Node& spec = attributes.spec();
  size_t named = 0, at = 0;
  for (size_t i = 0; i < std::size(class_fields); ++i)
    if (!spec.string_at(class_fields[i]).empty()) ++named, at = i;
  if (named != 1)
    return attributes.forbidden(
        "spec must name its class by exactly one of clusterServiceClassExternalName, clusterServiceClassExternalID, "
        "clusterServiceClassName, serviceClassExternalName, serviceClassExternalID and serviceClassName");
  for (size_t i = 0; i < std::size(plan_fields); ++i)
    if (i != at && !spec.string_at(plan_fields[i]).empty())
      return attributes.forbidden("spec." + std::string(plan_fields[i]) + " does not go with spec." + std::string(class_fields[at]) +
                                  ": name the plan by spec." + std::string(plan_fields[at]));
  return {};
}

/// Only plans of classes that say so are changed for others.
Result<void> check_plan_change(Attributes& attributes) {
  if (!any_differs(attributes, plan_fields)) return {};
  for (const auto& [reference, resource] :
       {std::pair("clusterServiceClassRef", "clusterserviceclasses"), {"serviceClassRef", "serviceclasses"}}) {
    const std::string_view name = attributes.old->string_at("spec", reference, "name");
    if (name.empty()) continue;
    const bool cluster = std::string_view(resource).starts_with("cluster");
    auto found = attributes.cluster.find(service_catalog_group, resource, cluster ? std::string_view{} : attributes.ns(), name);
    if (!found) continue;
    const json::Document doc = TRY(json::Document::parse(found->object->json()));
    const json::Node* updatable = doc.root().at("spec", "planUpdatable");
    // The plan that was chosen for it may be written down, and so may another name of the same plan: that is no change of it.
    const bool had_plan = std::any_of(std::begin(plan_fields), std::end(plan_fields),
                                      [&](std::string_view field) { return !attributes.old->string_at("spec", field).empty(); });
    if (had_plan && !(updatable && updatable->as_bool()))
      return attributes.forbidden("the class " + quoted(doc.root().string_at("spec", "externalName")) + " does not allow plan changes");
  }
  return {};
}

Result<void> check_changed_instance(Attributes& attributes) {
  if (attributes.old->string_at("spec", "externalID") != attributes.object->string_at("spec", "externalID"))
    return attributes.forbidden("spec.externalID is how the broker knows the instance and cannot be changed");
  if (any_differs(attributes, class_fields)) return attributes.forbidden("an instance's class cannot be changed: make another instance");
  if (by_catalog(attributes)) return {};
  const json::Node* old = attributes.old->find("spec");
  if (!spec_differs(old, attributes.object->find("spec"))) return {};
  if (!attributes.old->string_at("status", "currentOperation").empty())
    return attributes.forbidden("another operation for this service instance is in progress (" +
                                std::string(attributes.old->string_at("status", "currentOperation")) + "): change it when that has ended");
  return check_plan_change(attributes);
}

}  // namespace

Result<void> complete_catalog_object(Attributes& attributes) {
  if (!concerns(attributes)) return {};
  const std::string_view plural = attributes.action.resource->plural;
  if (!is_broker(plural) && plural != "serviceinstances" && plural != "servicebindings") return {};
  if (attributes.creating()) {
    complete_new(attributes, plural);
  } else if (is_broker(plural)) {
    keep_number(attributes, "relistRequests");
  } else if (plural == "serviceinstances") {
    complete_changed_instance(attributes);
  } else if (const json::Node* old = attributes.old->find("spec")) {
    // A binding is what the broker was asked for: it is made anew rather than changed.
    attributes.doc->set(*attributes.object, "spec", attributes.doc->copy(*old));
  }
  return {};
}

Result<void> check_catalog_object(Attributes& attributes) {
  if (!concerns(attributes)) return {};
  const std::string_view plural = attributes.action.resource->plural;
  if (is_broker(plural)) return check_auth_secrets(attributes, plural == "clusterservicebrokers");
  if (plural == "serviceinstances") {
    TRY(check_plan_reference(attributes));
    return attributes.updating() ? check_changed_instance(attributes) : Result<void>{};
  }
  if (plural != "servicebindings" || !attributes.creating()) return {};
  TRY(check_added_secrets(attributes));
  const std::string_view instance = attributes.object->string_at("spec", "instanceRef", "name");
  auto found = attributes.cluster.find(service_catalog_group, "serviceinstances", attributes.ns(), instance);
  if (found && !found->meta().deletion_timestamp.empty())
    return attributes.forbidden("ServiceInstance " + quoted(instance) + " is being deleted: nothing can be bound to it");
  return {};
}

}  // namespace estiba::apiserver::admission
