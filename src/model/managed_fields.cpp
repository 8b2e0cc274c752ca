#include "model/managed_fields.h"

#include <algorithm>

#include "base/strings.h"
#include "model/typed.h"

namespace estiba::model {

using json::Document;
using json::Node;

namespace {

// So many entries of updates are kept; older ones are merged into one of this name for each version.
constexpr size_t max_update_managers = 10;
constexpr std::string_view ancient_changes = "ancient-changes";

std::unexpected<Error> bad(std::string what) { return fail(Code::malformed, std::move(what)); }

Result<ManagedEntry> read_entry(FieldPool& pool, const Node& node, size_t index) {
  const std::string place = " in managed fields entry " + std::to_string(index);
  ManagedEntry entry;
  entry.source = &node;
  entry.manager = node.string_at("manager");
  entry.api_version = node.string_at("apiVersion");
  entry.subresource = node.string_at("subresource");
  entry.time = node.string_at("time");
  const std::string_view operation = node.string_at("operation"), type = node.string_at("fieldsType");
  entry.applied = operation == "Apply";
  if (!entry.applied && operation != "Update") return bad("operation must be `Apply` or `Update`");
  if (entry.api_version.empty()) return bad("apiVersion must not be empty");
  if (type.empty()) return bad("missing fieldsType" + place);
  if (type != "FieldsV1") return bad("invalid fieldsType " + quoted(type) + place);
  if (const Node* fields = node.find("fieldsV1"); fields && !fields->is_null()) {
    auto set = read_fields(pool, *fields);
    if (!set) return std::unexpected(std::move(set.error()).context("managed fields entry " + std::to_string(index)));
    entry.fields = *set;
  }
  return entry;
}

bool before(const ManagedEntry& a, const ManagedEntry& b) {
  if (a.applied != b.applied) return a.applied;
  if (a.time != b.time) return a.time < b.time;
  if (a.manager != b.manager) return a.manager < b.manager;
  if (a.api_version != b.api_version) return a.api_version < b.api_version;
  return a.subresource < b.subresource;
}

Node& write_entry(Document& document, const ManagedEntry& entry) {
  if (entry.source) return document.copy(*entry.source);
  Node& out = document.make_object();
  if (!entry.manager.empty()) document.add(out, "manager", document.make_string(entry.manager));
  document.add(out, "operation", document.make_string(entry.applied ? "Apply" : "Update"));
  document.add(out, "apiVersion", document.make_string(entry.api_version));
  if (!entry.time.empty()) document.add(out, "time", document.make_string(entry.time));
  document.add(out, "fieldsType", document.make_string("FieldsV1"));
  Node& fields = document.make_object();
  write_fields(document, fields, entry.fields);
  document.add(out, "fieldsV1", fields);
  if (!entry.subresource.empty()) document.add(out, "subresource", document.make_string(entry.subresource));
  return out;
}

}  // namespace

bool ManagedEntry::same_owner(const ManagedEntry& other) const {
  return applied == other.applied && manager == other.manager && subresource == other.subresource &&
         (applied || api_version == other.api_version);
}

Result<ManagedFields> read_managed_fields(FieldPool& pool, const Node* list) {
  ManagedFields out;
  if (!list || list->is_null()) return out;
  if (!list->is_array()) return bad("managedFields: expected an array, got " + std::string(json::to_string(list->type())));
  size_t index = 0;
  for (const Node& node : *list) {
    ManagedEntry entry = TRY(read_entry(pool, node, index++));
    std::erase_if(out, [&](const ManagedEntry& other) { return other.same_owner(entry); });
    out.push_back(entry);
  }
  return out;
}

void write_managed_fields(Document& document, Node& metadata, ManagedFields entries) {
  std::ranges::stable_sort(entries, before);
  Node& list = document.make_array();
  for (const ManagedEntry& entry : entries) document.append(list, write_entry(document, entry));
  document.remove(metadata, "managedFields");
  if (!entries.empty()) document.add(metadata, "managedFields", list);
}

bool same_but_times(const ManagedFields& a, const ManagedFields& b) {
  return a.size() == b.size() && std::ranges::all_of(a, [&](const ManagedEntry& entry) {
           const auto same = std::ranges::find_if(b, [&](const ManagedEntry& other) { return other.same_owner(entry); });
           return same != b.end() && same->api_version == entry.api_version &&
                  (same->fields == entry.fields || equal(same->fields, entry.fields));
         });
}

bool asks_for_reset(const Node* list) {
  if (!list || !list->is_array()) return false;
  return list->empty() || (list->size() == 1 && (*list)[0].is_object() && (*list)[0].empty());
}

std::string to_string(const ManagedEntry& owner) {
  std::string out = quoted(owner.manager);
  if (!owner.subresource.empty()) out += " with subresource " + quoted(owner.subresource);
  if (!owner.applied) out.append(" using ").append(owner.api_version);
  return out;
}

// ---- what a write changes

namespace {

// What Kubernetes tracks no owners of.
FieldSet untracked() {
  static FieldPool pool;
  static const FieldSet set = [] {
    FieldSet out = nullptr;
    const auto add = [&](std::initializer_list<std::string_view> names) {
      FieldPath path;
      for (std::string_view name : names) path.push_back({FieldStep::Kind::field, name});
      out = unite(pool, out, single(pool, path));
    };
    for (std::string_view name : {"apiVersion", "kind", "metadata"}) add({name});
    for (std::string_view name :
         {"name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields", "resourceVersion"})
      add({"metadata", name});
    return out;
  }();
  return set;
}

ManagedEntry* find_owner(ManagedFields& owners, const ManagedEntry& like) {
  const auto it = std::ranges::find_if(owners, [&](const ManagedEntry& entry) { return entry.same_owner(like); });
  return it != owners.end() ? &*it : nullptr;
}

void change(ManagedEntry& entry, FieldSet fields) {
  if (fields == entry.fields || equal(fields, entry.fields)) return;
  entry.fields = fields;
  entry.source = nullptr;
}

// The changes of one write as each version shows them.
class Changes {
 public:
  Changes(FieldPool& pool, const Node& before, const Node& now, const FieldWrite& write)
      : pool_(pool), before_(before), now_(now), write_(write) {
    made_.push_back({write.api_version, true, filtered(compare_typed(pool, before, now, write.type))});
  }

