// Backends of Services as EndpointSlices say: where the ready endpoints of a port are.
#pragma once
#include <map>
#include <set>
#include <string>

#include "client/informer.h"
#include "ingress/config.h"
#include "ingress/secrets.h"

namespace estiba::ingress {

/// The objects that references lead to, as they are known now. All by key "ns/name".
class Sources {
 public:
  explicit Sources(client::Client& client, bool all_secrets = true);
  client::Informer services, slices, namespaces;
  Secrets secrets;
  client::Informer::Index by_service;  ///< of slices
  Task<void> wait_synced();
};

/// What annotations of a Service say of how it is served.
struct BackendTraits {
  EjectionRule ejection;                               ///< estiba.dev/eject-after
  ProxyProtocol proxy_protocol = ProxyProtocol::none;  ///< estiba.dev/proxy-protocol
  std::string problem;                                 ///< what cannot be understood, and counts for nothing
};
BackendTraits traits_of(const Sources& sources, const std::string& service);

class Backends {
 public:
  /// Begins a configuration: what is asked for from now on is used().
  void begin() { services_.clear(); }
  /// The ready endpoints of a service's port, which speak HTTP/2 where its appProtocol says so or `http2` is asked for; nullopt: there is
  /// no such service or port. A service without a selector or headless is as good as any, ExternalName is none.
  std::optional<std::vector<EndpointPtr>> endpoints(const Sources& sources, const std::string& service, int32_t port,
                                                    std::string_view port_name = {}, bool http2 = false);
  /// Keys of the services that were asked for.
  const std::set<std::string, std::less<>>& used() const { return services_; }

 private:
  EndpointPtr at(const std::string& address, bool http2);
  std::set<std::string, std::less<>> services_;
  std::map<std::pair<std::string, bool>, std::weak_ptr<Endpoint>> known_;  // by address and protocol
};

/// TLS contexts of Secrets of the type kubernetes.io/tls, made once per content.
class TlsSecrets {
 public:
  void begin() { used_.clear(); }
  /// Null when there is no such Secret or what it holds cannot be used; then `why` says so, unless it is not known yet. A certificate whose
  /// time is over is served all the same, for clients to judge, but `why` tells of it.
  /// `http`: the context offers clients the protocols of HTTP (ALPN); otherwise none.
  io::TlsContextRef context(const Sources& sources, const std::string& secret, std::string* why, bool http = true);
  const std::set<std::string, std::less<>>& used() const { return used_; }

 private:
  struct Made {
    int64_t revision;
    io::TlsContextRef context;
    std::string why;
    WallTime not_after{};
  };
  std::set<std::string, std::less<>> used_;
  std::map<std::pair<std::string, bool>, Made> made_;  // by key and `http`
};

}  // namespace estiba::ingress
