// The objects that say what is served, as one thread watches them. Ingresses, Gateways and their classes always; what they refer to only
// while one of them is of a class of ours.
#pragma once
#include <memory>
#include <span>
#include <vector>

#include "ingress/gateway_rules.h"

namespace estiba::ingress {

inline constexpr client::Resource gateway_class_resource{gateway_group, "v1", "gatewayclasses"};
inline constexpr client::Resource gateway_resource{gateway_group, "v1", "gateways"};
inline constexpr client::Resource http_route_resource{gateway_group, "v1", "httproutes"};
inline constexpr client::Resource grpc_route_resource{gateway_group, "v1", "grpcroutes"};
inline constexpr client::Resource tls_route_resource{gateway_group, "v1", "tlsroutes"};
inline constexpr client::Resource tcp_route_resource{gateway_group, "v1alpha2", "tcproutes"};
inline constexpr client::Resource reference_grant_resource{gateway_group, "v1", "referencegrants"};

/// The kinds of routes, and where they are.
struct RouteKind {
  std::string_view kind;
  client::Resource resource;
};
std::span<const RouteKind> all_route_kinds();

/// Whether a GatewayClass names our controller.
bool is_our_class(const model::ObjectRef& gateway_class);

class Objects {
 public:
  /// `changed` is set when the configuration may have become another one. `client` and `changed` outlive this. Without `all_secrets` the
  /// Secrets are watched that make() found named.
  Objects(client::Client& client, Event& changed, bool all_secrets = true);
  ~Objects();

  Task<void> wait_synced();
  /// Of classes of ours.
  std::vector<model::ObjectRef> ingresses() const;
  std::vector<model::ObjectRef> gateways() const;
  std::vector<model::ObjectRef> gateway_classes() const;

  /// Watches what they refer to, and waits until it is known; at once when it is.
  Task<void> open();
  /// Forgets it.
  void close();
  bool is_open() const { return opened_ != nullptr; }

  struct Made {
    ConfigPtr config;
    GatewayOutcome gateways;
    std::map<std::string, std::string> problems;  ///< by Ingress
  };
  /// The configuration as it is now; after open().
  Made make(const IngressPorts& ports);

  /// All routes of every kind; after open().
  std::vector<model::ObjectRef> routes() const;

 private:
  struct Opened;
  client::Client& client_;
  Event& changed_;
  const bool all_secrets_;
  client::Informer ingresses_, ingress_classes_, gateways_, gateway_classes_;
  Backends backends_;
  TlsSecrets secrets_;
  RateLimits limits_;
  std::unique_ptr<Opened> opened_;
};

}  // namespace estiba::ingress
