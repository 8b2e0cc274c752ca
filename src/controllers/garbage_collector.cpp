// Garbage collector: what an owner leaves behind is deleted with it (background), before it (foreground) or set free
// (orphan), for every kind of the tables, by metadata alone.
//
// Nothing is kept but the informers' indexes by the owners' UIDs. A key is "<number of the kind> <ns/name>" of a dependent
// whose owner may be gone, or of an owner that waits for its dependents.
#include <deque>
#include <unordered_set>

#include "base/log.h"
#include "base/strings.h"
#include "client/finalizers.h"
#include "client/json_writer.h"
#include "controllers/framework.h"
#include "controllers/kinds.h"
#include "controllers/table.h"

namespace estiba::controllers {

using client::has_finalizer;
using client::Informer;
using client::JsonWriter;
using model::Meta;
using model::ObjectRef;
using model::Owner;

namespace {

constexpr std::string_view foreground = "foregroundDeletion", orphan = "orphan";
constexpr size_t most_absent = 10'000;

struct Kind {
  ResourceKind names;
  Informer* informer;
  Informer::Index by_owner;
};

bool waits_for_dependents(const Meta& meta) { return !meta.deletion_timestamp.empty() && has_finalizer(meta, foreground); }

bool blocks(const Meta& dependent, const std::string& uid) {
  for (const Owner& owner : dependent.owners)
    if (owner.uid == uid && owner.block_owner_deletion) return true;
  return false;
}

class GarbageCollector final : public Controller {
 public:
  explicit GarbageCollector(Context& context) : Controller(context, "garbage-collector", {.workers = 20}) {
    for (const ResourceKind& names : context.options.kinds.empty() ? stored_kinds() : context.options.kinds) {
      if (names.kind == "Event") continue;  // events are about objects, never owned by them
      Informer& cache = informer(names.resource);
      kinds_.push_back({names, &cache, cache.owner_index()});
    }
    for (size_t i = 0; i < kinds_.size(); ++i) listen(i);
    // Custom kinds come and go; an informer of one that has gone holds nothing and costs a look now and then.
    informer(custom_resource_definitions).on_change([this](const ObjectRef&, const ObjectRef& definition) {
      if (definition) take_in(definition);
    });
  }

 private:
  void listen(size_t i) {
    kinds_[i].informer->on_change([this, i](const ObjectRef& before, const ObjectRef& after) { changed(i, before, after); });
  }

  void take_in(const ObjectRef& definition) {
    const auto names = custom_kind(definition);
    if (!names) return;
    const auto known = [&](const Kind& kind) {
      return kind.names.resource.group == names->resource.group && kind.names.resource.name == names->resource.name;
    };
    if (const auto there = std::find_if(kinds_.begin(), kinds_.end(), known);
        there != kinds_.end() && there->names.resource.version == names->resource.version)
      return;
    // A definition that is served by another version now gets an informer of its own; what it sees is the same objects.
    Informer& cache = context_.informers.of(names->resource);
    kinds_.push_back({*names, &cache, cache.owner_index()});
    listen(kinds_.size() - 1);
  }

  static std::string key_of(size_t kind, const ObjectRef& object) { return std::to_string(kind) + " " + client::key_of(object); }

  template <class F>
  void each_dependent(const std::string& uid, F&& visit) {
    for (size_t i = 0; i < kinds_.size(); ++i)
      kinds_[i].informer->each(kinds_[i].by_owner, uid, [&](const ObjectRef& dependent) { visit(i, dependent); });
  }

  void changed(size_t kind, const ObjectRef& before, const ObjectRef& after) {
    if (!after) {
      each_dependent(before.meta().uid, [this](size_t i, const ObjectRef& dependent) { enqueue(key_of(i, dependent)); });
      // An owner in the foreground may have waited for this one.
      for (const Owner& owner : before.meta().owners) enqueue_waiting(owner, before.meta().ns);
      return;
    }
    const Meta& meta = after.meta();
    if (!meta.deletion_timestamp.empty()) {
      if (has_finalizer(meta, foreground) || has_finalizer(meta, orphan)) enqueue(key_of(kind, after));
      if (waits_for_dependents(meta) && !(before && waits_for_dependents(before.meta())))
        each_dependent(meta.uid, [this](size_t i, const ObjectRef& dependent) { enqueue(key_of(i, dependent)); });
    } else if (!meta.owners.empty() && !all_known(meta)) {
      // Owners that are there need no work; one that is unknown, or waits for this very object, does.
      enqueue(key_of(kind, after));
    }
    if (before)
      for (const Owner& owner : before.meta().owners) enqueue_waiting(owner, meta.ns);
  }

