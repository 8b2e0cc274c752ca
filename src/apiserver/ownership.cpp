#include "apiserver/ownership.h"

#include <algorithm>

#include "apiserver/api_errors.h"
#include "apiserver/convert.h"
#include "apiserver/edit.h"
#include "base/strings.h"
#include "base/time.h"
#include "model/object.h"
#include "model/typed.h"

namespace estiba::apiserver {
namespace {

using model::FieldPath;
using model::FieldPool;
using model::FieldSet;
using model::FieldStep;

class Versions final : public model::VersionConverter {
 public:
  explicit Versions(const Resource& resource) : resource_(resource) {}

  const model::schema::Type* convert(json::Document& document, json::Node& object, std::string_view api_version) const override {
    const auto [group, version] = model::schema::split_api_version(api_version);
    const bool same = group == resource_.group && version == resource_.version;
    // Events are the same objects in two groups.
    const bool other_group = group != resource_.group && resource_.kind != "Event";
    const Resource* to = same ? &resource_ : other_group ? nullptr : model::schema::find_resource_of_kind(group, version, resource_.kind);
    if (!to) return nullptr;
    apiserver::convert(document, object, *to);
    return to->type;
  }

 private:
  const Resource& resource_;
};

struct Resets {
  FieldPool pool;
  FieldSet status = set({{"status"}});
  FieldSet spec = set({{"spec"}});
  FieldSet deployment_status = set({{"spec"}, {"metadata", "labels"}});
  FieldSet pod_status = set({{"spec"}, {"metadata", "deletionTimestamp"}, {"metadata", "ownerReferences"}});
  FieldSet request = set({{"spec"}, {"status"}});
  FieldSet request_status = set({{"spec"}, {"status", "conditions"}});
  FieldSet request_approval = set({{"spec"}, {"status", "certificate"}});
  FieldSet custom_status = set({{"spec"}, {"metadata"}});
  FieldSet ephemeral = all_but({"ephemeralContainers"});
  FieldSet resize = all_but({"containers", "initContainers", "resources"});

 private:
  // Status, metadata and all of a pod's spec but these fields.
  FieldSet all_but(std::initializer_list<std::string_view> parts) {
    FieldSet out = set({{"status"}, {"metadata"}});
    for (const model::schema::Field& field : model::schema::find_type("io.k8s.api.core.v1.PodSpec")->fields)
      if (std::ranges::find(parts, field.name) == parts.end()) out = unite(pool, out, set({{"spec", field.name}}));
    return out;
  }

  FieldSet set(std::initializer_list<std::initializer_list<std::string_view>> paths) {
    FieldSet out = nullptr;
    for (const auto& names : paths) {
      FieldPath path;
      for (std::string_view name : names) path.push_back({FieldStep::Kind::field, name});
      out = unite(pool, out, single(pool, path));
    }
    return out;
  }
};

// Takes managedFields out of an object; the node lives on in the document.
const json::Node* take_list(json::Document& doc) {
  json::Node* metadata = doc.root().find("metadata");
  if (!metadata || !metadata->is_object()) return nullptr;
  const json::Node* list = metadata->find("managedFields");
  if (list) doc.remove(*metadata, "managedFields");
  return list;
}

FieldSet all_of(FieldPool& pool, const std::vector<model::FieldConflict>& conflicts) {
  FieldSet out = nullptr;
  for (const model::FieldConflict& conflict : conflicts) out = unite(pool, out, conflict.fields);
  return out;
}

}  // namespace

FieldSet reset_fields(const Resource& resource, std::string_view subresource) {
  static const Resets resets;
  const bool request = resource.kind == "CertificateSigningRequest";
  if (subresource == "approval") return resets.request_approval;
  if (subresource == "ephemeralcontainers") return resets.ephemeral;
  if (subresource == "resize") return resets.resize;
  if (subresource != "status") {
    if (request) return resets.request;
    return resource.find_subresource("status") ? resets.status : nullptr;
  }
  if (request) return resets.request_status;
  if (resource.kind == "Deployment") return resets.deployment_status;
  if (resource.kind == "Pod") return resets.pod_status;
  return is_built_in(resource) ? resets.spec : resets.custom_status;
}

bool is_built_in(const Resource& resource) {
  const auto all = model::schema::resources();
  return &resource >= all.data() && &resource < all.data() + all.size();
}

bool sets_owners(const Action& action) { return action.body_type == BodyType::apply_patch; }

std::string manager_of(const Action& action) {
  if (!action.write.field_manager.empty()) return action.write.field_manager;
  std::string out;
  for (char c : split_once(action.write.user_agent, '/').first)
    if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f && out.size() < 128) out += c;
  return out.empty() ? "unknown" : out;
}

