// ServiceBinding: credentials of an instance, asked of its broker and put into a Secret; revoked when the binding is deleted.
// status.unbindStatus is Required from before the first request until it is known that the broker holds nothing.
#include "base/strings.h"
#include "controllers/catalog/credentials.h"
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

/// An instance, what it is of, and how its broker is asked.
struct Bound {
  json::Document instance;
  Offer offer;
  std::string plan;  ///< by the broker's identifier
  const json::Node& instance_spec() const { return *instance.root().find("spec"); }
  bool flag(std::string_view field) const {
    const json::Node* value = offer.service_spec().find(field);
    return value && value->as_bool();
  }
  /// Whether credentials can be fetched afterwards; only then are they made while nobody waits.
  bool retrievable() const { return flag("bindingRetrievable"); }
  bool bindable() const {
    const json::Node* of_plan = offer.plan ? offer.plan_spec().find("bindable") : nullptr;
    return of_plan ? of_plan->as_bool() : flag("bindable");
  }
};

bool is_ready(const ObjectRef& object) {
  if (!object) return false;
  auto edited = Edited::of(object);
  return edited && edited->is("Ready");
}

class BindingController final : public OperationController {
 public:
  explicit BindingController(Context& context)
      : OperationController(context, "service-catalog-binding", bindings),
        instances_(informer(instances)),
        by_instance_(instance_index(own_)) {
    instances_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      if (!after || own_.count(by_instance_, client::key_of(after)) == 0 || !is_ready(after) || is_ready(before)) return;
      own_.each(by_instance_, client::key_of(after), [this](const ObjectRef& binding) {
        forget_failures(client::key_of(binding));
        enqueue(binding);
      });
    });
  }

 private:
  static bool deleting(const Edited& binding) { return !binding.meta().deletion_timestamp.empty(); }
  static bool mitigating(const Edited& binding) { return binding.flag("orphanMitigationInProgress"); }
  static bool removing(const Edited& binding) { return mitigating(binding) || binding.text("currentOperation") == "UnBind"; }

  Task<Result<void>> step(std::string key, Edited* binding) override {
    if (binding->flag("asyncOpInProgress")) co_return co_await poll(key, binding);
    if (deleting(*binding) || mitigating(*binding)) co_return co_await remove(key, binding);
    if (binding->number("reconciledGeneration") == binding->meta().generation || must_wait(key, *binding)) co_return {};
    if (binding->text("unbindStatus").empty()) binding->set("unbindStatus", "NotRequired");
    auto bound = find(*binding);
    if (!bound) co_return co_await hindered(key, binding, reason_of(bound.error(), "ReferencesNonexistentInstance"), bound.error().message);
    const auto instance = Edited::of(instances_.get(instance_key(*binding)));
    if (instance->flag("asyncOpInProgress"))
      co_return co_await hindered(key, binding, "ErrorAsyncOperationInProgress", "The instance has an asynchronous operation in progress");
    if (!instance->is("Ready") || !instance->meta().deletion_timestamp.empty())
      co_return co_await hindered(key, binding, "ErrorInstanceNotReady",
                                  "Binding cannot begin because the referenced ServiceInstance is not ready");
    if (!bound->bindable()) {
      const std::string message = "References a non-bindable service class " +
                                  quoted(bound->offer.service_spec().string_at("externalName")) + " and plan " +
                                  quoted(bound->offer.plan_spec().string_at("externalName")) + " combination";
      ready(binding, "False", "ErrorNonbindableServiceClass", message);
      co_return co_await give_up(key, binding, "ErrorNonbindableServiceClass", message);
    }
    // Before anything is asked for that nobody could be given.
    auto free = co_await check_secret(client_, std::string(binding->spec_text("secretName")), binding->meta());
    if (!free) co_return co_await hindered(key, binding, "ErrorInjectingBindResult", free.error().message);
    co_return co_await ask(key, binding, &*bound);
  }

  static std::string instance_key(const Edited& binding) {
    return client::key_of(binding.meta().ns, binding.spec().string_at("instanceRef", "name"));
  }

  Result<Bound> find(const Edited& binding) {
    const ObjectRef instance = instances_.get(instance_key(binding));
    if (!instance)
      return problem("ReferencesNonexistentInstance", "References a non-existent ServiceInstance " + quoted(instance_key(binding)));
    const Edited read = TRY(Edited::of(instance));
    Bound out{.instance = TRY(json::Document::parse(instance.object->json()))};
    out.offer = TRY(offers_.follow(instance.meta().ns, out.instance_spec(), false));
    out.plan = plan_at_broker(read, *out.offer.scope);
    return out;
  }

  /// "/v2/service_instances/ID/service_bindings/ID"
  static std::string path_of(const Edited& binding, const Bound& bound) {
    return instance_path(bound.instance_spec().string_at("externalID")) + "/service_bindings/" +
           url_escape(binding.spec_text("externalID"));
  }

  // --- bind ----------------------------------------------------------------------------------------------------------

  Task<Result<void>> ask(std::string key, Edited* binding, const Bound* bound) {
    auto parameters = co_await gather_parameters(client_, *context_.options.brokers, binding->meta().ns, binding->spec());
    if (!parameters) co_return co_await hindered(key, binding, "ErrorWithParameters", parameters.error().message);
    auto access = co_await access_.open(bound->offer.scope, bound->offer.broker);
    if (!access) co_return co_await hindered(key, binding, "ErrorGettingAuthCredentials", access.error().message);

    // Stored before the request is sent: whoever comes after knows that something may be there.
    const bool was_required = binding->text("unbindStatus") == "Required";
    JsonWriter properties;
    properties.object();
    if (!parameters->told.empty()) properties.raw("parameters", parameters->told).field("parameterChecksum", parameters->checksum);
    if (const json::Node* user = binding->spec().find("userInfo")) properties.raw("userInfo", json::print(*user));
    binding->set_copy("inProgressProperties", CO_TRY(json::Document::parse(properties.end().take())).root());
    binding->set("unbindStatus", "Required");
    binding->drop_condition("Failed");
    begin(binding, "Bind", "BindingRequestInFlight", "Binding request for ServiceBinding in-flight to Broker");
    CO_TRY(co_await save(binding));

    Call call{.method = "PUT", .path = path_of(*binding, *bound) + (bound->retrievable() ? "?accepts_incomplete=true" : "")};
    JsonWriter json;
    json.object().field("service_id", bound->offer.service_spec().string_at("externalID")).field("plan_id", bound->plan);
    json.object("bind_resource").field("app_guid", namespace_id(binding->meta().ns)).end();
    write_context(json, *binding, binding->spec().string_at("instanceRef", "name"));
    if (!parameters->sent.empty()) json.raw("parameters", parameters->sent);
    call.body = json.end().take();
    call.identity = BrokerAccess::identity(binding->spec().find("userInfo"));
    Verdict verdict = judge(Operation::bind, co_await access_.call(std::move(*access), std::move(call)));
    if (verdict.stale) co_await list_again(&bound->offer);
    if (verdict.kind == Verdict::Kind::under_way && !bound->retrievable()) {
      verdict.kind = Verdict::Kind::failed;
      verdict.orphan = true;
      verdict.message = "the broker binds asynchronously, but its bindings cannot be retrieved (bindings_retrievable)";
    }
    if (verdict.kind == Verdict::Kind::failed) {
      if (verdict.called && !verdict.orphan && !was_required) binding->set("unbindStatus", "NotRequired");
      co_return co_await failed(key, binding, "Error creating ServiceBinding: " + verdict.message, verdict.orphan, verdict.final);
    }
    if (verdict.kind == Verdict::Kind::done) co_return co_await inject(key, binding, verdict.body.root().find("credentials"));
    binding->set_flag("asyncOpInProgress", true);
    if (!verdict.operation.empty()) binding->set("lastOperation", verdict.operation);
    ready(binding, "False", "Binding", "The binding is being created asynchronously");
    CO_TRY(co_await save(binding));
    tell(*binding, EventType::normal, "Binding", "The binding is being created asynchronously");
    poll_later(key, verdict.retry_after);
    co_return {};
  }

  Task<Result<void>> inject(std::string key, Edited* binding, const json::Node* credentials) {
    const model::Meta meta = binding->meta();
    json::Document none;
    if (!credentials || !credentials->is_object()) {
      none.set_root(none.make_object());
      credentials = &none.root();
    }
    auto data = co_await transform(client_, meta.ns, data_of(*credentials), *credentials, binding->spec().find("secretTransforms"));
    Result<void> written;
    if (data) written = co_await write_secret(client_, std::string(binding->spec_text("secretName")), *data, meta);
    else written = std::unexpected(data.error());
    if (!written) {
      // The broker gives the same again when it is asked again.
      end_keeping_time(binding);
      co_return co_await hindered(key, binding, "ErrorInjectingBindResult", "Error injecting bind result: " + written.error().message);
    }
    if (const json::Node* properties = binding->status().find("inProgressProperties")) binding->set_copy("externalProperties", *properties);
    ready(binding, "True", "InjectedBindResult", "Injected bind result");
    binding->set_number("reconciledGeneration", binding->meta().generation);
    end(binding);
    CO_TRY(co_await save(binding));
    forget_failures(key);
    tell(*binding, EventType::normal, "InjectedBindResult", "Injected bind result");
    if (deleting(*binding)) enqueue(key);
    co_return {};
  }

  /// How long it has been tried counts on over the attempts.
  static void end_keeping_time(Edited* binding) {
    const std::string since(binding->text("operationStartTime"));
    end(binding);
    if (!since.empty()) binding->set("operationStartTime", since);
  }

  Task<Result<void>> give_up(std::string key, Edited* binding, std::string reason, std::string message) {
    binding->condition("Failed", "True", reason, message, wall_now());
    binding->set_number("reconciledGeneration", binding->meta().generation);
    tell(*binding, EventType::warning, reason, message);
    end(binding);
    CO_TRY(co_await save(binding));
    forget_failures(key);
    co_return {};
  }

  Task<Result<void>> failed(std::string key, Edited* binding, std::string message, bool orphan, bool final) {
    ready(binding, "False", "BindCallFailed", message);
    tell(*binding, EventType::warning, "BindCallFailed", message);
    if (orphan) {
      binding->set_flag("orphanMitigationInProgress", true);
      binding->set_flag("asyncOpInProgress", false);
      binding->clear("operationStartTime");
      binding->clear("lastOperation");
      CO_TRY(co_await save(binding));
      retry_later(key, *binding);
      enqueue(key);
      co_return {};
    }
    if (final) co_return co_await give_up(key, binding, "ClusterServiceBrokerReturnedFailure", message);
    if (out_of_time(*binding))
      co_return co_await give_up(key, binding, "ErrorReconciliationRetryTimeout",
                                 "Stopping reconciliation retries because too much time has elapsed");
    end_keeping_time(binding);
    CO_TRY(co_await save(binding));
    retry_later(key, *binding);
    co_return {};
  }

  // --- what takes long -----------------------------------------------------------------------------------------------

  Task<Result<void>> poll(std::string key, Edited* binding) {
    auto bound = find(*binding);
    if (!bound) co_return co_await polled(key, binding, {.description = bound.error().message});
    auto access = co_await access_.open(bound->offer.scope, bound->offer.broker);
    if (!access) co_return co_await polled(key, binding, {.description = access.error().message});
    Call call{.method = "GET"};
    call.path = path_of(*binding, *bound) +
                last_operation(bound->offer.service_spec().string_at("externalID"), bound->plan, binding->text("lastOperation"));
    call.identity = BrokerAccess::identity(binding->spec().find("userInfo"));
    Poll told = read_poll(co_await access_.call(*access, std::move(call)));
    if (told.state == Poll::State::succeeded && !removing(*binding)) co_return co_await fetch(key, binding, &*bound, std::move(*access));
    const json::Node* limit = bound->offer.plan ? bound->offer.plan_spec().find("maximumPollingDuration") : nullptr;
    const int64_t seconds = limit ? limit->as_int().value_or(0) : 0;
    const bool late = seconds > 0 ? out_of_time(*binding, std::chrono::seconds(seconds)) : out_of_time(*binding);
    co_return co_await polled(key, binding, std::move(told), late);
  }

  Task<Result<void>> polled(std::string key, Edited* binding, Poll told, bool late = false) {
    using State = Poll::State;
    const bool goes = removing(*binding);
    if (goes && (told.state == State::succeeded || told.state == State::gone)) co_return co_await removed(key, binding);
    if (late && told.state != State::failed)
      told.description = "the broker has not come to an end in the time it has for it; last told: " + told.description;
    if (late || told.state == State::failed) {
      if (goes) co_return co_await not_removed(key, binding, "Unbind call failed: " + told.description);
      co_return co_await failed(key, binding, "Bind call failed: " + told.description, true, false);
    }
    if (told.state == State::in_progress)
      ready(binding, "False", goes ? "Unbinding" : "Binding",
            std::string("The binding is being ") + (goes ? "deleted" : "created") + " asynchronously" +
                (told.description.empty() ? "" : " (" + told.description + ")"));
    else ready(binding, "False", "ErrorPollingLastOperation", told.description);
    CO_TRY(co_await save(binding));
    poll_later(key, told.retry_after);
    co_return {};
  }

  /// The credentials of a binding that was made while nobody waited.
  Task<Result<void>> fetch(std::string key, Edited* binding, const Bound* bound, Access access) {
    Call call{.method = "GET", .path = path_of(*binding, *bound)};
    call.path += "?service_id=" + url_escape(bound->offer.service_spec().string_at("externalID")) + "&plan_id=" + url_escape(bound->plan);
    call.identity = BrokerAccess::identity(binding->spec().find("userInfo"));
    auto answer = co_await access_.call(std::move(access), std::move(call));
    // Read like what is asked for at once: 200 and an object.
    const Verdict verdict = judge(Operation::update, answer);
    if (verdict.kind == Verdict::Kind::done) co_return co_await inject(key, binding, verdict.body.root().find("credentials"));
    const std::string message = "Could not do a GET on binding resource: " + verdict.message;
    ready(binding, "False", "FetchingBindingFailed", message);
    tell(*binding, EventType::warning, "FetchingBindingFailed", message);
    CO_TRY(co_await save(binding));
    poll_later(key, 0);
    co_return {};
  }

  // --- unbind --------------------------------------------------------------------------------------------------------

  Task<Result<void>> remove(std::string key, Edited* binding) {
    const std::string_view status = binding->text("unbindStatus");
    if (!mitigating(*binding) && must_wait(key, *binding)) co_return {};
    auto ejected = co_await remove_secret(client_, std::string(binding->spec_text("secretName")), binding->meta());
    if (!ejected) co_return co_await hindered(key, binding, "ErrorEjectingServiceBinding", ejected.error().message);
    if (!mitigating(*binding) && status != "Required" && status != "Failed") co_return co_await let_go(binding);
    if (status == "Failed") co_return {};
    auto bound = find(*binding);
    if (!bound) co_return co_await hindered(key, binding, reason_of(bound.error(), "ReferencesNonexistentInstance"), bound.error().message);
    auto access = co_await access_.open(bound->offer.scope, bound->offer.broker);
    if (!access) co_return co_await hindered(key, binding, "ErrorGettingAuthCredentials", access.error().message);
    begin(binding, mitigating(*binding) ? "Bind" : "UnBind", "UnbindingRequestInFlight",
          "Unbind request for ServiceBinding in-flight to Broker");
    CO_TRY(co_await save(binding));

    Call call{.method = "DELETE"};
    call.path =
        path_of(*binding, *bound) + deletion_query(bound->offer.service_spec().string_at("externalID"), bound->plan, bound->retrievable());
    call.identity = BrokerAccess::identity(binding->spec().find("userInfo"));
    const Verdict verdict = judge(Operation::unbind, co_await access_.call(std::move(*access), std::move(call)));
    if (verdict.kind == Verdict::Kind::done) co_return co_await removed(key, binding);
    if (verdict.kind == Verdict::Kind::failed) co_return co_await not_removed(key, binding, "Error unbinding: " + verdict.message);
    binding->set_flag("asyncOpInProgress", true);
    if (verdict.operation.empty()) binding->clear("lastOperation");
    else binding->set("lastOperation", verdict.operation);
    ready(binding, "False", "Unbinding", "The binding is being deleted asynchronously");
    CO_TRY(co_await save(binding));
    tell(*binding, EventType::normal, "Unbinding", "The binding is being deleted asynchronously");
    poll_later(key, verdict.retry_after);
    co_return {};
  }

  Task<Result<void>> removed(std::string key, Edited* binding) {
    const bool mitigated = mitigating(*binding);
    const std::string_view reason = mitigated ? "OrphanMitigationSuccessful" : "UnboundSuccessfully";
    const std::string_view message = mitigated ? "Orphan mitigation was completed successfully" : "The binding was deleted successfully";
    binding->set_flag("orphanMitigationInProgress", false);
    binding->set("unbindStatus", "Succeeded");
    binding->clear("externalProperties");
    ready(binding, "False", reason, message);
    end(binding);
    CO_TRY(co_await save(binding));
    tell(*binding, EventType::normal, reason, message);
    if (deleting(*binding)) co_return co_await let_go(binding);
    enqueue(key);  // asked for again, when the pause after the failure has passed
    co_return {};
  }

  Task<Result<void>> not_removed(std::string key, Edited* binding, std::string message) {
    const bool given_up = out_of_time(*binding);
    ready(binding, "Unknown", "UnbindCallFailed", message);
    tell(*binding, EventType::warning, "UnbindCallFailed", message);
    binding->set_flag("asyncOpInProgress", false);
    binding->clear("lastOperation");
    if (given_up) {
      binding->set("unbindStatus", "Failed");
      binding->set_flag("orphanMitigationInProgress", false);
      co_return co_await give_up(key, binding, "ErrorReconciliationRetryTimeout",
                                 "Stopping reconciliation retries because too much time has elapsed");
    }
    CO_TRY(co_await save(binding));
    retry_later(key, *binding);
    co_return {};
  }

  client::Informer& instances_;
  const client::Informer::Index by_instance_;
};

}  // namespace

std::unique_ptr<Controller> make_service_binding_controller(Context& context) {
  return context.options.brokers ? std::make_unique<BindingController>(context) : nullptr;
}

}  // namespace estiba::controllers
