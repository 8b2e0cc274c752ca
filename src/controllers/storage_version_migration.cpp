// StorageVersionMigrations: every object of a resource is written once more, so that none is left in the store in a version that is no
// longer the storage version (pkg/controller/storageversionmigrator). One migration runs for a resource at a time, the oldest first. The
// stored versions of a CustomResourceDefinition that does not change meanwhile are those of before no more.
#include <algorithm>

#include "base/strings.h"
#include "base/time.h"
#include "client/json_writer.h"
#include "controllers/framework.h"
#include "controllers/kinds.h"
#include "controllers/pod_facts.h"
#include "controllers/table.h"
#include "model/custom/definition.h"

namespace estiba::controllers {

using model::ObjectRef;
using namespace std::chrono_literals;

namespace {

constexpr client::Resource migrations{"storagemigration.k8s.io", "v1beta1", "storageversionmigrations"};
constexpr Duration patience = 1min;  ///< for a resource that is not there yet, from the migration's creation on

/// A condition to set beside those that are there.
struct Condition {
  std::string_view type;
  bool holds;
  std::string_view reason;
  std::string message;
  int64_t generation = 0;
};

struct Migration {
  std::string group, resource, revision;
  bool running = false, ended = false, succeeded = false;
};

Result<Migration> read(const ObjectRef& object) {
  const auto document = TRY(json::Document::parse(object.object->json()));
  const json::Node& root = document.root();
  Migration out{.group = std::string(root.string_at("spec", "resource", "group")),
                .resource = std::string(root.string_at("spec", "resource", "resource")),
                .revision = std::string(root.string_at("status", "resourceVersion"))};
  out.running = model::has_condition(root, "Running");
  out.succeeded = model::has_condition(root, "Succeeded");
  out.ended = out.succeeded || model::has_condition(root, "Failed");
  return out;
}

/// Begins a merge patch of a status with its conditions, left open inside the status.
Result<client::JsonWriter> status_patch(const ObjectRef& object, const Condition& set, WallTime now) {
  const auto document = TRY(json::Document::parse(object.object->json()));
  client::JsonWriter json;
  json.object().object("metadata").field("uid", object.meta().uid).field("resourceVersion", object.resource_version()).end();
  json.object("status").array("conditions");
  if (const json::Node* known = document.root().at("status", "conditions"))
    for (const json::Node& each : *known)
      if (each.string_at("type") != set.type) json.raw_value(json::print(each));
  json.object().field("type", set.type).field("status", set.holds ? "True" : "False").field("lastTransitionTime", format_rfc3339(now));
  json.field("reason", set.reason).field("message", set.message);
  if (set.generation) json.field("observedGeneration", set.generation);
  json.end().end();
  return json;
}

class StorageVersionMigration final : public Controller {
 public:
  explicit StorageVersionMigration(Context& context)
      : Controller(context, "storage-version-migrator-controller", {.workers = 2}),
        migrations_(watch(migrations)),
        definitions_(informer(custom_resource_definitions)),
        kinds_(context.options.kinds.empty() ? stored_kinds() : context.options.kinds) {
    // The next one of a resource may begin.
    migrations_.on_change(
        [this](const ObjectRef&, const ObjectRef&) { migrations_.each([this](const ObjectRef& other) { enqueue(other); }); });
  }

 private:
  Task<Result<void>> reconcile(std::string name) override {
    const ObjectRef object = migrations_.get(name);
    if (!object) co_return {};
    const Migration migration = CO_TRY(read(object));
    if (migration.ended) {
      if (!migration.running) co_return {};
      CO_TRY(co_await finish_definition(migration));
      co_return co_await tell(object, {"Running", false, "MigrationCompleted", "Migration completed", object.meta().generation});
    }
    if (!migration.running) {
      if (!is_next(object, migration)) co_return {};
      CO_TRY(co_await begin_definition(name, migration));
      co_return co_await tell(object, {"Running", true, "MigrationRunning", "The migration is running"});
    }
    co_return co_await migrate(object, migration);
  }

  /// The oldest of those of its resource that have not ended, while none of them runs.
  bool is_next(const ObjectRef& object, const Migration& migration) const {
    bool next = true;
    migrations_.each([&](const ObjectRef& other) {
      const auto read_other = read(other);
      if (!read_other || read_other->group != migration.group || read_other->resource != migration.resource) return;
      const auto age = [](const ObjectRef& of) {
        return std::pair(std::string_view(of.meta().creation_timestamp), std::string_view(of.meta().name));
      };
      next &= !read_other->running && (read_other->ended || age(other) >= age(object));
    });
    return next;
  }

  ObjectRef definition_of(const Migration& migration) const { return definitions_.get(migration.resource + "." + migration.group); }

  std::optional<ResourceKind> kind_of(const Migration& migration) const {
    for (const ResourceKind& kind : kinds_)
      if (kind.resource.group == migration.group && kind.resource.name == migration.resource) return kind;
    const ObjectRef definition = definition_of(migration);
    return definition ? custom_kind(definition) : std::nullopt;
  }

