// ServiceInstance: provisioned at its broker, updated when its plan or parameters change, deprovisioned when it is deleted. What failed in
// a way that may have left something behind is deprovisioned before it is tried again.
//
// status.currentOperation says what the broker was asked last and has not answered for good; status.deprovisionStatus is Required from
// before the first request until it is known that nothing is there.
#include "base/strings.h"
#include "client/finalizers.h"
#include "controllers/catalog/instance_requests.h"
#include "controllers/catalog/operations.h"
#include "controllers/catalog/use.h"
#include "controllers/table.h"

namespace estiba::controllers {

using namespace catalog;
using client::EventType;
using client::JsonWriter;
using model::ObjectRef;

namespace {

/// How a call of the broker has failed.
struct Failure {
  std::string reason, message;
  bool orphan = false, final = false;
};

class InstanceController final : public OperationController {
 public:
  explicit InstanceController(Context& context)
      : OperationController(context, "service-catalog-instance", instances),
        bindings_(informer(bindings)),
        by_instance_(instance_index(bindings_)) {
    bindings_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      if (after) return;
      const json::Document doc = json::Document::parse(before.object->json()).value_or(json::Document{});
      const std::string key = client::key_of(before.meta().ns, doc.root().string_at("spec", "instanceRef", "name"));
      forget_failures(key);
      enqueue(key);
    });
  }

 private:
  static bool deleting(const Edited& instance) { return !instance.meta().deletion_timestamp.empty(); }
  static bool mitigating(const Edited& instance) { return instance.flag("orphanMitigationInProgress"); }

  Task<Result<void>> step(std::string key, Edited* instance) override {
    if (instance->flag("asyncOpInProgress")) co_return co_await poll(key, instance);
    if (deleting(*instance) || mitigating(*instance)) co_return co_await remove(key, instance);
    if (instance->number("reconciledGeneration") == instance->meta().generation || must_wait(key, *instance)) co_return {};
    instance->set("userSpecifiedClassName", Offers::class_name(instance->spec()));
    instance->set("userSpecifiedPlanName", Offers::plan_name(instance->spec()));
    if (instance->text("provisionStatus").empty()) instance->set("provisionStatus", "NotProvisioned");
    if (instance->text("deprovisionStatus").empty()) instance->set("deprovisionStatus", "NotRequired");

    const Scope* scope = Offers::scope_of(instance->spec());
    const bool referred = scope && !instance->spec().string_at(scope->class_reference, "name").empty() &&
                          !instance->spec().string_at(scope->plan_reference, "name").empty();
    const std::string ns = instance->meta().ns;
    auto offer = referred ? offers_.follow(ns, instance->spec()) : offers_.find(ns, instance->spec());
    if (!offer)
      co_return co_await hindered(key, instance, reason_of(offer.error(), "ReferencesNonexistentServiceClass"), offer.error().message);
    if (!referred) co_return co_await refer(instance, &*offer);
    const bool there = instance->text("provisionStatus") == "Provisioned";
    if (const auto gone = withdrawn(*instance, *offer, there)) co_return co_await hindered(key, instance, gone->reason, gone->message);
    co_return co_await ask(key, instance, &*offer, there);
  }

  /// Nothing new is made of what the broker offers no longer.
  static std::optional<Failure> withdrawn(const Edited& instance, const Offer& offer, bool there) {
    const std::string_view plan = offer.plan_spec().string_at("externalID");
    if (there && plan_at_broker(instance, *offer.scope) == plan) return std::nullopt;
    if (Offer::withdrawn(offer.service_doc))
      return Failure{"ReferencesDeletedServiceClass",
                     "Service class " + quoted(offer.service_spec().string_at("externalName")) + " has been deleted; cannot provision"};
    if (Offer::withdrawn(offer.plan_doc))
      return Failure{"ReferencesDeletedServicePlan",
                     "Service plan " + quoted(offer.plan_spec().string_at("externalName")) + " has been deleted; cannot provision"};
    return std::nullopt;
  }

