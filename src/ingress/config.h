// What the ingress proxy does with requests, as one immutable value: ports, their listeners, certificates, routes and backends. It is made
// whenever an object changes (ingress_rules.h, gateway_rules.h) and takes the place of the one before; requests under way keep theirs.
#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/executor.h"
#include "ingress/routes.h"
#include "io/tls.h"

namespace estiba::ingress {

/// Where a backend listens, and how many requests of ours it has now. Outlives configurations, so that the count is right.
struct Endpoint {
  explicit Endpoint(std::string where, bool speaks_http2 = false) : address(std::move(where)), http2(speaks_http2) {}
  const std::string address;  ///< "10.42.0.5:8080", "[fd00::5]:8080"
  const bool http2;           ///< without TLS and from the first byte on (h2c), for gRPC
  std::atomic<int> active{0};
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
  Filters filters;
};

/// What is done with a request that a route matches.
struct Action {
  Filters filters;
  std::vector<Backend> backends;
  Duration request_timeout{};  ///< for the whole answer; zero: none
  Duration backend_timeout{};  ///< for each attempt; zero: the proxy's own, until the answer's head
};

/// One listener: a port may have several, told apart by host name.
struct Listener {
  std::string owner;     ///< of the listeners of one owner only the most specific answers
  std::string hostname;  ///< "a.example", "*.example", or empty: every one
  Routes routes;
};

/// Server certificates by the name that clients ask for.
class Certificates {
 public:
  /// `hostname` as in Listener.
  void add(const std::string& hostname, io::TlsContextRef context);
  /// The most specific; without a name or a match what was added for every name, and without a name the first one. Null: none.
  io::TlsContextRef find(std::string_view server_name) const;
  bool empty() const { return !first_; }

 private:
  std::map<std::string, io::TlsContextRef, std::less<>> names_;
  io::TlsContextRef first_;
};

struct Port {
  bool tls = false;
  std::vector<std::shared_ptr<const Listener>> listeners;  ///< in the order in which they are asked
  Certificates certificates;

  /// The route for a request, or null. `host` is lower-case and without a port.
  const Route* find(std::string_view host, const RequestFacts& request) const;
  /// Puts the listeners into their order: most specific host name first, otherwise as they were added.
  void seal();
};

struct Config {
  std::map<uint16_t, Port> ports;
};
using ConfigPtr = std::shared_ptr<const Config>;

}  // namespace estiba::ingress