  Task<Result<void>> migrate(ObjectRef object, Migration migration) {
    const auto kind = kind_of(migration);
    if (!kind) {
      const Duration left = time_or_epoch(object.meta().creation_timestamp) + patience - wall_now();
      if (left <= Duration{}) co_return co_await fail_with(object, "unable to obtain GVR from discovery");
      enqueue_after(object.meta().name, left);
      co_return {};
    }
    auto list = co_await client_.list(kind->resource, "");
    if (!list) co_return std::unexpected(std::move(list.error()).context("list the objects of " + quoted(migration.resource)));
    if (migration.revision.empty()) {
      // Until then everything has to be written; what is written later is right.
      client::JsonWriter json;
      json.object().object("metadata").field("uid", object.meta().uid).end().object("status");
      json.field("resourceVersion", std::to_string(list->revision)).end().end();
      CO_TRY(co_await patch_status(migrations_, object, json.take()));
    }
    for (const ObjectRef& each : list->items) {
      // Its migration may have been taken back meanwhile.
      if (!migrations_.get(object.meta().name)) co_return {};
      const auto written = co_await rewrite(kind->resource, each);
      if (written || written.error().code == Code::not_found || written.error().code == Code::conflict) continue;
      if (is_passing(written.error().code)) co_return std::unexpected(written.error());
      co_return co_await fail_with(object, written.error().message);
    }
    if (const ObjectRef now = migrations_.get(object.meta().name))
      co_return co_await tell(now, {"Succeeded", true, "StorageVersionMigrationSucceeded", ""});
    co_return {};
  }

  /// A write that changes nothing: the API server stores the object again where it lies in another version. Whatever has changed it in the
  /// meantime has done the same.
  Task<Result<void>> rewrite(client::Resource resource, ObjectRef object) {
    const model::Meta& meta = object.meta();
    client::JsonWriter json;
    json.object().object("metadata").field("uid", meta.uid).field("resourceVersion", object.resource_version()).end().end();
    auto written = co_await client_.patch(resource, meta.ns, meta.name, client::PatchType::merge, json.take());
    if (!written) co_return std::unexpected(std::move(written.error()).context("write " + meta.kind + " " + client::key_of(meta)));
    co_return {};
  }

  static bool is_passing(Code code) {
    return code == Code::unavailable || code == Code::timeout || code == Code::exhausted || code == Code::internal;
  }

  Task<Result<void>> fail_with(ObjectRef object, std::string why) {
    const ObjectRef now = migrations_.get(object.meta().name);
    if (!now) co_return {};
    co_return co_await tell(now, {"Failed", true, "StorageVersionMigrationFailed", "migration encountered unhandled error: " + why});
  }

  Task<Result<void>> tell(ObjectRef object, Condition condition) {
    client::JsonWriter json = CO_TRY(status_patch(object, condition, wall_now()));
    json.end().end();
    co_return co_await patch_status(migrations_, object, json.take());
  }

  Task<Result<void>> begin_definition(std::string name, Migration migration) {
    const ObjectRef definition = definition_of(migration);
    if (!definition) co_return {};
    client::JsonWriter json = CO_TRY(status_patch(
        definition, {"StorageMigrating", true, "MigrationRunning", "Migration " + name + " is running", definition.meta().generation},
        wall_now()));
    json.end().end();
    co_return co_await patch_status(definitions_, definition, json.take());
  }

  Task<Result<void>> finish_definition(Migration migration) {
    const ObjectRef definition = definition_of(migration);
    if (!definition) co_return {};
    const auto document = CO_TRY(json::Document::parse(definition.object->json()));
    bool same = false;  // it is what it was when the migration began
    if (const json::Node* conditions = document.root().at("status", "conditions"))
      for (const json::Node& each : *conditions)
        if (const json::Node* seen = each.find("observedGeneration"); seen && each.string_at("type") == "StorageMigrating")
          same = seen->as_int().value_or(0) == definition.meta().generation;
    const std::string message =
        !migration.succeeded ? "The migration has failed"
        : same               ? "The migration has succeeded and the stored versions have been updated"
                             : "The migration has succeeded but the stored versions have not been updated due to a generation mismatch";
    client::JsonWriter json = CO_TRY(status_patch(
        definition,
        {"StorageMigrating", false, migration.succeeded ? "MigrationSucceeded" : "MigrationFailed", message, definition.meta().generation},
        wall_now()));
    if (migration.succeeded && same) {
      const auto made = CO_TRY(model::CustomDefinition::make(definition.object->json()));
      json.array("storedVersions").value(made->storage().name).end();
    }
    json.end().end();
    co_return co_await patch_status(definitions_, definition, json.take());
  }

  client::Informer& migrations_;
  client::Informer& definitions_;
  const std::vector<ResourceKind> kinds_;
};

}  // namespace

std::unique_ptr<Controller> make_storage_version_migration(Context& context) { return std::make_unique<StorageVersionMigration>(context); }

}  // namespace estiba::controllers