  /// Writes down what was found. The instance comes again by that change.
  Task<Result<void>> refer(Edited* instance, const Offer* offer) {
    const Scope& scope = *offer->scope;
    const std::string label = std::string(group) + "/spec.";
    JsonWriter json;
    json.object().object("metadata").field("resourceVersion", instance->object().resource_version()).object("labels");
    json.field(label + std::string(scope.class_reference) + ".name", context_.options.brokers->sha224(offer->service.meta().name));
    json.field(label + std::string(scope.plan_reference) + ".name", context_.options.brokers->sha224(offer->plan.meta().name)).end().end();
    json.object("spec").object(scope.class_reference).field("name", offer->service.meta().name).end();
    json.object(scope.plan_reference).field("name", offer->plan.meta().name).end();
    if (!offer->plan_field.empty()) json.field(offer->plan_field, offer->plan_value);
    json.end().end();
    auto written = co_await client_.patch(instances, instance->meta().ns, instance->meta().name, client::PatchType::merge, json.take());
    if (!written) co_return std::unexpected(std::move(written.error()).context("refer to class and plan"));
    own_.observe(*written);
    enqueue(*written);
    co_return {};
  }

  std::string context_of(const Edited& instance) const {
    JsonWriter json;
    json.object();
    write_context(json, instance, instance.meta().name);
    json.end();
    const std::string text = json.take();  // {"context":{…}}
    constexpr size_t before = std::string_view("{\"context\":").size();
    return text.substr(before, text.size() - before - 1);
  }

  // --- provision and update ------------------------------------------------------------------------------------------

  Task<Result<void>> ask(std::string key, Edited* instance, const Offer* offer, bool there) {
    const std::string ns = instance->meta().ns;
    auto parameters = co_await gather_parameters(client_, *context_.options.brokers, ns, instance->spec(),
                                                 offer->plan_spec().find("defaultProvisionParameters"),
                                                 offer->service_spec().find("defaultProvisionParameters"));
    if (!parameters) co_return co_await hindered(key, instance, "ErrorWithParameters", parameters.error().message);
    auto access = co_await access_.open(offer->scope, offer->broker);
    if (!access) co_return co_await hindered(key, instance, "ErrorGettingAuthCredentials", access.error().message);

    // Stored before the request is sent: whoever comes after knows that something may be there.
    const bool was_required = instance->text("deprovisionStatus") == "Required";
    instance->set_copy("inProgressProperties", properties_of(*instance, *offer, *parameters).root());
    instance->set_number("observedGeneration", instance->meta().generation);
    instance->set("deprovisionStatus", "Required");
    instance->drop_condition("Failed");
    if (there) begin(instance, "Update", "UpdateInstanceRequestInFlight", "Update request for ServiceInstance in-flight to Broker");
    else begin(instance, "Provision", "ProvisionRequestInFlight", "Provision request for ServiceInstance in-flight to Broker");
    CO_TRY(co_await save(instance));

    Call call{.method = there ? "PATCH" : "PUT", .path = instance_path(instance->spec_text("externalID")) + "?accepts_incomplete=true"};
    const std::string context = context_of(*instance);
    call.body = there ? update_body(*instance, *offer, *parameters, context)
                      : provision_body(*offer, *parameters, cluster_id(), namespace_id(ns), context);
    call.identity = BrokerAccess::identity(instance->spec().find("userInfo"));
    auto answer = co_await access_.call(std::move(*access), std::move(call));
    const Verdict verdict = judge(there ? Operation::update : Operation::provision, answer);
    if (verdict.stale) co_await list_again(offer);
    if (verdict.kind == Verdict::Kind::failed) {
      const std::string called =
          quoted(offer->service_spec().string_at("externalName")) + " at broker " + quoted(offer->broker.meta().name);
      Failure failure{.orphan = verdict.orphan, .final = verdict.final};
      if (there) failure.reason = verdict.called ? "UpdateInstanceCallFailed" : "ErrorCallingUpdateInstance";
      else failure.reason = verdict.called ? "ProvisionCallFailed" : "ErrorCallingProvision";
      failure.message =
          std::string(there ? "Error updating" : "Error provisioning") + " ServiceInstance of " + called + ": " + verdict.message;
      // What an earlier request may have left is there still.
      if (!there && verdict.called && !verdict.orphan && !was_required) instance->set("deprovisionStatus", "NotRequired");
      co_return co_await failed(key, instance, std::move(failure), there);
    }
    if (const std::string_view url = verdict.body.root().string_at("dashboard_url"); !url.empty()) instance->set("dashboardURL", url);
    if (verdict.kind == Verdict::Kind::done) co_return co_await succeeded(key, instance, there);
    instance->set_flag("asyncOpInProgress", true);
    if (!verdict.operation.empty()) instance->set("lastOperation", verdict.operation);
    const std::string_view reason = there ? "UpdatingInstance" : "Provisioning";
    ready(instance, "False", reason, progress(*instance));
    CO_TRY(co_await save(instance));
    tell(*instance, EventType::normal, reason, progress(*instance));
    poll_later(key, verdict.retry_after);
    co_return {};
  }

