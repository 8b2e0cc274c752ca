// Serves the requests of one loop: finds the route, chooses a backend by weight and of its endpoints the one with the fewest requests under
// way, passes the request on (io/reverse_proxy.h), and answers itself where there is nothing to pass it to:
//
//   404  no route          503  a backend without endpoints      500  a backend that is invalid
//   502  endpoints that cannot be reached or break off           504  none that answers in time
//   421  a host of another certificate than the connection's     429  more requests of a client than its Ingress lets it send
//
// An endpoint that cannot be reached is replaced by another one as long as nothing of the request's body has been read, and for a while the
// others are asked first (ingress/health.h). A route may have requests sent again after such answers as it names (Retry).
#pragma once
#include "base/task.h"
#include "ingress/config.h"
#include "io/http_client.h"
#include "io/http_server.h"
#include "io/reverse_proxy.h"

namespace estiba::ingress {

class Forwarder {
 public:
  /// `patience`: how long an endpoint may take to begin its answer where a route says nothing.
  explicit Forwarder(Duration patience);

  void set_config(ConfigPtr config) { config_ = std::move(config); }
  const ConfigPtr& config() const { return config_; }
  /// Connections of this loop that no HTTP is spoken on (ingress/streams.h).
  TaskGroup& sessions() { return sessions_; }
  /// The certificate for a TLS client on `port`; null refuses it.
  io::TlsContextRef certificate(uint16_t port, std::string_view server_name) const;
  Task<void> serve(uint16_t port, io::Request& request, io::Response& response);

 private:
  // Where a request goes.
  struct Plan {
    ConfigPtr config;
    const Route* route = nullptr;
    const Backend* backend = nullptr;
    std::string target;
  };
  // nullopt: it is answered.
  std::optional<Plan> plan(uint16_t port, io::Request& request, io::Response& response);
  Task<void> attempt_all(Plan plan, io::Request& request, io::Response& response);
  io::ReverseProxyOptions options_for(const Plan& plan, const Endpoint& endpoint, bool upgrade) const;
  void start_mirrors(const Filters& filters, const Route& route, const io::Request& request, const std::string& body);
  static Task<void> mirror(Forwarder* self, io::ClientRequest request, EndpointPtr endpoint);

  Duration patience_;
  ConfigPtr config_;
  io::HttpClient client_, http2_client_;
  TaskGroup sessions_;
  TaskGroup mirrors_;  // last: ends first
};

}  // namespace estiba::ingress
