// ClusterServiceBroker and ServiceBroker: what a broker offers is listed, when it is new or changed, when somebody asks for it
// (spec.relistRequests) and every spec.relistDuration; the cluster's classes and plans follow it. What is no longer offered is marked as
// removed while instances use it, and goes with the last of them. A broker that is deleted waits for its instances: without it nobody could
// remove what they stand for.
#include <map>

#include "base/go_duration.h"
#include "base/strings.h"
#include "base/time.h"
#include "client/finalizers.h"
#include "client/json_writer.h"
#include "controllers/catalog/access.h"
#include "controllers/catalog/edited.h"
#include "controllers/catalog/entries.h"
#include "controllers/catalog/use.h"
#include "controllers/owned.h"
#include "controllers/table.h"

namespace estiba::controllers {

using namespace catalog;
using client::EventType;
using client::JsonWriter;
using model::ObjectRef;
using namespace std::chrono_literals;

namespace {

constexpr Duration default_relist = 15min;
constexpr Duration give_up = std::chrono::hours(24 * 7);
constexpr std::string_view unused_key = "unused:";  // before the keys of brokers; names have no colon

class BrokerController final : public Controller {
 public:
  explicit BrokerController(Context& context)
      : Controller(context, "service-catalog-broker", {.workers = 2, .first_pause = 1s, .longest_pause = 10min}),
        access_(context),
        instances_(informer(instances)),
        by_class_(class_index(instances_)),
        by_plan_(plan_index(instances_)) {
    for (const Scope* scope : {&cluster_scope, &namespaced_scope}) {
      informer(scope->brokers).on_change([this](const ObjectRef& before, const ObjectRef& after) {
        // What this controller itself writes is the status.
        if (!before || !after || before.meta().generation != after.meta().generation ||
            before.meta().deletion_timestamp != after.meta().deletion_timestamp)
          enqueue(after ? after : before);
      });
      informer(scope->classes).on_change([this](const ObjectRef& before, const ObjectRef& after) {
        if (before && after && !after.meta().deletion_timestamp.empty()) enqueue(unused_key);
      });
      informer(scope->plans);
    }
    instances_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      if (before && after && before.meta().generation == after.meta().generation) return;
      if (before) enqueue(unused_key);
    });
  }

 private:
  // A key with a namespace is a ServiceBroker's.
  static const Scope& scope_of(std::string_view key) { return key.contains('/') ? namespaced_scope : cluster_scope; }

  Task<Result<void>> reconcile(std::string key) override {
    if (key == unused_key) co_return co_await remove_unused();
    const Scope* scope = &scope_of(key);
    const ObjectRef broker = informer(scope->brokers).get(key);
    if (!broker) co_return {};
    Edited edited = CO_TRY(Edited::of(broker));
    auto done = broker.meta().deletion_timestamp.empty() ? co_await list(this, key, scope, &edited) : co_await remove(this, scope, &edited);
    // Somebody else was faster: it is looked at again as it is now.
    if (!done && done.error().code == Code::conflict) {
      enqueue_after(key, 50ms);
      co_return {};
    }
    co_return done;
  }

  // --- listing -------------------------------------------------------------------------------------------------------

  /// How long until the catalogue is listed again; 0 for now, nullopt for never.
  std::optional<Duration> until_listed(const Edited& broker) const {
    if (broker.number("reconciledGeneration") != broker.meta().generation) return Duration(0);
    if (broker.is("Failed")) return std::nullopt;
    if (!broker.is("Ready")) return Duration(0);
    if (broker.spec_text("relistBehavior") == "Manual") return std::nullopt;
    const Duration told = parse_go_duration(broker.spec_text("relistDuration")).value_or(default_relist);
    const auto last = parse_rfc3339(broker.text("lastCatalogRetrievalTime"));
    if (!last) return Duration(0);
    return std::max<Duration>(Duration(0), *last + std::max<Duration>(told, 1s) - wall_now());
  }

