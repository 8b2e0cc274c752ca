#include "controllers/catalog/offers.h"

#include "base/strings.h"

namespace estiba::controllers::catalog {

using model::ObjectRef;

namespace {

constexpr std::string_view no_class = "ReferencesNonexistentServiceClass", no_plan = "ReferencesNonexistentServicePlan",
                           no_broker = "ReferencesNonexistentBroker";

// The ways of naming a class or plan, after the field's beginning ("clusterServiceClass").
struct Naming {
  std::string_view ending, looked_at;  // the entry's field in its spec; empty: its name
};
constexpr Naming namings[] = {{"ExternalName", "externalName"}, {"ExternalID", "externalID"}, {"Name", ""}};

std::string field_of(const Scope& scope, std::string_view kind, const Naming& naming) {
  return std::string(scope.cluster ? "clusterS" : "s") + std::string(kind) + std::string(naming.ending);
}

/// How a spec names a class ("erviceClass") or a plan ("ervicePlan"): the value, and where it stands in the entry.
std::pair<std::string_view, const Naming*> named(const Scope& scope, const json::Node& spec, std::string_view kind) {
  for (const Naming& naming : namings)
    if (const std::string_view value = spec.string_at(field_of(scope, kind, naming)); !value.empty()) return {value, &naming};
  return {{}, nullptr};
}
constexpr std::string_view class_kind = "erviceClass", plan_kind = "ervicePlan";

std::vector<ObjectRef> entries(client::Informer& informer, const Scope& scope, std::string_view ns, std::string_view value,
                               const Naming& naming) {
  if (naming.looked_at.empty()) {
    const ObjectRef one = informer.get(scope.cluster ? std::string_view{} : ns, value);
    return one ? std::vector<ObjectRef>{one} : std::vector<ObjectRef>{};
  }
  std::vector<ObjectRef> out;
  informer.each([&](const ObjectRef& object) {
    if (!scope.cluster && object.meta().ns != ns) return;
    auto doc = json::Document::parse(object.object->json());
    if (doc && doc->root().string_at("spec", naming.looked_at) == value) out.push_back(object);
  });
  return out;
}

}  // namespace

std::unexpected<Error> problem(std::string_view reason, std::string message) {
  auto out = fail(Code::invalid, std::move(message));
  out.error().details = std::make_shared<ErrorDetails>();
  out.error().details->reason = reason;
  return out;
}

std::string reason_of(const Error& error, std::string_view otherwise) {
  return error.details && error.code == Code::invalid && !error.details->reason.empty() ? error.details->reason : std::string(otherwise);
}

bool Offer::withdrawn(const json::Document& entry) {
  const json::Node* removed = entry.root().at("status", "removedFromBrokerCatalog");
  return removed && removed->as_bool();
}

Offers::Offers(Context& context) {
  const auto of = [&](const Scope& scope) {
    return Known{&context.informers.of(scope.brokers), &context.informers.of(scope.classes), &context.informers.of(scope.plans)};
  };
  cluster_ = of(cluster_scope);
  namespaced_ = of(namespaced_scope);
}

const Scope* Offers::scope_of(const json::Node& spec) {
  for (const Scope* scope : {&cluster_scope, &namespaced_scope})
    if (named(*scope, spec, class_kind).second) return scope;
  return nullptr;
}

std::string Offers::class_name(const json::Node& spec) {
  const Scope* scope = scope_of(spec);
  if (!scope) return {};
  return std::string(scope->cluster ? "ClusterServiceClass/" : "ServiceClass/") + std::string(named(*scope, spec, class_kind).first);
}

std::string Offers::plan_name(const json::Node& spec) {
  const Scope* scope = scope_of(spec);
  return scope ? std::string(named(*scope, spec, plan_kind).first) : std::string();
}

Result<Offer> Offers::complete(const Scope* scope, std::string_view ns, ObjectRef service) {
  Offer out{.scope = scope, .service = std::move(service)};
  out.service_doc = TRY(json::Document::parse(out.service.object->json()));
  const std::string_view broker = out.service_doc.root().string_at("spec", scope->broker_field);
  out.broker = known(*scope).brokers->get(scope->cluster ? std::string_view{} : ns, broker);
  if (!out.broker) return problem(no_broker, "References a non-existent " + std::string(scope->broker_kind) + " " + quoted(broker));
  return out;
}

Result<void> Offers::choose_plan(Offer& offer, const json::Node& spec) {
  const auto [value, naming] = named(*offer.scope, spec, plan_kind);
  const std::string class_called = quoted(offer.service_spec().string_at("externalName"));
  std::vector<ObjectRef> found;
  std::vector<std::string> others;
  known(*offer.scope).plans->each([&](const ObjectRef& plan) {
    if (plan.meta().ns != offer.service.meta().ns) return;
    auto doc = json::Document::parse(plan.object->json());
    if (!doc || doc->root().string_at("spec", offer.scope->class_reference, "name") != offer.service.meta().name) return;
    const bool matches = !naming ? !Offer::withdrawn(*doc)
                                 : (naming->looked_at.empty() ? std::string_view(plan.meta().name)
                                                              : doc->root().string_at("spec", naming->looked_at)) == value;
    if (matches) found.push_back(plan);
    others.emplace_back(doc->root().string_at("spec", "externalName"));
  });
  std::sort(others.begin(), others.end());
  if (found.size() == 1) {
    offer.plan = found[0];
    offer.plan_doc = TRY(json::Document::parse(offer.plan.object->json()));
    if (naming) return {};
    const Naming& as_class = *named(*offer.scope, spec, class_kind).second;
    offer.plan_field = field_of(*offer.scope, plan_kind, as_class);
    offer.plan_value = as_class.looked_at.empty() ? offer.plan.meta().name : offer.plan_spec().string_at(as_class.looked_at);
    return {};
  }
  if (naming)
    return problem(no_plan, "References a non-existent service plan " + quoted(value) + " of class " + class_called + ": its plans are " +
                                join(others, ", "));
  return problem(no_plan, "The instance names no plan, and class " + class_called + " has " + std::to_string(found.size()) +
                              ": choose one of " + join(others, ", "));
}

Result<Offer> Offers::find(std::string_view ns, const json::Node& spec) {
  const Scope* scope = scope_of(spec);
  if (!scope) return problem(no_class, "The instance names no class");
  const auto [value, naming] = named(*scope, spec, class_kind);
  const std::vector<ObjectRef> found = entries(*known(*scope).classes, *scope, ns, value, *naming);
  if (found.empty()) return problem(no_class, "References a non-existent service class " + quoted(value));
  if (found.size() > 1)
    return problem(no_class,
                   "Several brokers offer a service class " + quoted(value) + ": name it by its external identifier or its object's name");
  Offer out = TRY(complete(scope, ns, found[0]));
  TRY(choose_plan(out, spec));
  return out;
}

Result<Offer> Offers::follow(std::string_view ns, const json::Node& spec, bool plan_needed) {
  for (const Scope* scope : {&cluster_scope, &namespaced_scope}) {
    const std::string_view at = scope->cluster ? std::string_view{} : ns;
    const std::string_view class_called = spec.string_at(scope->class_reference, "name");
    if (class_called.empty()) continue;
    const ObjectRef service = known(*scope).classes->get(at, class_called);
    if (!service) return problem(no_class, "References a non-existent service class " + quoted(class_called));
    Offer out = TRY(complete(scope, ns, service));
    const std::string_view plan_called = spec.string_at(scope->plan_reference, "name");
    out.plan = plan_called.empty() ? ObjectRef{} : known(*scope).plans->get(at, plan_called);
    if (out.plan) out.plan_doc = TRY(json::Document::parse(out.plan.object->json()));
    else if (plan_needed) return problem(no_plan, "References a non-existent service plan " + quoted(plan_called));
    return out;
  }
  return problem(no_class, "The instance's class has not been found yet");
}

}  // namespace estiba::controllers::catalog
