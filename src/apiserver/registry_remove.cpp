// Registry: delete and deletecollection.
#include "apiserver/admission/admission.h"
#include "apiserver/api_errors.h"
#include "apiserver/convert.h"
#include "apiserver/custom/converted_selection.h"
#include "apiserver/edit.h"
#include "apiserver/registry.h"
#include "base/lanes.h"
#include "base/strings.h"
#include "base/time.h"

namespace estiba::apiserver {
namespace {

constexpr int max_attempts = 64;
constexpr std::string_view orphan_finalizer = "orphan";
constexpr std::string_view foreground_finalizer = "foregroundDeletion";

Result<void> check_preconditions(const Action& action, const model::Meta& meta, store::Revision revision) {
  const DeleteOptions& options = action.remove;
  if (!options.uid.empty() && options.uid != meta.uid) {
    return conflict(*action.resource, action.name,
                    "Precondition failed: UID in precondition: " + options.uid + ", UID in object meta: " + meta.uid);
  }
  if (!options.resource_version.empty() && options.resource_version != std::to_string(revision)) {
    return conflict(*action.resource, action.name,
                    "Precondition failed: ResourceVersion in precondition: " + options.resource_version +
                        ", ResourceVersion in object meta: " + std::to_string(revision));
  }
  return {};
}

Result<void> check_options(const DeleteOptions& options) {
  if (!options.propagation.empty() && options.orphan_dependents) {
    return bad_request("DeleteOptions.meta.k8s.io \"\" is invalid: orphanDependents and deletionPropagation cannot be both set");
  }
  if (!options.propagation.empty() && options.propagation != "Orphan" && options.propagation != "Background" &&
      options.propagation != "Foreground") {
    return bad_request("DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: " + quoted(options.propagation) +
                       ": supported values: \"Background\", \"Foreground\", \"Orphan\"");
  }
  return {};
}

// How long a pod may take to end: what was asked, else what its spec says; nothing for one that runs nowhere.
int64_t pod_grace(const DeleteOptions& options, const json::Node& pod) {
  std::string_view phase = pod.string_at("status", "phase");
  if (pod.string_at("spec", "nodeName").empty() || phase == "Succeeded" || phase == "Failed") return 0;
  if (options.grace_seconds) return std::max<int64_t>(*options.grace_seconds, 0);
  const json::Node* own = pod.at("spec", "terminationGracePeriodSeconds");
  return own ? std::max<int64_t>(own->as_int().value_or(30), 0) : 30;
}

bool has_string(const json::Node& list, std::string_view text) {
  return std::any_of(list.begin(), list.end(), [text](const json::Node& node) { return node.as_string() == text; });
}

// The garbage collector's finalizers, by the propagation policy.
void set_propagation(json::Document& doc, json::Node& metadata, const DeleteOptions& options) {
  std::string_view policy = options.propagation;
  if (policy.empty() && options.orphan_dependents) policy = *options.orphan_dependents ? "Orphan" : "Background";
  if (policy.empty()) return;
  json::Node& kept = doc.make_array();
  if (const json::Node* old = metadata.find("finalizers"); present(old)) {
    for (const json::Node& finalizer : *old) {
      if (finalizer.as_string() != orphan_finalizer && finalizer.as_string() != foreground_finalizer) doc.append(kept, doc.copy(finalizer));
    }
  }
  std::string_view wanted = policy == "Orphan" ? orphan_finalizer : policy == "Foreground" ? foreground_finalizer : std::string_view{};
  if (!wanted.empty() && !has_string(kept, wanted)) doc.append(kept, doc.make_string(wanted));
  if (kept.empty()) doc.remove(metadata, "finalizers");
  else doc.set(metadata, "finalizers", kept);
}

bool waits(const json::Node& object) {
  const json::Node* finalizers = object.at("metadata", "finalizers");
  if (present(finalizers) && !finalizers->empty()) return true;
  const json::Node* spec_finalizers = object.at("spec", "finalizers");
  return object.string_at("kind") == "Namespace" && present(spec_finalizers) && !spec_finalizers->empty();
}

// Marks the object as being deleted; false when nothing about it would change.
bool mark_deleted(json::Document& doc, json::Node& object, int64_t grace, WallTime now) {
  json::Node& metadata = doc.ensure_object(object, "metadata");
  bool marked = !metadata.string_at("deletionTimestamp").empty();
  if (marked) {
    const json::Node* before = metadata.find("deletionGracePeriodSeconds");
    // A second deletion can only shorten the time.
    if (!before || before->as_int().value_or(0) <= grace) return false;
  }
  doc.set(metadata, "deletionTimestamp", format_rfc3339(now + std::chrono::seconds(grace)));
  set_int(doc, metadata, "deletionGracePeriodSeconds", grace);
  if (const json::Node* generation = metadata.find("generation"); !marked && generation) {
    set_int(doc, metadata, "generation", generation->as_int().value_or(0) + 1);
  }
  if (object.string_at("kind") == "Namespace") doc.set(doc.ensure_object(object, "status"), "phase", "Terminating");
  return true;
}

bool answers_with_object(const Resource& resource) {
  return resource.group.empty() &&
         (resource.kind == "Pod" || resource.kind == "PersistentVolume" || resource.kind == "PersistentVolumeClaim" ||
          resource.kind == "ServiceAccount" || resource.kind == "PodTemplate" || resource.kind == "ResourceQuota");
}

Task<Result<void>> admit_removal(const Action& action, Cluster& cluster, const json::Node& old, std::vector<std::string>& warnings) {
  admission::Attributes attributes{.operation = admission::Operation::remove,
                                   .action = action,
                                   .cluster = cluster,
                                   .old = &old,
                                   .dry_run = action.remove.dry_run,
                                   .warnings = warnings};
  CO_TRY(co_await admission::mutate(attributes));
  co_return co_await admission::validate(attributes);
}

// One of a collection, unless another could not be removed.
Task<void> remove_listed(Registry* registry, const Action* collection, const model::Meta* listed, uint8_t* gone, Result<void>* failed) {
  if (!*failed) co_return;
  Action one = *collection;
  one.verb = Verb::remove;
  one.name = listed->name;
  one.ns = listed->ns;
  auto outcome = co_await registry->remove(std::move(one));
  *gone = outcome.has_value();
  if (!outcome && outcome.error().code != Code::not_found && *failed) *failed = std::unexpected(std::move(outcome.error()));
}

}  // namespace

Task<Result<Outcome>> Registry::remove_entry(const Action& action, store::EntryPtr entry) {
  const Strategy& strategy = strategy_of(*action.resource);
  auto facts = CO_TRY(kept(*entry, strategy));
  model::ObjectRef object = CO_TRY(object_of(*entry, *action.resource));
  if (!action.write.dry_run && !action.remove.dry_run) {
    store::Write removal{.kind = store::Write::Kind::remove, .key = entry->key, .expect = entry->mod_revision};
    if (strategy.release) {
      json::Document last = CO_TRY(json::Document::parse(entry->value));
      CO_TRY(strategy.release(cluster_, last.root(), removal.with));
    }
    auto gone = co_await store_.commit(std::move(removal));
    if (!gone) {
      if (gone.error().code == Code::not_found) co_return not_found(*action.resource, action.name);
      co_return std::unexpected(std::move(gone.error()));
    }
    object.revision = gone->revision;
  }
  co_return Outcome{200, std::move(object), {}, {}};
}

Task<Result<Outcome>> Registry::remove_now(const Action& action, store::EntryPtr entry) {
  Outcome outcome = CO_TRY(co_await remove_entry(action, std::move(entry)));
  if (!answers_with_object(*action.resource)) {
    outcome.json = success_json(*action.resource, action.name, outcome.object.meta().uid);
    outcome.object = {};
  }
  co_return outcome;
}

Task<Result<Outcome>> Registry::remove(Action action) {
  CO_TRY(check_options(action.remove));
  const Strategy& strategy = strategy_of(*action.resource);
  std::string key = key_of(*action.resource, action.ns, action.name);
  bool dry = action.remove.dry_run;
  for (int attempt = 1;; attempt++) {
    auto entry = store_.get(key);
    if (!entry) {
      if (entry.error().code == Code::not_found) co_return not_found(*action.resource, action.name);
      co_return std::unexpected(std::move(entry.error()));
    }
    auto facts = CO_TRY(kept(**entry, strategy));
    CO_TRY(check_preconditions(action, facts->object->meta(), (*entry)->mod_revision));
    json::Document doc = CO_TRY(json::Document::parse((*entry)->value));
    std::vector<std::string> warnings;
    // Webhooks and policies see it as clients do: in the action's version, with its resourceVersion. What cannot be converted
    // must still be able to go.
    Result<json::Document> shown = fail(Code::cancelled, "nobody looks");
    if (admission::has_extensions(cluster_)) shown = co_await read_document(action, **entry);
    CO_TRY(co_await admit_removal(action, cluster_, shown ? shown->root() : doc.root(), warnings));
    set_propagation(doc, doc.ensure_object(doc.root(), "metadata"), action.remove);
    if (strategy.ending && doc.root().string_at("metadata", "deletionTimestamp").empty()) strategy.ending(cluster_, doc, doc.root());
    int64_t grace = action.resource->kind == "Pod" && action.resource->group.empty() ? pod_grace(action.remove, doc.root()) : 0;
    Result<Outcome> outcome;
    if (grace == 0 && !waits(doc.root())) {
      outcome = co_await remove_now(action, *entry);
    } else {
      bool changed = mark_deleted(doc, doc.root(), grace, cluster_.now());
      auto fresh = CO_TRY(make_kept(doc.root(), strategy));
      if (!changed && fresh->object->json() == (*entry)->value)
        co_return Outcome{200, CO_TRY(object_of(**entry, *action.resource)), {}, std::move(warnings)};
      if (dry) co_return Outcome{200, {fresh->object, (*entry)->mod_revision}, {}, std::move(warnings)};
      auto written = co_await commit(action, {.key = key, .expect = (*entry)->mod_revision}, fresh);
      if (written) outcome = Outcome{200, {CO_TRY(in_version(written->object, *action.resource)), written->revision}, {}, {}};
      else outcome = std::unexpected(std::move(written.error()));
    }
    if (outcome) outcome->warnings = std::move(warnings);
    if (outcome || outcome.error().code != Code::conflict) co_return outcome;
    if (attempt == max_attempts) co_return conflict(*action.resource, action.name);
  }
}

Task<Result<Page>> Registry::remove_collection(Action action) {
  CO_TRY(check_options(action.remove));
  // What a webhook cannot convert can still be deleted, unless its fields have to be looked at.
  const bool converted = CO_TRY(ConvertedSelection::make(action)).has_value();
  Page page = CO_TRY(converted ? co_await list_custom(*this, action) : list(action));
  std::vector<uint8_t> gone(page.items.size());
  Result<void> failed;
  co_await in_lanes(page.items.size(), write_lanes,
                    [&](size_t i) { return remove_listed(this, &action, &page.items[i].meta(), &gone[i], &failed); });
  CO_TRY(std::move(failed));
  Page removed;
  removed.revision = page.revision;
  for (size_t i = 0; i < page.items.size(); i++)
    if (gone[i]) removed.items.push_back(std::move(page.items[i]));
  co_return removed;
}

}  // namespace estiba::apiserver