  const FieldChanges& own() const { return made_[0].changes; }
  /// Null when the version is not served any more.
  const FieldChanges* in(std::string_view api_version) {
    for (const Version& version : made_)
      if (version.name == api_version) return version.served ? &version.changes : nullptr;
    Version version{api_version, false, {}};
    documents_.emplace_back();
    documents_.emplace_back();
    Document &before = *(documents_.end() - 2), &now = documents_.back();
    before.set_root(before.copy(before_));
    now.set_root(now.copy(now_));
    const schema::Type* type = write_.versions ? write_.versions->convert(before, before.root(), api_version) : nullptr;
    if (type && write_.versions->convert(now, now.root(), api_version)) {
      version.served = true;
      version.changes = filtered(compare_typed(pool_, before.root(), now.root(), *type));
    }
    made_.push_back(version);
    return version.served ? &made_.back().changes : nullptr;
  }

 private:
  struct Version {
    std::string_view name;
    bool served;
    FieldChanges changes;
  };

  FieldChanges filtered(FieldChanges changes) const {
    if (!write_.ignored) return changes;
    return {subtract_below(pool_, changes.added, write_.ignored), subtract_below(pool_, changes.modified, write_.ignored),
            subtract_below(pool_, changes.removed, write_.ignored)};
  }

