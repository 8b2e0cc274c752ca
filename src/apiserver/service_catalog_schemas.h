// The kinds of the service catalogue (servicecatalog.k8s.io/v1beta1) as the Kubernetes project of that name had them: brokers of the Open
// Service Broker API, the classes and plans they offer, instances and bindings. Described in our own words; docs/service-catalogue.md
// says what is served of them.
#pragma once
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/task.h"

namespace estiba::apiserver {

class Registry;

inline constexpr std::string_view service_catalog_group = "servicecatalog.k8s.io";
/// The name under which the catalogue's controllers, like all others, ask this server.
inline constexpr std::string_view service_catalog_user = "system:kube-controller-manager";

struct ServiceCatalogKind {
  std::string_view kind, plural, singular;
  bool namespaced;
  std::string_view columns;  ///< additionalPrinterColumns as YAML
  std::string_view schema;   ///< the schemas of spec and status as YAML
};
std::span<const ServiceCatalogKind> service_catalog_kinds();

/// Changes with what is said of a kind; its definition has it as annotation estiba.dev/schema.
std::string schema_version(const ServiceCatalogKind& kind);
/// The CustomResourceDefinition of a kind, as JSON.
Result<std::string> definition_of(const ServiceCatalogKind& kind);

/// Defines those kinds that are not there yet, and renews those that are of another version of this server.
Task<Result<void>> define_service_catalog(Registry& registry);

}  // namespace estiba::apiserver
