// Registry: create, update and patch.
#include <algorithm>
#include <span>

#include "apiserver/admission/admission.h"
#include "apiserver/api_errors.h"
#include "apiserver/body.h"
#include "apiserver/convert.h"
#include "apiserver/edit.h"
#include "apiserver/metadata.h"
#include "apiserver/ownership.h"
#include "apiserver/registry.h"
#include "base/strings.h"
#include "base/time.h"
#include "model/check.h"
#include "model/custom/definition.h"
#include "model/names.h"
#include "model/patch.h"

namespace estiba::apiserver {
namespace {

constexpr int max_attempts = 64;
constexpr int max_generated_names = 8;

Result<void> check_identity(const Action& action, json::Document& doc) {
  json::Node& metadata = doc.ensure_object(doc.root(), "metadata");
  std::string_view name = metadata.string_at("name"), ns = metadata.string_at("namespace");
  if (!action.name.empty() && name != action.name) {
    if (!name.empty())
      return bad_request("the name of the object (" + std::string(name) + ") does not match the name on the URL (" + action.name + ")");
    doc.set(metadata, "name", action.name);
  }
  if (!action.resource->namespaced) {
    if (!ns.empty()) return bad_request("namespace is not allowed for the cluster-scoped " + std::string(action.resource->kind));
    return {};
  }
  if (!ns.empty() && ns != action.ns)
    return bad_request("the namespace of the provided object does not match the namespace sent on the request");
  doc.set(metadata, "namespace", action.ns);
  return {};
}

// Metadata, required fields and enums of the tables, then the kind's own rules.
Result<void> validate(Draft& draft, const Strategy& strategy, bool whole) {
  const Action& action = draft.action;
  validate_metadata(draft);
  if (!whole && strategy.validate_status) strategy.validate_status(draft);
  if (whole) {
    for (FieldCause& cause : model::check_required(draft.object, *action.resource->type)) draft.errors.add(std::move(cause));
    if (strategy.validate) strategy.validate(draft);
  }
  if (draft.errors.empty()) return {};
  return invalid(*action.resource, action.resource->kind, draft.name(), draft.errors.take());
}

}  // namespace

Task<Result<json::Document>> Registry::read_document(const Action& action, const store::Entry& entry) {
  json::Document doc;
  if (model::custom_of(*action.resource)) {
    model::ObjectRef object = CO_TRY(object_of(entry, *action.resource));
    CO_TRY(co_await present(action, object));
    doc = CO_TRY(json::Document::parse(object.object->json()));
  } else {
    doc = CO_TRY_AS("stored object " + entry.key, json::Document::parse(entry.value));
    convert(doc, doc.root(), *action.resource);
  }
  doc.set(doc.ensure_object(doc.root(), "metadata"), "resourceVersion", std::to_string(entry.mod_revision));
  co_return doc;
}

Task<Result<std::shared_ptr<const Kept>>> Registry::to_store(const Action& action, const json::Node& object) {
  const Strategy& strategy = strategy_of(*action.resource);
  auto facts = CO_TRY(make_kept(object, strategy));
  const model::CustomVersion* custom = model::custom_of(*action.resource);
  if (!custom) co_return facts;
  if (!custom->storage) {
    Action stored = action;
    stored.resource = &custom->definition->storage().resource;
    model::ObjectRef converted{CO_TRY(in_version(facts->object, *stored.resource)), 0};
    CO_TRY(co_await present(stored, converted));
    auto parsed = CO_TRY(json::Document::parse(converted.object->json()));
    facts = CO_TRY(make_kept(parsed.root(), strategy, converted.object->shared_json()));
  }
  facts->conformed.store(custom->definition->id());
  co_return facts;
}

Task<Result<model::ObjectRef>> Registry::commit(const Action& action, store::Write write, std::shared_ptr<const Kept> facts) {
  write.value = facts->object->shared_json();
  write.attachment = facts;
  if (action.write.dry_run) co_return model::ObjectRef{facts->object, write.expect > 0 ? write.expect : 0};
  auto written = CO_TRY(co_await store_.commit(std::move(write)));
  co_return model::ObjectRef{facts->object, written.revision};
}

Task<Result<Outcome>> Registry::create(Action action) {
  Decoded decoded = CO_TRY(decode_object(action));
  co_return co_await create_document(std::move(action), std::move(decoded.doc), std::move(decoded.warnings));
}

Task<Result<Outcome>> Registry::create_document(Action action, json::Document doc, std::vector<std::string> warnings) {
  CO_TRY(check_identity(action, doc));
  json::Node& metadata = doc.ensure_object(doc.root(), "metadata");
  if (!metadata.string_at("resourceVersion").empty()) co_return bad_request("resourceVersion should not be set on objects to be created");
  std::string base(metadata.string_at("generateName"));
  bool generated = metadata.string_at("name").empty() && !base.empty();
  std::string original = generated ? json::print(doc.root()) : std::string{};
  for (int attempt = 1;; attempt++) {
    if (generated) doc.set(doc.ensure_object(doc.root(), "metadata"), "name", model::generate_name(base));
    auto outcome = co_await create_named(action, doc, warnings);
    bool again = !outcome && generated && outcome.error().code == Code::already_exists && attempt < max_generated_names;
    if (!again) co_return outcome;
    doc = CO_TRY(json::Document::parse(original));
  }
}

namespace {

const json::Node& nothing() {
  static const json::Document document = [] {
    json::Document made;
    made.set_root(made.make_object());
    return made;
  }();
  return document.root();
}

}  // namespace

// What was chosen for the object may be taken at the same moment: then it is chosen anew.
Task<Result<model::ObjectRef>> Registry::write_new(const Action& action, Draft& draft, store::Write write, const json::Node* asked) {
  const Strategy& strategy = strategy_of(*action.resource);
  if (action.write.dry_run && store_.get(write.key)) co_return already_exists(*action.resource, draft.name());
  for (int attempt = 1;; attempt++) {
    auto facts = CO_TRY(co_await to_store(action, draft.object));
    std::string key = write.key;
    auto written = co_await commit(action, std::move(write), std::move(facts));
    if (written || !asked || written.error().code != Code::conflict || attempt == max_attempts) co_return written;
    set_copy(draft.doc, draft.object, "spec", asked);
    write = {.key = std::move(key), .expect = 0};
    CO_TRY(strategy.allocate(draft, write.with));
  }
}

Task<Result<Outcome>> Registry::create_named(const Action& action, json::Document& doc, std::vector<std::string>& warnings) {
  const Strategy& strategy = strategy_of(*action.resource);
  FieldErrors errors;
  Draft draft{doc, doc.root(), nullptr, action, cluster_, errors, warnings};
  if (strategy.defaults) strategy.defaults(doc, doc.root());
  Ownership owners(action, nullptr, cluster_.now());
  if (sets_owners(action)) owners.adopt(doc);
  else owners.track(nothing(), doc);
  fill_new_metadata(draft, strategy.generation, cluster_.now());
  admission::Attributes attributes = admission::Attributes::of(draft);
  CO_TRY(co_await admission::mutate(attributes));
  if (strategy.prepare) strategy.prepare(draft);
  CO_TRY(validate(draft, strategy, true));
  store::Write write{.key = key_of(*action.resource, action.ns, draft.name()), .expect = 0};
  const json::Node* asked = strategy.allocate ? &doc.copy(draft.spec()) : nullptr;
  if (strategy.allocate) CO_TRY(strategy.allocate(draft, write.with));
  CO_TRY(co_await admission::validate(attributes));
  owners.write(doc);

  auto written = co_await write_new(action, draft, std::move(write), asked);
  if (!written) {
    if (written.error().code == Code::already_exists) co_return already_exists(*action.resource, draft.name());
    co_return std::unexpected(std::move(written.error()));
  }
  if (model::custom_of(*action.resource)) written->object = CO_TRY(model::Object::make(doc.root()));
  co_return Outcome{201, std::move(*written), {}, std::move(warnings)};
}

namespace {

Part part_of(const Action& action) {
  return action.subresource == "status" || action.subresource == "approval" ? Part::status : Part::main;
}

}  // namespace

Task<Result<Outcome>> Registry::update(Action action) {
  Decoded decoded = CO_TRY(decode_object(action));
  CO_TRY(check_identity(action, decoded.doc));
  if (strategy_of(*action.resource).create_on_update && action.subresource.empty() &&
      !store_.get(key_of(*action.resource, action.ns, action.name))) {
    co_return co_await create_document(std::move(action), std::move(decoded.doc), std::move(decoded.warnings));
  }
  Part part = part_of(action);
  // The first attempt takes the document; one that lost a race needs it as it was and reads the body again.
  auto first = std::make_shared<std::optional<json::Document>>(std::move(decoded.doc));
  auto shared = std::make_shared<const Action>(action);
  auto outcome = co_await modify(std::move(action), part, [first, shared](const json::Node&) -> Result<json::Document> {
    if (*first) return std::move(*std::exchange(*first, std::nullopt));
    return std::move(TRY(decode_object(*shared)).doc);
  });
  if (outcome) outcome->warnings.insert(outcome->warnings.begin(), decoded.warnings.begin(), decoded.warnings.end());
  co_return outcome;
}

namespace {

// JSON patches are written against what Kubernetes shows, where a spec or a status without anything in it is an empty object.
std::vector<std::string_view> show_empty_parts(json::Document& doc, const model::schema::Type& type) {
  std::vector<std::string_view> added;
  for (const model::schema::Field& field : type.fields) {
    const bool part = field.shape == model::schema::Shape::single && field.kind == model::schema::Kind::message && !field.pointer;
    if (!part || field.type->form != model::schema::Form::message || present(doc.root().find(field.name))) continue;
    doc.set(doc.root(), field.name, doc.make_object());
    added.push_back(field.name);
  }
  return added;
}

Result<json::Document> apply_patch(const Action& action, const json::Node& old, const json::Node& patch) {
  json::Document doc;
  doc.set_root(doc.copy(old));
  switch (action.body_type) {
    case BodyType::json_patch: {
      const std::vector<std::string_view> added = show_empty_parts(doc, *action.resource->type);
      TRY(model::apply_json_patch(doc, patch));
      for (std::string_view name : added)
        if (const json::Node* part = doc.root().find(name); part && part->empty()) doc.remove(doc.root(), name);
      break;
    }
    case BodyType::merge_patch: TRY(model::apply_merge_patch(doc, patch)); break;
    case BodyType::strategic_patch:
      if (model::custom_of(*action.resource))
        return unsupported_media_type("application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml");
      TRY(model::apply_strategic_merge_patch(doc, patch, *action.resource->type));
      break;
    default:
      return unsupported_media_type("application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json");
  }
  if (!doc.root().is_object()) return bad_request("the patch would leave something that is no object");
  return doc;
}

Result<json::Document> patched(const Action& action, const json::Node& old, const json::Node& patch, std::vector<std::string>& warnings) {
  auto doc = apply_patch(action, old, patch);
  if (!doc) {
    if (action.body_type != BodyType::json_patch || doc.error().code != Code::invalid) return doc;
    Error error = std::move(doc.error());
    return std::unexpected(std::move(error).context("the server rejected our request due to an error in our request"));
  }
  warnings.clear();
  TRY(check_document(action, *doc, warnings));
  if (doc->root().string_at("metadata", "name") != action.name) {
    FieldErrors errors;
    errors.invalid_string("metadata.name", doc->root().string_at("metadata", "name"), "field is immutable");
    return invalid(*action.resource, action.resource->kind, action.name, errors.take());
  }
  return doc;
}

}  // namespace

Task<Result<Outcome>> Registry::patch(Action action) {
  if (action.body_type == BodyType::apply_patch) co_return co_await apply(std::move(action));
  auto parsed = json::Document::parse(action.body);
  if (!parsed) co_return bad_request("error decoding patch: " + parsed.error().message);
  auto patch = std::make_shared<json::Document>(std::move(*parsed));
  auto warnings = std::make_shared<std::vector<std::string>>();
  auto shared = std::make_shared<const Action>(action);
  Part part = part_of(action);
  auto outcome = co_await modify(std::move(action), part, [patch, warnings, shared](const json::Node& old) {
    return patched(*shared, old, patch->root(), *warnings);
  });
  if (outcome) outcome->warnings.insert(outcome->warnings.begin(), warnings->begin(), warnings->end());
  co_return outcome;
}

namespace {

// The metadata of a built-in kind that a write of the status does not change; of older kinds it may change most.
std::span<const std::string_view> metadata_kept_by_status(std::string_view kind) {
  static constexpr std::string_view labels[] = {"labels"}, owners[] = {"ownerReferences"},
                                    all[] = {"labels", "annotations", "finalizers", "ownerReferences"};
  static constexpr std::string_view strict[] = {"APIService",
                                                "DeviceTaintRule",
                                                "FlowSchema",
                                                "PodCertificateRequest",
                                                "PodGroup",
                                                "PriorityLevelConfiguration",
                                                "ResourceClaim",
                                                "ResourcePoolStatusRequest",
                                                "ServiceCIDR",
                                                "StorageVersion",
                                                "StorageVersionMigration",
                                                "ValidatingAdmissionPolicy",
                                                "VolumeAttachment"};
  if (kind == "Deployment") return labels;
  if (kind == "Pod") return owners;
  return std::ranges::find(strict, kind) != std::end(strict) ? std::span<const std::string_view>(all) : std::span<const std::string_view>();
}

// What a write of the status keeps from the stored object: all but the status and, of the kinds that are built in, most
// metadata.
void keep_all_but_status(Draft& draft) {
  json::Document& doc = draft.doc;
  json::Node& fresh = doc.copy(*draft.old);
  set_copy(doc, fresh, "status", draft.object.find("status"));
  const Resource& resource = *draft.action.resource;
  if (is_built_in(resource)) {
    set_copy(doc, fresh, "metadata", draft.object.find("metadata"));
    for (std::string_view kept : metadata_kept_by_status(resource.kind))
      set_copy(doc, doc.ensure_object(fresh, "metadata"), kept, draft.old->at("metadata", kept));
  }
  doc.assign(draft.object, fresh);
}

bool removal_is_due(const json::Node& object, const json::Node& old) {
  if (old.string_at("metadata", "deletionTimestamp").empty()) return false;
  const json::Node* finalizers = object.at("metadata", "finalizers");
  if (present(finalizers) && !finalizers->empty()) return false;
  const json::Node* grace = old.at("metadata", "deletionGracePeriodSeconds");
  if (present(grace) && grace->as_int().value_or(0) > 0) return false;
  const json::Node* spec_finalizers = object.at("spec", "finalizers");
  return object.string_at("kind") != "Namespace" || !present(spec_finalizers) || spec_finalizers->empty();
}

}  // namespace

namespace {

// Whether a write that changes nothing must be done all the same: the object is stored in a version that is no longer the
// storage version, or its stored text does not fit the definition as it is now.
bool migrates(const store::Entry& entry, const Resource& resource) {
  if (!model::custom_of(resource)) return false;
  auto facts = kept(entry, strategy_of(resource));
  if (!facts) return false;
  const model::CustomDefinition& definition = *model::custom_of(resource)->definition;
  const auto stored = model::schema::split_api_version((*facts)->object->meta().api_version).second;
  if (stored != definition.storage().name) return true;
  if ((*facts)->conformed.load() == definition.id()) return false;
  auto shown = in_version((*facts)->object, definition.storage().resource);
  return shown && *shown != (*facts)->object;
}

// The uid and the resourceVersion that the new object claims, when it claims any.
Result<void> check_claims(const Action& action, const json::Node& object, const json::Node& old, store::Revision stored) {
  std::string uid(object.string_at("metadata", "uid")), old_uid(old.string_at("metadata", "uid"));
  if (!uid.empty() && uid != old_uid) {
    return conflict(*action.resource, action.name, "Precondition failed: UID in precondition: " + uid + ", UID in object meta: " + old_uid);
  }
  std::string_view revision = object.string_at("metadata", "resourceVersion");
  if (!revision.empty() && revision != "0" && revision != std::to_string(stored)) return conflict(*action.resource, action.name);
  return {};
}

// Binding and eviction are acts of the server, which owns nothing.
bool leaves_owners(const Action& action) { return action.subresource == "binding" || action.resource->plural == "bindings"; }

// Before admission: defaults and the owners of fields.
void apply_defaults(Draft& draft, const Strategy& strategy, Part part, Ownership& owners) {
  const bool given = sets_owners(draft.action);
  if (given) owners.adopt(draft.doc);
  if (part == Part::status) keep_all_but_status(draft);
  if (strategy.defaults) strategy.defaults(draft.doc, draft.object);
  if (leaves_owners(draft.action)) owners.leave(draft.doc);
  else if (!given) owners.track(*draft.old, draft.doc);
}

// After admission: what an update must keep, and validation.
Result<void> apply_rules(Draft& draft, const Strategy& strategy, Part part) {
  if (part == Part::main && strategy.prepare) strategy.prepare(draft);
  // Parts of a spec that have a door of their own count as changes of it; what a binding sets does not.
  const std::string_view door = draft.action.subresource;
  const bool of_spec = part == Part::main || door == "ephemeralcontainers" || door == "resize";
  keep_metadata(draft, strategy.generation && of_spec);
  return validate(draft, strategy, part == Part::main);
}

// The store's own conflicts, which mean that another write came between; those of preconditions have details.
bool lost_a_race(const Error& error) { return error.code == Code::conflict && !error.details; }

}  // namespace

Task<Result<Outcome>> Registry::write_changed(const Action& action, Draft& draft, store::Write write) {
  auto facts = CO_TRY(co_await to_store(action, draft.object));
  auto written = CO_TRY(co_await commit(action, std::move(write), std::move(facts)));
  if (model::custom_of(*action.resource)) written.object = CO_TRY(model::Object::make(draft.object));
  co_return Outcome{200, std::move(written), {}, std::move(draft.warnings)};
}

// The last finalizer is off: the object goes, and the answer is what the write made of it.
Task<Result<Outcome>> Registry::write_last(const Action& action, Draft& draft, store::EntryPtr entry) {
  Outcome outcome = CO_TRY(co_await remove_entry(action, std::move(entry)));
  outcome.object.object = CO_TRY(model::Object::make(draft.object));
  outcome.warnings = std::move(draft.warnings);
  co_return outcome;
}

Task<Result<Outcome>> Registry::modify_once(const Action& action, Part part, const store::EntryPtr& entry, Mutation& mutate) {
  json::Document old = CO_TRY(co_await read_document(action, *entry));
  json::Document doc = CO_TRY(mutate(old.root()));
  CO_TRY(check_identity(action, doc));
  CO_TRY(check_claims(action, doc.root(), old.root(), entry->mod_revision));
  std::vector<std::string> warnings;
  FieldErrors errors;
  Ownership owners(action, &old, cluster_.now());
  Draft draft{doc, doc.root(), &old.root(), action, cluster_, errors, warnings};
  const Strategy& strategy = strategy_of(*action.resource);
  apply_defaults(draft, strategy, part, owners);
  admission::Attributes attributes = admission::Attributes::of(draft);
  CO_TRY(co_await admission::mutate(attributes));
  if (attributes.changed && part == Part::status) keep_all_but_status(draft);
  CO_TRY(apply_rules(draft, strategy, part));
  store::Write write{.key = entry->key, .expect = entry->mod_revision};
  if (strategy.allocate && part == Part::main) CO_TRY(strategy.allocate(draft, write.with));
  CO_TRY(co_await admission::validate(attributes));
  doc.remove(doc.ensure_object(doc.root(), "metadata"), "resourceVersion");
  old.remove(old.ensure_object(old.root(), "metadata"), "resourceVersion");
  if (removal_is_due(doc.root(), old.root())) {
    owners.write(doc);
    co_return co_await write_last(action, draft, entry);
  }
  if (owners.unchanged() && json::equal(doc.root(), old.root()) && !migrates(*entry, *action.resource)) {
    model::ObjectRef same = CO_TRY(object_of(*entry, *action.resource));
    CO_TRY(co_await present(action, same));
    co_return Outcome{200, std::move(same), {}, std::move(warnings)};
  }
  owners.write(doc);
  co_return co_await write_changed(action, draft, std::move(write));
}

Task<Result<Outcome>> Registry::modify(Action action, Part part, Mutation mutate) {
  std::string key = key_of(*action.resource, action.ns, action.name);
  for (int attempt = 1;; attempt++) {
    auto entry = store_.get(key);
    Result<Outcome> outcome = entry ? co_await modify_once(action, part, *entry, mutate) : std::unexpected(std::move(entry.error()));
    if (outcome) co_return outcome;
    if (outcome.error().code == Code::not_found && !outcome.error().details) co_return not_found(*action.resource, action.name);
    if (!lost_a_race(outcome.error())) co_return outcome;
    if (attempt == max_attempts) co_return conflict(*action.resource, action.name);
  }
}

}  // namespace estiba::apiserver