  FieldPool& pool_;
  const Node &before_, &now_;
  const FieldWrite& write_;
  std::vector<Version> made_;
  std::vector<Document> documents_;
};

// What others own of what changed.
std::vector<FieldConflict> conflicts_of(FieldPool& pool, ManagedFields& owners, Changes& changes, const ManagedEntry* except) {
  std::vector<FieldConflict> out;
  for (const ManagedEntry& entry : owners) {
    if (except && entry.same_owner(*except)) continue;
    const FieldChanges* seen = changes.in(entry.api_version);
    if (!seen) continue;
    const FieldSet set = intersect(pool, entry.fields, unite(pool, seen->modified, seen->added));
    if (set) out.push_back({entry, set});
  }
  return out;
}

// Takes from the others what changed and what is gone. Entries of versions that are not served any more go.
void take_from_others(FieldPool& pool, ManagedFields& owners, Changes& changes, const ManagedEntry* except) {
  for (ManagedEntry& entry : owners) {
    if (except && entry.same_owner(*except)) continue;
    const FieldChanges* seen = changes.in(entry.api_version);
    FieldSet left = nullptr;
    if (seen) {
      left = subtract(pool, entry.fields, seen->modified);
      left = subtract(pool, left, seen->added);
      left = subtract(pool, left, seen->removed);
    }
    change(entry, left);
  }
  std::erase_if(owners, [](const ManagedEntry& entry) { return !entry.fields; });
}

// As the tables are now, which may have made a field atomic since.
void follow_schema(FieldPool& pool, ManagedFields& owners, const FieldWrite& write) {
  for (ManagedEntry& entry : owners)
    if (entry.api_version == write.api_version) change(entry, with_atomic_fields(pool, entry.fields, write.type));
}

void add_update(FieldPool& pool, ManagedFields& owners, Changes& changes, const FieldWrite& write) {
  take_from_others(pool, owners, changes, nullptr);
  FieldSet mine = unite(pool, changes.own().modified, changes.own().added);
  mine = subtract(pool, mine, untracked());
  if (!mine) return;
  ManagedEntry entry{write.manager, write.api_version, write.subresource, false, write.time, mine, nullptr};
  if (ManagedEntry* there = find_owner(owners, entry)) {
    there->fields = unite(pool, there->fields, mine);
    there->time = write.time;
    there->source = nullptr;
  } else {
    owners.push_back(entry);
  }
}

void merge_oldest(FieldPool& pool, ManagedFields& owners) {
  size_t count = size_t(std::ranges::count(owners, false, &ManagedEntry::applied));
  if (count <= max_update_managers) return;
  std::ranges::stable_sort(owners, before);
  // The oldest entry of a version waits until a second one comes; both then become its bucket.
  std::vector<size_t> first;
  for (size_t i = 0; i < owners.size() && count > max_update_managers; ++i) {
    ManagedEntry& entry = owners[i];
    if (entry.applied) continue;
    const auto same = std::ranges::find(first, entry.api_version, [&](size_t at) { return owners[at].api_version; });
    if (same == first.end()) {
      first.push_back(i);
      continue;
    }
    ManagedEntry& bucket = owners[*same];
    bucket = {ancient_changes, bucket.api_version, {}, false, entry.time, unite(pool, bucket.fields, entry.fields), nullptr};
    entry.fields = nullptr;
    --count;
  }
  std::erase_if(owners, [](const ManagedEntry& entry) { return !entry.fields; });
}

}  // namespace

void update_owners(FieldPool& pool, ManagedFields& owners, const Node& before, const Node& now, const FieldWrite& write) {
  if (owners.empty() && !before.string_at("metadata", "uid").empty()) return;
  follow_schema(pool, owners, write);
  Changes changes(pool, before, now, write);
  add_update(pool, owners, changes, write);
  merge_oldest(pool, owners);
}

// ---- apply

namespace {

Document copy_of(const Node& node) {
  Document out;
  out.set_root(out.copy(node));
  return out;
}

// Takes out of the merged object what the applier owned, no longer applies and nobody else owns.
class Pruner {
 public:
  Pruner(FieldPool& pool, const ManagedFields& owners, const FieldWrite& write) : pool_(pool), owners_(owners), write_(write) {}

  /// `last`: what the applier owned before.
  void prune(Document& merged, const ManagedEntry& last) {
    if (nothing_to_do(last)) return;
    Document start = copy_of(merged.root());
    const schema::Type* type = to_version(start, last.api_version);
    if (!type) return;
    const FieldSet owned = with_named_fields(pool_, last.fields, *type);
    Document pruned = copy_of(start.root());
    remove_fields(pool_, pruned, pruned.root(), owned, *type);
    add_back(start, pruned, last.api_version, last.api_version);
    for (const ManagedEntry& entry : owners_)
      if (entry.api_version != last.api_version && first_of_version(entry)) add_back(start, pruned, entry.api_version, last.api_version);
    FieldSet gone = subtract(pool_, named_fields_of(start, *type), named_fields_of(pruned, *type));
    gone = intersect(pool_, gone, owned);
    if (!gone) return;
    remove_fields(pool_, start, start.root(), gone, *type);
    if (to_version(start, write_.api_version)) merged = std::move(start);
  }

