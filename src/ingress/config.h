// What the ingress proxy does with requests, as one immutable value: ports, their listeners, certificates, routes and backends. It is made
// whenever an object changes (ingress_rules.h, gateway_rules.h) and takes the place of the one before; requests under way keep theirs.
#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/executor.h"
#include "ingress/health.h"
#include "ingress/proxy_protocol.h"
#include "ingress/rate_limit.h"
#include "ingress/routes.h"
#include "io/tls.h"

namespace estiba::ingress {

/// Where a backend listens, and how many requests of ours it has now. Outlives configurations, so that the count is right.
struct Endpoint {
  explicit Endpoint(std::string where, bool speaks_http2 = false) : address(std::move(where)), http2(speaks_http2) {}
  const std::string address;  ///< "10.42.0.5:8080", "[fd00::5]:8080"
  const bool http2;           ///< without TLS and from the first byte on (h2c), for gRPC
  std::atomic<int> active{0};
  Health health;
};
using EndpointPtr = std::shared_ptr<Endpoint>;

/// Changes of header fields: `set` replaces, `add` appends, `remove` has lower-case names.
struct HeaderChanges {
  std::vector<io::Header> set, add;
  std::vector<std::string> remove;
  bool empty() const { return set.empty() && add.empty() && remove.empty(); }
  void apply(io::Headers& headers) const;
};

/// What becomes of the path: all of it, or the prefix that matched, is replaced.
struct PathChange {
  enum class Kind : uint8_t { none, full, prefix };
  Kind kind = Kind::none;
  std::string value;
};

struct Redirect {
  std::string scheme, host;  ///< empty: the request's
  uint16_t port = 0;         ///< 0: of the scheme when that is given, else the listener's
  PathChange path;
  int status = 302;
};

struct Rewrite {
  std::string host;  ///< empty: the request's
  PathChange path;
};

struct Backend;

/// Requests are repeated there and the answers thrown away.
struct Mirror {
  std::shared_ptr<const Backend> backend;
  uint32_t numerator = 100, denominator = 100;  ///< what part of the requests
};

struct Filters {
  HeaderChanges request, response;
  std::shared_ptr<const Redirect> redirect;
  std::shared_ptr<const Rewrite> rewrite;
  std::vector<Mirror> mirrors;
};

struct Backend {
  uint32_t weight = 1;
  std::vector<EndpointPtr> endpoints;  ///< none: 503
  bool invalid = false;                ///< what it refers to is not there or not permitted: 500
  EjectionRule ejection;
  ProxyProtocol proxy_protocol = ProxyProtocol::none;  ///< begins connections of whose bytes no HTTP is read
  Filters filters;
};

/// When a request is sent again (Gateway API, HTTPRouteRetry): after an answer with one of these codes, or none.
struct Retry {
  std::vector<int> codes;
  uint32_t attempts = 0;  ///< beside the first; 0: as without this
  Duration backoff{};     ///< before each
};

/// What is done with a request that a route matches.
struct Action {
  Filters filters;
  std::vector<Backend> backends;
  Duration request_timeout{};  ///< for the whole answer; zero: none
  Duration backend_timeout{};  ///< for each attempt; zero: the proxy's own, until the answer's head
  Retry retry;
  std::shared_ptr<RateLimit> limit;  ///< of each client's requests; null: none
};

/// One listener: a port may have several, told apart by host name.
struct Listener {
  std::string owner;      ///< of the listeners of one owner only the most specific answers
  std::string hostname;   ///< "a.example", "*.example", or empty: every one
  bool isolated = false;  ///< with TLS it answers on connections whose clients asked for its host name, and on no others (Gateway API)
  Routes routes;
};

/// Where the bytes of connections go.
struct StreamRoute {
  std::string hostname;  ///< that a TLS client asks for; "*.example"; empty: every one
  std::shared_ptr<const Action> action;
};

/// A listener of whose connections no HTTP is read.
struct StreamListener {
  std::string hostname;       ///< as in Listener; of TLS only
  io::TlsContextRef context;  ///< TLS ends here; null: there is none, or it passes through
  std::vector<StreamRoute> routes;

  /// Puts the routes into their order: most specific host name first, otherwise as they were added.
  void seal();
  const StreamRoute* find(std::string_view server_name) const;
};

/// A server certificate and whose it is.
struct Certificate {
  std::string hostname;  ///< as in Listener
  io::TlsContextRef context;
  bool isolated = false;  ///< of a listener that is
};

/// Server certificates by the name that clients ask for.
class Certificates {
 public:
  Certificates() = default;
  Certificates(Certificates&&) = default;
  Certificates& operator=(Certificates&&) = default;

  /// Of two for the same host name the first counts.
  void add(Certificate certificate);
  /// The most specific for a host, or what was added for every name. Null: none.
  const Certificate* of_host(std::string_view host) const;
  /// What a client gets who asks for this name; without a name, if none is for every name, the first one. Null: none.
  const Certificate* of_client(std::string_view server_name) const;
  bool empty() const { return names_.empty(); }

 private:
  std::map<std::string, Certificate, std::less<>> names_;  // nodes stay where they are
  const Certificate* first_ = nullptr;
};

/// Whether a request for `host` may be answered on a TLS connection (RFC 9110, 7.4; Gateway API, Listener.hostname).
struct Direction {
  int status = 0;                            ///< 0: yes; 421: on another connection; 404: on none
  const Certificate* certificate = nullptr;  ///< of the connection; null without TLS
};

struct Port {
  bool tls = false;
  std::vector<std::shared_ptr<const Listener>> listeners;      ///< in the order in which they are asked
  std::vector<std::shared_ptr<const StreamListener>> streams;  ///< with TLS beside the others, else alone
  Certificates certificates;

  bool speaks_http() const { return tls || streams.empty(); }
  /// The listener for connections whose clients ask for this name, if it is one of `streams`; null: one that speaks HTTP, or none.
  const StreamListener* stream_of(std::string_view server_name) const;

  /// `server_name`: what the client asked for in its handshake. Both are lower-case and without a port.
  Direction direct(std::string_view server_name, std::string_view host) const;
  /// The route for a request, or null. `host` is lower-case and without a port; `certificate` as direct() says.
  const Route* find(std::string_view host, const RequestFacts& request, const Certificate* certificate = nullptr) const;
  /// Puts the listeners into their order: most specific host name first, otherwise as they were added.
  void seal();
};

struct Config {
  std::map<uint16_t, Port> ports;
};
using ConfigPtr = std::shared_ptr<const Config>;

}  // namespace estiba::ingress