  static Task<Result<void>> list(BrokerController* self, std::string key, const Scope* scope, Edited* broker) {
    const auto wait = self->until_listed(*broker);
    if (!wait) co_return {};
    if (*wait > Duration(0)) {
      self->enqueue_after(key, *wait);
      co_return {};
    }
    auto access = co_await self->access_.open(scope, broker->object());
    if (!access)
      co_return co_await self->failed(scope, broker, "ErrorGettingAuthCredentials",
                                      "Error getting broker auth credentials: ", access.error());
    auto entries = co_await fetch(self, std::move(*access), scope, broker);
    if (!entries) co_return co_await self->failed(scope, broker, "ErrorFetchingCatalog", "Error fetching catalog: ", entries.error());
    auto done = co_await sync(self, scope, broker->object(), &*entries);
    if (!done && done.error().code == Code::conflict) co_return done;
    if (!done) co_return co_await self->failed(scope, broker, "ErrorSyncingCatalog", "Error syncing catalog: ", done.error());

    const bool was_ready = broker->is("Ready");
    broker->condition("Ready", "True", "FetchedCatalog", "Successfully fetched catalog entries from broker.", self->wall_now());
    broker->drop_condition("Failed");
    broker->set_number("reconciledGeneration", broker->meta().generation);
    broker->set("lastCatalogRetrievalTime", format_rfc3339(self->wall_now()));
    broker->clear("operationStartTime");
    CO_TRY(co_await broker->save(self->client_, self->informer(scope->brokers)));
    if (!was_ready)
      self->events_.record(broker->object(), EventType::normal, "FetchedCatalog", "Successfully fetched catalog entries from broker.");
    if (const auto next = self->until_listed(*broker)) self->enqueue_after(key, *next);
    co_return {};
  }

  static Task<Result<Entries>> fetch(BrokerController* self, Access access, const Scope* scope, Edited* broker) {
    auto restrictions = CO_TRY(Restrictions::parse(broker->spec().find("catalogRestrictions")));
    const std::string url = access.url + "/v2/catalog";
    auto answer = CO_TRY(co_await self->access_.call(std::move(access), {.method = "GET", .path = "/v2/catalog"}));
    if (answer.status != 200)
      co_return fail(Code::unavailable, "GET " + url + ": status " + std::to_string(answer.status) + ": " + answer.body.substr(0, 200));
    co_return within("GET " + url, read_catalog(answer.body, *scope, broker->meta().name, restrictions));
  }

  /// Says what is wrong and has it tried again, for a week.
  Task<Result<void>> failed(const Scope* scope, Edited* broker, std::string reason, std::string_view what, Error error) {
    const std::string message = std::string(what) + error.message;
    broker->condition("Ready", "False", reason, message, wall_now());
    broker->drop_condition("Failed");
    if (broker->text("operationStartTime").empty()) broker->set("operationStartTime", format_rfc3339(wall_now()));
    const auto began = parse_rfc3339(broker->text("operationStartTime"));
    const bool given_up = began && wall_now() - *began > give_up;
    if (given_up) {
      broker->condition("Failed", "True", "ErrorReconciliationRetryTimeout",
                        "Stopping reconciliation retries because too much time has elapsed", wall_now());
      broker->set_number("reconciledGeneration", broker->meta().generation);
      broker->clear("operationStartTime");
    }
    const ObjectRef about = broker->object();
    CO_TRY(co_await broker->save(client_, informer(scope->brokers)));
    events_.record(about, EventType::warning, reason, message);
    if (given_up) co_return {};
    co_return std::unexpected(std::move(error).context(about.meta().kind + " " + client::key_of(about)));
  }

  // --- classes and plans ---------------------------------------------------------------------------------------------

  static Task<Result<void>> sync(BrokerController* self, const Scope* scope, ObjectRef broker, const Entries* entries) {
    CO_TRY(co_await sync_kind(self, scope, broker, &entries->classes, scope->classes));
    CO_TRY(co_await sync_kind(self, scope, broker, &entries->plans, scope->plans));
    co_return {};
  }

  static Task<Result<void>> sync_kind(BrokerController* self, const Scope* scope, ObjectRef broker, const std::vector<Entry>* entries,
                                      client::Resource resource) {
    client::Informer& own = self->informer(resource);
    std::map<std::string, ObjectRef> left;
    for (ObjectRef& object : self->offered_by(own, *scope, broker.meta())) left.emplace(object.meta().name, object);
    for (const Entry& entry : *entries) {
      left.erase(entry.name);
      const ObjectRef known = own.get(broker.meta().ns, entry.name);
      CO_TRY(co_await (known ? change(self, scope, broker, &entry, known, resource) : create(self, scope, broker, &entry, resource)));
    }
    for (auto& [name, object] : left) CO_TRY(co_await withdraw(self, scope, object, resource));
    co_return {};
  }

