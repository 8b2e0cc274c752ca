// What an instance refers to: a class, one of its plans, and the broker that offers both.
#pragma once
#include "controllers/catalog/kinds.h"
#include "controllers/framework.h"
#include "model/json.h"

namespace estiba::controllers::catalog {

/// A failure with the reason that a condition gives for it.
std::unexpected<Error> problem(std::string_view reason, std::string message);
std::string reason_of(const Error& error, std::string_view otherwise);

struct Offer {
  const Scope* scope = nullptr;
  model::ObjectRef service, plan, broker;  ///< the plan may be missing where it is not asked for
  json::Document service_doc, plan_doc;
  std::string plan_field, plan_value;  ///< how the spec is to name a plan that was chosen for it; else empty
  const json::Node& service_spec() const { return *service_doc.root().find("spec"); }
  const json::Node& plan_spec() const { return *plan_doc.root().find("spec"); }
  /// Whether the class, or the plan, is in the broker's catalogue no longer.
  static bool withdrawn(const json::Document& entry);
};

class Offers {
 public:
  explicit Offers(Context& context);

  /// Which scope a spec names its class in; null when it names none.
  static const Scope* scope_of(const json::Node& spec);
  /// The class and plan as a spec's fields name them, for status.userSpecified…Name.
  static std::string class_name(const json::Node& spec);
  static std::string plan_name(const json::Node& spec);

  /// By the names in a spec: looked for by name, external name or external identifier. Without a plan the class's only one is taken.
  /// Problems: ReferencesNonexistentServiceClass, ReferencesNonexistentServicePlan (none, or several without a choice),
  /// ReferencesNonexistentBroker.
  Result<Offer> find(std::string_view ns, const json::Node& spec);
  /// By the references in a spec, which have been found before. Without the plan if it is gone and `plan_needed` is false.
  Result<Offer> follow(std::string_view ns, const json::Node& spec, bool plan_needed = true);

 private:
  struct Known {
    client::Informer *brokers, *classes, *plans;
  };
  Known& known(const Scope& scope) { return scope.cluster ? cluster_ : namespaced_; }
  Result<Offer> complete(const Scope* scope, std::string_view ns, model::ObjectRef service);
  Result<void> choose_plan(Offer& offer, const json::Node& spec);

  Known cluster_, namespaced_;
};

}  // namespace estiba::controllers::catalog