  const Kind* kind_of(const Owner& owner) const {
    for (const Kind& kind : kinds_)
      if (kind.names.kind == owner.kind && kind.names.resource.group == owner.group()) return &kind;
    return nullptr;
  }

  /// The owner as the cache knows it; null when it does not, or knows another object of that name.
  ObjectRef cached(const Owner& owner, std::string_view ns) const {
    const Kind* kind = kind_of(owner);
    if (!kind) return {};
    const ObjectRef object = kind->informer->get(kind->names.namespaced ? ns : std::string_view{}, owner.name);
    return object && object.meta().uid == owner.uid ? object : ObjectRef{};
  }

  bool all_known(const Meta& meta) const {
    return std::all_of(meta.owners.begin(), meta.owners.end(), [&](const Owner& owner) {
      const ObjectRef object = cached(owner, meta.ns);
      return object && !waits_for_dependents(object.meta());
    });
  }

  void enqueue_waiting(const Owner& owner, std::string_view ns) {
    const ObjectRef object = cached(owner, ns);
    if (!object || !waits_for_dependents(object.meta())) return;
    const Kind* kind = kind_of(owner);
    size_t i = 0;
    while (&kinds_[i] != kind) ++i;
    enqueue(key_of(i, object));
  }

  Task<Result<void>> reconcile(std::string key) override {
    const auto [number, name] = split_once(key, ' ');
    const size_t kind = parse_number<size_t>(number).value_or(0);
    const ObjectRef object = kinds_[kind].informer->get(*name);
    if (!object) co_return {};
    if (!object.meta().deletion_timestamp.empty()) {
      if (has_finalizer(object.meta(), orphan)) co_return co_await set_free(kind, object);
      if (has_finalizer(object.meta(), foreground)) co_return co_await wait_for_dependents(kind, object);
      co_return {};
    }
    if (object.meta().owners.empty()) co_return {};
    co_return co_await judge(kind, object);
  }

  enum class Standing : uint8_t { solid, dangling, waiting };

  Task<Result<Standing>> standing_of(Owner owner, std::string ns, bool namespaced) {
    if (const ObjectRef object = cached(owner, ns)) co_return waits_for_dependents(object.meta()) ? Standing::waiting : Standing::solid;
    if (absent_.contains(owner.uid)) co_return Standing::dangling;
    const Kind* kind = kind_of(owner);
    // Whether an owner of an unknown kind lives cannot be known, nor in which namespace one of a cluster-scoped object does.
    if (!kind || (kind->names.namespaced && !namespaced)) co_return Standing::solid;
    auto live = co_await client_.get(kind->names.resource, kind->names.namespaced ? ns : "", owner.name);
    if (live && live->meta().uid == owner.uid) co_return waits_for_dependents(live->meta()) ? Standing::waiting : Standing::solid;
    if (!live && live.error().code != Code::not_found)
      co_return std::unexpected(std::move(live.error().context("look for owner " + owner.kind + " " + owner.name)));
    // A UID never comes back.
    if (absent_.size() >= most_absent) absent_.clear();
    absent_.insert(owner.uid);
    co_return Standing::dangling;
  }

  Task<Result<void>> judge(size_t kind, ObjectRef object) {
    const Meta& meta = object.meta();
    std::vector<const Owner*> lost;
    bool solid = false, waiting = false;
    for (const Owner& owner : meta.owners) {
      const Standing standing = CO_TRY(co_await standing_of(owner, meta.ns, kinds_[kind].names.namespaced));
      solid |= standing == Standing::solid;
      waiting |= standing == Standing::waiting;
      if (standing != Standing::solid) lost.push_back(&owner);
    }
    if (solid) {
      if (lost.empty()) co_return {};
      co_return co_await drop_owners(kind, object, lost);
    }
    std::string propagation = "Background";
    if (has_finalizer(meta, orphan)) propagation = "Orphan";
    else if (has_finalizer(meta, foreground)) propagation = "Foreground";
    // Its owner waits for all below it: it goes the same way, unless it is waited for by one of its own dependents (a cycle).
    else if (waiting && has_dependents(meta.uid) && !in_cycle(meta)) propagation = "Foreground";
    log::debug("garbage-collector", "deletes a dependent", {{"kind", kinds_[kind].names.kind}, {"object", client::key_of(meta)}});
    auto removed = co_await client_.remove(kinds_[kind].names.resource, meta.ns, meta.name,
                                           {.propagation = propagation, .uid = meta.uid, .resource_version = object.resource_version()});
    if (removed || removed.error().code == Code::not_found) co_return {};
    if (removed.error().code == Code::conflict) co_return co_await refresh(kind, meta, std::move(removed.error()));
    co_return std::unexpected(
        std::move(removed.error().context("delete " + std::string(kinds_[kind].names.kind) + " " + client::key_of(meta))));
  }