  std::vector<ObjectRef> offered_by(client::Informer& own, const Scope& scope, const model::Meta& broker) {
    std::vector<ObjectRef> out;
    own.each([&](const ObjectRef& object) {
      if (object.meta().ns != broker.ns) return;
      auto doc = json::Document::parse(object.object->json());
      if (doc && doc->root().string_at("spec", scope.broker_field) == broker.name) out.push_back(object);
    });
    return out;
  }

  /// The labels by which clients of the project find entries: digests, because the values may be longer than a label's.
  std::string labels_of(const Scope& scope, const Entry& entry, const model::Meta& broker) const {
    JsonWriter json;
    const std::string prefix = std::string(group) + "/spec.";
    const auto label = [&](std::string_view field, std::string_view value) {
      json.field(prefix + std::string(field), context_.options.brokers->sha224(value));
    };
    json.object();
    label("externalID", entry.external_id);
    label("externalName", entry.external_name);
    label(scope.broker_field, broker.name);
    if (!entry.class_name.empty()) label(std::string(scope.class_reference) + ".name", entry.class_name);
    return json.end().take();
  }

  static Task<Result<void>> create(BrokerController* self, const Scope* scope, ObjectRef broker, const Entry* entry,
                                   client::Resource resource) {
    JsonWriter json;
    json.object().field("apiVersion", std::string(group) + "/v1beta1").field("kind", kind_of(*scope, *entry));
    json.object("metadata").field("name", entry->name).raw("labels", self->labels_of(*scope, *entry, broker.meta()));
    // A class stays for its instances, even where its whole namespace goes: its identifier is needed to deprovision them.
    if (entry->class_name.empty()) json.array("finalizers").value(finalizer).end();
    json.array("ownerReferences");
    write_controller_reference(json, broker.meta());
    json.end().end().raw("spec", entry->spec).end();
    auto made = co_await self->client_.create(resource, broker.meta().ns, json.take());
    if (!made) co_return std::unexpected(std::move(made.error()).context("create " + kind_of(*scope, *entry) + " " + entry->name));
    self->informer(resource).observe(*made);
    co_return {};
  }

  static std::string kind_of(const Scope& scope, const Entry& entry) {
    return std::string(scope.cluster ? "Cluster" : "") + (entry.class_name.empty() ? "ServiceClass" : "ServicePlan");
  }

  static Task<Result<void>> change(BrokerController* self, const Scope* scope, ObjectRef broker, const Entry* entry, ObjectRef known,
                                   client::Resource resource) {
    client::Informer& own = self->informer(resource);
    if (!known.meta().deletion_timestamp.empty()) co_return {};
    json::Document doc = CO_TRY(json::Document::parse(known.print()));
    const std::string_view theirs = doc.root().string_at("spec", scope->broker_field);
    if (theirs != broker.meta().name)
      co_return fail(Code::already_exists, kind_of(*scope, *entry) + " " + entry->name + " (external id " + quoted(entry->external_id) +
                                               ") is offered by broker " + quoted(theirs) + " already");
    if (doc.root().string_at("spec", "externalID") != entry->external_id)
      co_return fail(Code::already_exists, kind_of(*scope, *entry) + " " + entry->name + " stands for another external id");
    json::Document spec = CO_TRY(json::Document::parse(entry->spec));
    // What an administrator has added stays.
    if (const json::Node* defaults = doc.root().at("spec", "defaultProvisionParameters"))
      spec.set(spec.root(), "defaultProvisionParameters", spec.copy(*defaults));
    if (!json::equal(spec.root(), *doc.root().find("spec"))) {
      doc.set(doc.root(), "spec", doc.copy(spec.root()));
      auto written = CO_TRY(co_await self->client_.update(resource, known.meta().ns, known.meta().name, json::print(doc.root())));
      own.observe(written);
      known = written;
    }
    const json::Node* removed = doc.root().at("status", "removedFromBrokerCatalog");
    if (removed && removed->as_bool()) CO_TRY(co_await self->patch_status(own, known, R"({"status":{"removedFromBrokerCatalog":false}})"));
    co_return {};
  }

