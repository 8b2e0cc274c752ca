// Ingress objects to routes (networking.k8s.io/v1). A pure function of the objects.
//
// Rules of all Ingresses of our class are one set: the same host and path in two of them goes to the older. Paths of the type
// ImplementationSpecific are prefixes. TLS hosts without a usable Secret have no certificate. Annotations: rate_limit.h.
#pragma once
#include <functional>

#include "ingress/backends.h"

namespace estiba::ingress {

inline constexpr std::string_view ingress_controller = "estiba.dev/ingress";
inline constexpr client::Resource ingress_resource{"networking.k8s.io", "v1", "ingresses"};
inline constexpr client::Resource ingress_class_resource{"networking.k8s.io", "v1", "ingressclasses"};

/// Whether an Ingress names a class of ours, by spec.ingressClassName or the older annotation.
bool is_ours(const model::ObjectRef& ingress, const client::Informer& classes);

struct IngressPorts {
  uint16_t http = 80, https = 443;  ///< 0: not served
};

struct RuleContext {
  const Sources& sources;
  Backends& backends;
  TlsSecrets& secrets;
  /// Told what is wrong, by the object's key; may be empty.
  std::function<void(const std::string& object, const std::string& problem)> problem;
  RateLimits* limits = nullptr;  ///< null: nothing is served from this, so that clients need not be counted
};

/// Adds the listeners of `ingresses` to `config`. The TLS port is there when one of them has a usable certificate.
void add_ingresses(Config& config, const std::vector<model::ObjectRef>& ingresses, const IngressPorts& ports, RuleContext context);

}  // namespace estiba::ingress