  /// The object has changed under us: takes in what it is now, and tries again.
  Task<Result<void>> refresh(size_t kind, const Meta& meta, Error error) {
    auto live = co_await client_.get(kinds_[kind].names.resource, meta.ns, meta.name);
    if (live) kinds_[kind].informer->observe(*live);
    else if (live.error().code == Code::not_found) co_return {};
    co_return std::unexpected(std::move(error));
  }

  bool has_dependents(const std::string& uid) {
    bool any = false;
    each_dependent(uid, [&](size_t, const ObjectRef&) { any = true; });
    return any;
  }

  bool in_cycle(const Meta& meta) {
    bool cycle = false;
    each_dependent(meta.uid, [&](size_t, const ObjectRef& dependent) { cycle |= waits_for_dependents(dependent.meta()); });
    return cycle;
  }

  Task<Result<void>> wait_for_dependents(size_t kind, ObjectRef object) {
    bool blocked = false;
    each_dependent(object.meta().uid, [&](size_t i, const ObjectRef& dependent) {
      if (dependent.meta().uid == object.meta().uid || !blocks(dependent.meta(), object.meta().uid)) return;
      blocked = true;
      if (dependent.meta().deletion_timestamp.empty()) enqueue(key_of(i, dependent));
    });
    if (blocked) co_return {};
    co_return co_await drop_finalizer(kind, object, foreground);
  }

  Task<Result<void>> set_free(size_t kind, ObjectRef object) {
    std::vector<std::pair<size_t, ObjectRef>> dependents;
    each_dependent(object.meta().uid, [&](size_t i, const ObjectRef& dependent) { dependents.emplace_back(i, dependent); });
    for (auto& [i, dependent] : dependents) {
      std::vector<const Owner*> lost;
      for (const Owner& owner : dependent.meta().owners)
        if (owner.uid == object.meta().uid) lost.push_back(&owner);
      CO_TRY(co_await drop_owners(i, dependent, lost));
    }
    co_return co_await drop_finalizer(kind, object, orphan);
  }

  Task<Result<void>> drop_owners(size_t kind, ObjectRef object, std::vector<const Owner*> lost) {
    JsonWriter json;
    json.object()
        .object("metadata")
        .field("uid", object.meta().uid)
        .field("resourceVersion", object.resource_version())
        .array("ownerReferences");
    for (const Owner& owner : object.meta().owners) {
      if (std::find(lost.begin(), lost.end(), &owner) != lost.end()) continue;
      json.object().field("apiVersion", owner.api_version).field("kind", owner.kind).field("name", owner.name).field("uid", owner.uid);
      if (owner.controller) json.field("controller", true);
      if (owner.block_owner_deletion) json.field("blockOwnerDeletion", true);
      json.end();
    }
    json.end().end().end();
    co_return co_await patch(kind, object, json.take());
  }

  Task<Result<void>> drop_finalizer(size_t kind, ObjectRef object, std::string_view finalizer) {
    co_return co_await patch(kind, object, client::finalizer_patch(object, finalizer, false));
  }

  Task<Result<void>> patch(size_t kind, ObjectRef object, std::string body) {
    const Meta& meta = object.meta();
    auto written = co_await client_.patch(kinds_[kind].names.resource, meta.ns, meta.name, client::PatchType::merge, std::move(body));
    if (written || written.error().code == Code::not_found) co_return {};
    if (written.error().code == Code::conflict) co_return co_await refresh(kind, meta, std::move(written.error()));
    co_return std::unexpected(
        std::move(written.error().context("change " + std::string(kinds_[kind].names.kind) + " " + client::key_of(meta))));
  }

  std::deque<Kind> kinds_;                  // only grows: keys hold positions in it
  std::unordered_set<std::string> absent_;  // UIDs of owners that are known to be gone
};

}  // namespace

std::unique_ptr<Controller> make_garbage_collector(Context& context) { return std::make_unique<GarbageCollector>(context); }

}  // namespace estiba::controllers
