#include "apiserver/admission/subject.h"

#include "apiserver/api_errors.h"
#include "apiserver/convert.h"
#include "apiserver/custom/conversion.h"
#include "apiserver/edit.h"
#include "base/strings.h"
#include "model/check.h"

namespace estiba::apiserver::admission {
namespace {

using json::Document;
using json::Node;

std::string_view name_of(Operation operation) {
  switch (operation) {
    case Operation::create: return "CREATE";
    case Operation::update: return "UPDATE";
    case Operation::remove: return "DELETE";
    case Operation::connect: break;
  }
  return "CONNECT";
}

Named kind_of(const Node& object) {
  const auto [group, version] = model::schema::split_api_version(object.string_at("apiVersion"));
  return {std::string(group), std::string(version), std::string(object.string_at("kind"))};
}

Match match_of(model::ResourceRef row, std::string_view subresource) {
  const Resource& resource = *row.resource;
  Named kind{std::string(resource.group), std::string(resource.version), std::string(resource.kind)};
  // A scale is an autoscaling/v1 Scale, whatever it scales.
  if (const auto* sub = resource.find_subresource(subresource); sub && sub->kind != resource.kind)
    kind = {std::string(sub->group), std::string(sub->version), std::string(sub->kind)};
  return {{std::string(resource.group), std::string(resource.version), std::string(resource.plural)}, std::move(kind), std::move(row)};
}

// Where the same objects are shown, in the order of the groups' versions.
std::vector<model::ResourceRef> rows_of(const Cluster& cluster, std::string_view group, std::string_view plural) {
  std::vector<model::ResourceRef> out;
  if (const model::schema::Group* found = model::schema::find_group(group))
    for (const auto& version : found->versions)
      if (const Resource* row = model::schema::find_resource(group, version.name, plural)) out.push_back({row, nullptr});
  if (!out.empty()) return out;
  const model::ResourceRef custom = cluster.catalog()->find_preferred(group, plural);
  if (!custom.definition) return out;
  for (const model::CustomVersion& version : custom.definition->versions())
    if (version.served) out.push_back({&version.resource, custom.definition});
  return out;
}

void set_named(Document& doc, Node& object, std::string_view key, const Named& named, std::string_view last) {
  Node& made = doc.set(object, key, doc.make_object());
  doc.set(made, "group", named.group);
  doc.set(made, "version", named.version);
  doc.set(made, last, named.name);
}

void set_strings(Document& doc, Node& object, std::string_view key, const std::vector<std::string>& texts) {
  Node& list = doc.set(object, key, doc.make_array());
  for (const std::string& text : texts) doc.append(list, doc.make_string(text));
}

void set_user(Document& doc, Node& object, const User& user) {
  Node& made = doc.set(object, "userInfo", doc.make_object());
  if (!user.name.empty()) doc.set(made, "username", user.name);
  if (!user.uid.empty()) doc.set(made, "uid", user.uid);
  if (!user.groups.empty()) set_strings(doc, made, "groups", user.groups);
  if (user.extra.empty()) return;
  Node& extra = doc.set(made, "extra", doc.make_object());
  for (const auto& [key, values] : user.extra) set_strings(doc, extra, key, values);
}

void set_delete_options(Document& doc, Node& options, const DeleteOptions& given) {
  if (given.grace_seconds) set_int(doc, options, "gracePeriodSeconds", *given.grace_seconds);
  if (!given.uid.empty()) doc.set(doc.ensure_object(options, "preconditions"), "uid", given.uid);
  if (!given.resource_version.empty()) doc.set(doc.ensure_object(options, "preconditions"), "resourceVersion", given.resource_version);
  if (given.orphan_dependents) set_bool(doc, options, "orphanDependents", *given.orphan_dependents);
  if (!given.propagation.empty()) doc.set(options, "propagationPolicy", given.propagation);
}

void set_options(Document& doc, Node& object, const Subject& subject) {
  const Action& action = subject.attributes.action;
  if (subject.attributes.operation == Operation::connect) {
    doc.set(object, "options", doc.make_null());
    return;
  }
  const bool removes = subject.attributes.removing();
  const bool patches = !removes && action.verb == Verb::patch;
  Node& options = doc.set(object, "options", doc.make_object());
  doc.set(options, "kind",
          removes                         ? "DeleteOptions"
          : patches                       ? "PatchOptions"
          : subject.attributes.creating() ? "CreateOptions"
                                          : "UpdateOptions");
  doc.set(options, "apiVersion", "meta.k8s.io/v1");
  if (removes) set_delete_options(doc, options, action.remove);
  if (subject.attributes.dry_run) doc.append(doc.set(options, "dryRun", doc.make_array()), doc.make_string("All"));
  if (removes) return;
  if (patches && action.write.force) set_bool(doc, options, "force", *action.write.force);
  if (!action.write.field_manager.empty()) doc.set(options, "fieldManager", action.write.field_manager);
  const FieldValidation validation = action.write.validation;
  doc.set(options, "fieldValidation",
          validation == FieldValidation::strict   ? "Strict"
          : validation == FieldValidation::ignore ? "Ignore"
                                                  : "Warn");
}

// A custom object; others are converted by their fields' names.
Task<Result<Document>> custom_to_version(Cluster& cluster, const Node& object, const model::CustomVersion& wanted) {
  const std::string revision(object.string_at("metadata", "resourceVersion"));
  std::vector<model::ObjectRef> one{{CO_TRY(model::Object::make(object)), 0}};
  one[0].object = CO_TRY(in_version(one[0].object, wanted.resource));
  if (wanted.definition->converts_by_webhook()) CO_TRY(co_await convert_by_webhook(cluster, wanted, one));
  Document doc = CO_TRY(Document::parse(one[0].object->json()));
  if (!revision.empty()) doc.set(doc.ensure_object(doc.root(), "metadata"), "resourceVersion", revision);
  co_return doc;
}

// Who an object is, and what the server alone says of it, is nothing to be changed here.
Result<void> keep_identity(const Attributes& attributes, Document& doc, Node& changed) {
  const Resource& resource = *attributes.action.resource;
  const Node& object = *attributes.object;
  if (changed.string_at("metadata", "namespace") != object.string_at("metadata", "namespace"))
    return bad_request("the namespace of the provided object does not match the namespace sent on the request");
  Node& metadata = doc.ensure_object(changed, "metadata");
  if (attributes.creating()) {
    for (std::string_view key : {"uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"})
      set_copy(doc, metadata, key, object.at("metadata", key));
  } else if (attributes.updating() && metadata.string_at("name") != object.string_at("metadata", "name")) {
    FieldErrors errors;
    errors.invalid_string("metadata.name", metadata.string_at("name"), "field is immutable");
    return invalid(resource, resource.kind, object.string_at("metadata", "name"), errors.take());
  }
  return {};
}

}  // namespace

std::unexpected<Error> internal_error(std::string message) {
  auto details = std::make_shared<ErrorDetails>();
  details->reason = "InternalError";
  details->causes.push_back({"", message, ""});
  return std::unexpected(Error{Code::internal, 0, "Internal error occurred: " + std::move(message), std::move(details)});
}

Subject::Subject(Attributes& given) : attributes(given), operation(name_of(given.operation)), name(given.name()), ns(given.ns()) {
  const Action& action = attributes.action;
  subresource = action.subresource;
  Match own = match_of({action.resource, nullptr}, subresource);
  resource = std::move(own.resource);
  kind = attributes.object && !attributes.object->string_at("kind").empty() ? kind_of(*attributes.object) : std::move(own.kind);
  if (is_namespace() && ns.empty()) ns = name;
}

bool Subject::exempt() const {
  if (subresource == "binding" && kind.name == "Pod") return true;
  if (resource.group != "admissionregistration.k8s.io") return false;
  for (std::string_view exempted : {"validatingwebhookconfigurations", "mutatingwebhookconfigurations", "validatingadmissionpolicies",
                                    "validatingadmissionpolicybindings", "mutatingadmissionpolicies", "mutatingadmissionpolicybindings"})
    if (resource.name == exempted) return true;
  return false;
}

const std::vector<Match>& Subject::equivalents() {
  if (equivalents_) return *equivalents_;
  std::vector<Match>& out = equivalents_.emplace();
  const auto add = [&](std::string_view group) {
    for (model::ResourceRef& row : rows_of(attributes.cluster, group, resource.name)) {
      if (!subresource.empty() && !row.resource->find_subresource(subresource)) continue;
      Match match = match_of(std::move(row), subresource);
      if (match.resource != resource) out.push_back(std::move(match));
    }
  };
  add(resource.group);
  if (resource.name == "events" && resource.group.empty()) add("events.k8s.io");
  if (resource.name == "events" && resource.group == "events.k8s.io") add("");
  return out;
}

Result<model::Labels> Subject::namespace_labels() const {
  if (!is_namespace() || !subresource.empty() || attributes.removing() || !attributes.object)
    return TRY(attributes.cluster.find("", "namespaces", "", ns)).meta().labels;
  model::Labels out;
  if (const Node* labels = attributes.object->at("metadata", "labels"); present(labels))
    for (const Node& label : *labels) out.emplace_back(label.key(), label.as_string());
  std::sort(out.begin(), out.end());
  return out;
}

Result<model::ObjectRef> Subject::namespace_object() const {
  if (ns.empty() || is_namespace()) return model::ObjectRef();
  return attributes.cluster.find("", "namespaces", "", ns);
}

Task<Result<Document>> to_version(Cluster& cluster, const Node& object, model::ResourceRef row) {
  if (const model::CustomVersion* custom = model::custom_of(*row.resource)) co_return co_await custom_to_version(cluster, object, *custom);
  Document doc;
  doc.set_root(doc.copy(object));
  convert(doc, doc.root(), *row.resource);
  co_return doc;
}

Task<Result<const Versions::Pair*>> Versions::in(Match match) {
  if (auto made = made_.find(match.kind); made != made_.end()) co_return made->second.get();
  auto pair = std::make_unique<Pair>();
  const Attributes& attributes = subject_.attributes;
  const model::ResourceRef row = match.row.resource ? match.row : model::ResourceRef{attributes.action.resource, nullptr};
  const std::string wanted = model::schema::join_api_version(match.kind.group, match.kind.version);
  for (const auto& [from, to, doc] : {std::tuple{static_cast<const Node*>(attributes.object), &pair->object, &pair->object_doc},
                                      std::tuple{attributes.old, &pair->old, &pair->old_doc}}) {
    *to = from;
    // Only objects of the resource itself have other versions; scales, options and the like have one.
    if (!from || from->string_at("apiVersion") == wanted || row.resource->kind != match.kind.name) continue;
    *doc = CO_TRY(co_await to_version(attributes.cluster, *from, row));
    *to = &doc->root();
  }
  co_return made_.emplace(match.kind, std::move(pair)).first->second.get();
}

Task<Result<bool>> take_object(Subject& subject, Match match, Document changed, bool strict) {
  Attributes& attributes = subject.attributes;
  Node& object = *attributes.object;
  if (!changed.root().is_object()) co_return internal_error("the changed object is no object");
  if (kind_of(changed.root()) != match.kind) co_return internal_error("a change may not give the object another apiVersion or kind");
  const Resource& resource = *attributes.action.resource;
  if (match.kind != subject.kind) changed = CO_TRY(co_await to_version(attributes.cluster, changed.root(), {&resource, nullptr}));
  const bool own = subject.kind.name == resource.kind && subject.kind.group == resource.group;
  const model::schema::Type* type =
      own ? resource.type : model::schema::find_type(subject.kind.group, subject.kind.version, subject.kind.name);
  if (type) {
    auto unknown = model::conform(changed, changed.root(), *type);
    if (!unknown) co_return internal_error(unknown.error().message);
    if (strict && !unknown->empty()) co_return internal_error("strict decoding error: unknown field " + quoted(unknown->front()));
  }
  if (own) CO_TRY(keep_identity(attributes, changed, changed.root()));
  if (json::equal(changed.root(), object)) co_return false;
  if (type) model::set_defaults(changed, changed.root(), *type);
  if (const Strategy& strategy = strategy_of(resource); own && strategy.defaults) strategy.defaults(changed, changed.root());
  attributes.doc->assign(object, changed.root());
  attributes.changed = true;
  co_return true;
}

Document request_of(const Subject& subject, const Match& match, std::string_view uid) {
  Document doc;
  Node& out = doc.make_object();
  doc.set_root(out);
  doc.set(out, "uid", uid);
  set_named(doc, out, "kind", match.kind, "kind");
  set_named(doc, out, "resource", match.resource, "resource");
  if (!subject.subresource.empty()) doc.set(out, "subResource", subject.subresource);
  set_named(doc, out, "requestKind", subject.kind, "kind");
  set_named(doc, out, "requestResource", subject.resource, "resource");
  if (!subject.subresource.empty()) doc.set(out, "requestSubResource", subject.subresource);
  if (!subject.name.empty()) doc.set(out, "name", subject.name);
  if (!subject.ns.empty()) doc.set(out, "namespace", subject.ns);
  doc.set(out, "operation", subject.operation);
  set_user(doc, out, subject.attributes.action.user);
  set_bool(doc, out, "dryRun", subject.attributes.dry_run);
  set_options(doc, out, subject);
  return doc;
}

}  // namespace estiba::apiserver::admission