 private:
  bool first_of_version(const ManagedEntry& entry) const {
    return &*std::ranges::find(owners_, entry.api_version, &ManagedEntry::api_version) == &entry;
  }

  // When all is of one version and everything that the applier owned is owned still, nothing can go.
  bool nothing_to_do(const ManagedEntry& last) {
    if (last.api_version != write_.api_version) return false;
    FieldSet owned = nullptr;
    for (const ManagedEntry& entry : owners_) {
      if (entry.api_version != write_.api_version) return false;
      owned = unite(pool_, owned, entry.fields);
    }
    owned = with_named_fields(pool_, owned, write_.type);
    return !subtract(pool_, with_named_fields(pool_, last.fields, write_.type), owned);
  }

  const schema::Type* to_version(Document& document, std::string_view version) const {
    if (document.root().string_at("apiVersion") == version && version == write_.api_version) return &write_.type;
    return write_.versions ? write_.versions->convert(document, document.root(), version) : nullptr;
  }

  FieldSet named_fields_of(const Document& document, const schema::Type& type) {
    return with_named_fields(pool_, fields_of(pool_, document.root(), type), type);
  }

  // What others own as that version shows it comes back.
  void add_back(const Document& merged, Document& pruned, std::string_view version, std::string_view home) {
    FieldSet owned = nullptr;
    for (const ManagedEntry& entry : owners_)
      if (entry.api_version == version) owned = unite(pool_, owned, entry.fields);
    Document all = copy_of(merged.root()), some = copy_of(pruned.root());
    const schema::Type* type = to_version(all, version);
    if (!type || !to_version(some, version)) return;
    FieldSet gone = subtract(pool_, named_fields_of(all, *type), named_fields_of(some, *type));
    gone = subtract(pool_, gone, with_named_fields(pool_, owned, *type));
    remove_fields(pool_, all, all.root(), gone, *type);
    if (to_version(all, home)) pruned = std::move(all);
  }

  FieldPool& pool_;
  const ManagedFields& owners_;
  const FieldWrite& write_;
};

}  // namespace

Applied apply_configuration(FieldPool& pool, ManagedFields& owners, const Node& live, const Node& configuration, const FieldWrite& write,
                            bool force) {
  ManagedFields changed = owners;
  if (changed.empty()) {
    Document nothing;
    nothing.set_root(nothing.make_object());
    FieldWrite first = write;
    first.manager = "before-first-apply";
    Changes all(pool, nothing.root(), live, first);
    add_update(pool, changed, all, first);
  }
  follow_schema(pool, changed, write);
  Applied out;
  out.object = copy_of(live);
  merge_typed(pool, out.object, out.object.root(), configuration, write.type);

  FieldSet mine = fields_of(pool, configuration, write.type);
  if (write.ignored) mine = subtract_below(pool, mine, write.ignored);
  ManagedEntry entry{write.manager, write.api_version, write.subresource, true, write.time, mine, nullptr};
  ManagedEntry* there = find_owner(changed, entry);
  const ManagedEntry last = there ? *there : ManagedEntry{};
  if (there) *there = entry;
  else changed.push_back(entry);
  if (last.fields) Pruner(pool, changed, write).prune(out.object, last);

  Changes changes(pool, live, out.object.root(), write);
  if (!force) {
    out.conflicts = conflicts_of(pool, changed, changes, &entry);
    if (!out.conflicts.empty()) return out;
  }
  take_from_others(pool, changed, changes, &entry);
  if (ManagedEntry* own = find_owner(changed, entry)) {
    own->fields = subtract(pool, own->fields, untracked());
    // An apply that changes nothing keeps its time.
    const bool idle = changes.own().none() && last.source && last.api_version == own->api_version && equal(last.fields, own->fields);
    if (idle) *own = last;
  }
  std::erase_if(changed, [](const ManagedEntry& e) { return !e.fields; });
  owners = std::move(changed);
  return out;
}

}  // namespace estiba::model