Ownership::Ownership(const Action& action, json::Document* old, WallTime now)
    : action_(action),
      api_version_(model::schema::join_api_version(action.resource->group, action.resource->version)),
      manager_(manager_of(action)),
      time_(format_rfc3339(now)) {
  if (!old) return;
  stored_list_ = take_list(*old);
  read(stored_, stored_list_);
  owners_ = stored_;
}

// False, and no owners, when the list cannot be read.
bool Ownership::read(model::ManagedFields& out, const json::Node* list) {
  auto entries = model::read_managed_fields(pool_, list);
  out = entries ? std::move(*entries) : model::ManagedFields{};
  return bool(entries);
}

model::FieldWrite Ownership::how() const {
  return {*action_.resource->type,
          api_version_,
          action_.subresource,
          manager_,
          time_,
          reset_fields(*action_.resource, action_.subresource),
          nullptr};
}

void Ownership::track(const json::Node& old, json::Document& doc) {
  const json::Node* given = take_list(doc);
  // Clients may write managedFields of the main resource; who does not know them or spoils them keeps those stored.
  if (action_.subresource.empty() && present(given)) {
    model::ManagedFields asked;
    if (model::asks_for_reset(given)) owners_.clear();
    else if (read(asked, given) && !asked.empty()) owners_ = std::move(asked);
  }
  const Versions versions(*action_.resource);
  model::FieldWrite write = how();
  write.versions = &versions;
  model::update_owners(pool_, owners_, old, doc.root(), write);
}

void Ownership::adopt(json::Document& doc) { read(owners_, take_list(doc)); }

void Ownership::leave(json::Document& doc) { take_list(doc); }

void Ownership::write(json::Document& doc) const { model::write_managed_fields(doc, doc.ensure_object(doc.root(), "metadata"), owners_); }

std::unexpected<Error> Ownership::conflict_error(const std::vector<model::FieldConflict>& conflicts) const {
  std::vector<std::pair<std::string, std::string>> found;  // owner, path
  for (const model::FieldConflict& conflict : conflicts)
    for_each(conflict.fields, [&](const FieldPath& path) { found.emplace_back(to_string(conflict.owner), to_string(path)); });
  std::ranges::stable_sort(found, {}, &std::pair<std::string, std::string>::first);
  std::string message = "Apply failed with " + std::to_string(found.size()) + (found.size() == 1 ? " conflict: " : " conflicts: ");
  auto error = fail(Code::conflict, "");
  auto details = std::make_shared<ErrorDetails>();
  std::string_view last;
  for (size_t i = 0; i < found.size(); i++) {
    const auto& [owner, path] = found[i];
    details->causes.push_back({"FieldManagerConflict", "conflict with " + owner, path});
    if (found.size() == 1) {
      message += "conflict with " + owner + ": " + path;
      continue;
    }
    if (owner != last) message += (i ? "\nconflicts with " : "conflicts with ") + owner + ":";
    last = owner;
    message += "\n- " + path;
  }
  error.error().message = std::move(message);
  error.error().details = std::move(details);
  return error;
}

// What kubectl's client-side apply has set, and what still stands so, may be taken over without force by its server-side
// apply: it is the same user's.
Result<model::Applied> Ownership::apply_or_take_over(const json::Node& live, const json::Node& configuration) {
  const Versions versions(*action_.resource);
  model::FieldWrite write = how();
  write.versions = &versions;
  model::Applied applied = model::apply_configuration(pool_, owners_, live, configuration, write, action_.write.force.value_or(false));
  if (applied.conflicts.empty() || action_.write.field_manager != "kubectl") return applied;
  const json::Node* annotation = live.at("metadata", "annotations", model::last_applied_annotation);
  auto last = annotation ? json::Document::parse(annotation->as_string(), {.allow_duplicate_keys = true})
                         : Result<json::Document>(fail(Code::not_found, ""));
  if (!last || last->root().string_at("apiVersion") != api_version_) return applied;
  last_applied_ = std::move(*last);
  const model::schema::Type& type = *action_.resource->type;
  if (!model::check_typed(last_applied_.root(), type).empty()) return applied;
  FieldSet allowed = model::fields_of(pool_, last_applied_.root(), type);
  const model::FieldChanges since = model::compare_typed(pool_, last_applied_.root(), live, type);
  for (FieldSet changed : {since.modified, since.added, since.removed}) allowed = subtract(pool_, allowed, changed);
  if (!subtract(pool_, all_of(pool_, applied.conflicts), allowed))
    return model::apply_configuration(pool_, owners_, live, configuration, write, true);
  for (model::FieldConflict& conflict : applied.conflicts) conflict.fields = subtract(pool_, conflict.fields, allowed);
  return applied;
}

Result<json::Document> Ownership::apply(const json::Node& live, const json::Node& configuration) {
  model::Applied applied = TRY(apply_or_take_over(live, configuration));
  if (!applied.conflicts.empty()) return conflict_error(applied.conflicts);
  return std::move(applied.object);
}

}  // namespace estiba::apiserver