  bool used(const Scope& scope, const ObjectRef& entry, client::Resource resource) const {
    const std::string key = use_key(scope, entry.meta().ns, entry.meta().name);
    return instances_.count(resource == scope.classes ? by_class_ : by_plan_, key) > 0;
  }

  /// What is offered no longer: it goes, unless instances use it.
  static Task<Result<void>> withdraw(BrokerController* self, const Scope* scope, ObjectRef object, client::Resource resource) {
    if (self->used(*scope, object, resource))
      co_return co_await self->patch_status(self->informer(resource), object, R"({"status":{"removedFromBrokerCatalog":true}})");
    if (client::has_finalizer(object.meta(), finalizer)) {
      auto free = co_await self->client_.patch(resource, object.meta().ns, object.meta().name, client::PatchType::merge,
                                               client::finalizer_patch(object, finalizer, false));
      if (!free && free.error().code == Code::not_found) co_return {};
      if (!free) co_return std::unexpected(std::move(free.error()).context("let " + client::key_of(object) + " go"));
    }
    auto removed = co_await self->client_.remove(resource, object.meta().ns, object.meta().name, {.uid = object.meta().uid});
    if (removed || removed.error().code == Code::not_found) co_return {};
    co_return std::unexpected(std::move(removed.error()).context("delete " + client::key_of(object)));
  }

  /// After an instance has gone or changed its plan.
  Task<Result<void>> remove_unused() {
    for (const Scope* scope : {&cluster_scope, &namespaced_scope}) {
      for (client::Resource resource : {scope->plans, scope->classes}) {
        for (const ObjectRef& object : informer(resource).list()) {
          const json::Document doc = CO_TRY(json::Document::parse(object.object->json()));
          const json::Node* removed = doc.root().at("status", "removedFromBrokerCatalog");
          const bool goes = (removed && removed->as_bool()) || !object.meta().deletion_timestamp.empty();
          if (goes && !used(*scope, object, resource)) CO_TRY(co_await withdraw(this, scope, object, resource));
        }
      }
      informer(scope->brokers).each([this](const ObjectRef& broker) {
        if (!broker.meta().deletion_timestamp.empty()) enqueue(broker);
      });
    }
    co_return {};
  }

  // --- the end of a broker -------------------------------------------------------------------------------------------

  static Task<Result<void>> remove(BrokerController* self, const Scope* scope, Edited* broker) {
    if (!client::has_finalizer(broker->meta(), finalizer)) co_return {};
    size_t users = 0;
    const auto classes = self->offered_by(self->informer(scope->classes), *scope, broker->meta());
    for (const ObjectRef& one : classes) users += self->instances_.count(self->by_class_, use_key(*scope, one.meta().ns, one.meta().name));
    if (users > 0) {
      const std::string message = "The broker is needed by " + std::to_string(users) + " service instances: delete them first";
      broker->condition("Ready", "False", "DeletionBlockedByExistingInstances", message, self->wall_now());
      const ObjectRef about = broker->object();
      CO_TRY(co_await broker->save(self->client_, self->informer(scope->brokers)));
      self->events_.record(about, EventType::warning, "DeletionBlockedByExistingInstances", message);
      co_return {};
    }
    for (const ObjectRef& plan : self->offered_by(self->informer(scope->plans), *scope, broker->meta()))
      CO_TRY(co_await withdraw(self, scope, plan, scope->plans));
    for (const ObjectRef& one : classes) CO_TRY(co_await withdraw(self, scope, one, scope->classes));
    const model::Meta& meta = broker->meta();
    auto written = co_await self->client_.patch(scope->brokers, meta.ns, meta.name, client::PatchType::merge,
                                                client::finalizer_patch(broker->object(), finalizer, false));
    if (!written && written.error().code != Code::not_found) co_return std::unexpected(std::move(written.error()));
    self->events_.record(broker->object(), EventType::normal, "DeletedClusterServiceBrokerSuccessfully",
                         "The broker " + meta.name + " was deleted successfully.");
    co_return {};
  }

  BrokerAccess access_;
  client::Informer& instances_;
  const client::Informer::Index by_class_, by_plan_;
};

}  // namespace

std::unique_ptr<Controller> make_service_broker_controller(Context& context) {
  return context.options.brokers ? std::make_unique<BrokerController>(context) : nullptr;
}

}  // namespace estiba::controllers