  Task<Result<void>> succeeded(std::string key, Edited* instance, bool update) {
    if (const json::Node* properties = instance->status().find("inProgressProperties"))
      instance->set_copy("externalProperties", *properties);
    instance->set("provisionStatus", "Provisioned");
    instance->set_number("reconciledGeneration", instance->number("observedGeneration"));
    const std::string_view reason = update ? "InstanceUpdatedSuccessfully" : "ProvisionedSuccessfully";
    const std::string_view message = update ? "The instance was updated successfully" : "The instance was provisioned successfully";
    ready(instance, "True", reason, message);
    end(instance);
    CO_TRY(co_await save(instance));
    forget_failures(key);
    tell(*instance, EventType::normal, reason, message);
    if (instance->number("reconciledGeneration") != instance->meta().generation || deleting(*instance)) enqueue(key);
    co_return {};
  }

  Task<Result<void>> failed(std::string key, Edited* instance, Failure failure, bool update) {
    tell(*instance, EventType::warning, failure.reason, failure.message);
    ready(instance, "False", failure.reason, failure.message);
    if (!failure.final && out_of_time(*instance)) {
      failure.final = true;
      instance->condition("Failed", "True", "ErrorReconciliationRetryTimeout",
                          "Stopping reconciliation retries because too much time has elapsed", wall_now());
    } else if (failure.final) {
      instance->condition("Failed", "True", "ClusterServiceBrokerReturnedFailure", failure.message, wall_now());
    }
    if (failure.final) instance->set_number("reconciledGeneration", instance->number("observedGeneration"));
    if (failure.orphan && !update) {
      const std::string message =
          "The instance provision call failed with an ambiguous error; attempting to deprovision the instance in order to mitigate an "
          "orphaned resource";
      instance->condition("OrphanMitigation", "True", failure.reason, failure.message, wall_now());
      ready(instance, "False", "StartingInstanceOrphanMitigation", message);
      tell(*instance, EventType::warning, "StartingInstanceOrphanMitigation", message);
      instance->set_flag("orphanMitigationInProgress", true);
      instance->set_flag("asyncOpInProgress", false);
      instance->clear("operationStartTime");
      instance->clear("lastOperation");
      CO_TRY(co_await save(instance));
      retry_later(key, *instance);
      enqueue(key);
      co_return {};
    }
    // How long it has been tried counts on over the attempts.
    const std::string since(instance->text("operationStartTime"));
    end(instance);
    if (!failure.final && !since.empty()) instance->set("operationStartTime", since);
    CO_TRY(co_await save(instance));
    if (!failure.final) retry_later(key, *instance);
    else forget_failures(key);
    co_return {};
  }

  // --- what takes long -----------------------------------------------------------------------------------------------

  static bool removing(const Edited& instance) { return mitigating(instance) || instance.text("currentOperation") == "Deprovision"; }

  static std::string progress(const Edited& instance, std::string_view description = {}) {
    const std::string_view verb = removing(instance)                              ? "deprovisioned"
                                  : instance.text("currentOperation") == "Update" ? "updated"
                                                                                  : "provisioned";
    return "The instance is being " + std::string(verb) + " asynchronously" +
           (description.empty() ? "" : " (" + std::string(description) + ")");
  }

  Task<Result<void>> poll(std::string key, Edited* instance) {
    auto offer = offers_.follow(instance->meta().ns, instance->spec(), false);
    if (!offer) co_return co_await polled(key, instance, {.description = offer.error().message});
    auto access = co_await access_.open(offer->scope, offer->broker);
    if (!access) co_return co_await polled(key, instance, {.description = access.error().message});
    const std::string plan =
        removing(*instance) ? plan_at_broker(*instance, *offer->scope)
                            : std::string(instance->status().string_at("inProgressProperties", plan_property(*offer->scope, "ExternalID")));
    Call call{.method = "GET"};
    call.path = instance_path(instance->spec_text("externalID")) +
                last_operation(offer->service_spec().string_at("externalID"), plan, instance->text("lastOperation"));
    call.identity = BrokerAccess::identity(instance->spec().find("userInfo"));
    Poll told = read_poll(co_await access_.call(std::move(*access), std::move(call)));
    const json::Node* limit = offer->plan ? offer->plan_spec().find("maximumPollingDuration") : nullptr;
    const int64_t seconds = limit ? limit->as_int().value_or(0) : 0;
    const bool late = seconds > 0 ? out_of_time(*instance, std::chrono::seconds(seconds)) : out_of_time(*instance);
    co_return co_await polled(key, instance, std::move(told), late);
  }

  Task<Result<void>> polled(std::string key, Edited* instance, Poll told, bool late = false) {
    using State = Poll::State;
    if (told.state == State::succeeded || (told.state == State::gone && removing(*instance))) co_return co_await ended(key, instance);
    if (told.state == State::failed) co_return co_await ended_badly(key, instance, told.description);
    if (late)
      co_return co_await ended_badly(key, instance,
                                     "the broker has not come to an end in the time it has for it; last told: " + told.description);
    const bool known = told.state == State::in_progress;
    const std::string_view reason = removing(*instance)                              ? "Deprovisioning"
                                    : instance->text("currentOperation") == "Update" ? "UpdatingInstance"
                                                                                     : "Provisioning";
    ready(instance, "False", known ? reason : "ErrorPollingLastOperation",
          known ? progress(*instance, told.description) : told.description);
    CO_TRY(co_await save(instance));
    poll_later(key, told.retry_after);
    co_return {};
  }

  Task<Result<void>> ended(std::string key, Edited* instance) {
    if (removing(*instance)) co_return co_await removed(key, instance);
    co_return co_await succeeded(key, instance, instance->text("currentOperation") == "Update");
  }

  Task<Result<void>> ended_badly(std::string key, Edited* instance, std::string description) {
    if (removing(*instance)) co_return co_await not_removed(key, instance, "Deprovision call failed: " + description);
    const bool update = instance->text("currentOperation") == "Update";
    Failure failure{.orphan = !update};
    failure.reason = update ? "UpdateInstanceCallFailed" : "ProvisionCallFailed";
    failure.message = std::string(update ? "Update" : "Provision") + " call failed: " + description;
    co_return co_await failed(key, instance, std::move(failure), update);
  }

  // --- deprovision ---------------------------------------------------------------------------------------------------

  Task<Result<void>> remove(std::string key, Edited* instance) {
    const std::string_view status = instance->text("deprovisionStatus");
    if (!mitigating(*instance) && status != "Required" && status != "Failed") co_return co_await let_go(instance);
    if (status == "Failed") co_return {};
    if (!mitigating(*instance) && must_wait(key, *instance)) co_return {};
    if (bindings_.count(by_instance_, key) > 0) {
      const std::string message = "All associated ServiceBindings must be removed before this ServiceInstance can be deleted";
      ready(instance, "False", "DeprovisionBlockedByExistingCredentials", message);
      tell(*instance, EventType::warning, "DeprovisionBlockedByExistingCredentials", message);
      co_return co_await save(instance);
    }
    auto offer = offers_.follow(instance->meta().ns, instance->spec(), false);
    if (!offer)
      co_return co_await hindered(key, instance, reason_of(offer.error(), "ReferencesNonexistentServiceClass"), offer.error().message);
    auto access = co_await access_.open(offer->scope, offer->broker);
    if (!access) co_return co_await hindered(key, instance, "ErrorGettingAuthCredentials", access.error().message);
    begin(instance, mitigating(*instance) ? "Provision" : "Deprovision", "DeprovisionRequestInFlight",
          "Deprovision request for ServiceInstance in-flight to Broker");
    instance->set_number("observedGeneration", instance->meta().generation);
    CO_TRY(co_await save(instance));

    Call call{.method = "DELETE"};
    call.path = instance_path(instance->spec_text("externalID")) +
                deletion_query(offer->service_spec().string_at("externalID"), plan_at_broker(*instance, *offer->scope), true);
    call.identity = BrokerAccess::identity(instance->spec().find("userInfo"));
    const Verdict verdict = judge(Operation::deprovision, co_await access_.call(std::move(*access), std::move(call)));
    if (verdict.kind == Verdict::Kind::done) co_return co_await removed(key, instance);
    if (verdict.kind == Verdict::Kind::failed) co_return co_await not_removed(key, instance, "Error deprovisioning: " + verdict.message);
    instance->set_flag("asyncOpInProgress", true);
    if (verdict.operation.empty()) instance->clear("lastOperation");
    else instance->set("lastOperation", verdict.operation);
    ready(instance, "False", "Deprovisioning", progress(*instance));
    CO_TRY(co_await save(instance));
    tell(*instance, EventType::normal, "Deprovisioning", progress(*instance));
    poll_later(key, verdict.retry_after);
    co_return {};
  }

  Task<Result<void>> removed(std::string key, Edited* instance) {
    const bool mitigated = mitigating(*instance);
    const std::string_view reason = mitigated ? "OrphanMitigationSuccessful" : "DeprovisionedSuccessfully";
    const std::string_view message =
        mitigated ? "Orphan mitigation was completed successfully" : "The instance was deprovisioned successfully";
    instance->set_flag("orphanMitigationInProgress", false);
    instance->drop_condition("OrphanMitigation");
    instance->set("provisionStatus", "NotProvisioned");
    instance->set("deprovisionStatus", "Succeeded");
    instance->clear("externalProperties");
    instance->clear("dashboardURL");
    ready(instance, "False", reason, message);
    end(instance);
    CO_TRY(co_await save(instance));
    tell(*instance, EventType::normal, reason, message);
    if (deleting(*instance)) co_return co_await let_go(instance);
    enqueue(key);  // asked for again, when the pause after the failure has passed
    co_return {};
  }

  Task<Result<void>> not_removed(std::string key, Edited* instance, std::string message) {
    const bool given_up = out_of_time(*instance);
    const std::string_view reason = mitigating(*instance) && given_up ? "OrphanMitigationFailed" : "DeprovisionCallFailed";
    ready(instance, "Unknown", reason, message);
    tell(*instance, EventType::warning, reason, message);
    instance->set_flag("asyncOpInProgress", false);
    instance->clear("lastOperation");
    if (given_up) {
      instance->condition("Failed", "True", "ErrorReconciliationRetryTimeout",
                          "Stopping reconciliation retries because too much time has elapsed", wall_now());
      instance->set("deprovisionStatus", "Failed");
      instance->set_flag("orphanMitigationInProgress", false);
      instance->set_number("reconciledGeneration", instance->meta().generation);
      end(instance);
    }
    CO_TRY(co_await save(instance));
    if (!given_up) retry_later(key, *instance);
    co_return {};
  }

  client::Informer& bindings_;
  const client::Informer::Index by_instance_;
};

}  // namespace

std::unique_ptr<Controller> make_service_instance_controller(Context& context) {
  return context.options.brokers ? std::make_unique<InstanceController>(context) : nullptr;
}

}  // namespace estiba::controllers
