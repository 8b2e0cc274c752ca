// The objects of Gateway API as the proxy reads them: the JSON of custom resources, whose form the API server has checked and whose
// defaults it has filled in, as structs.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/executor.h"
#include "ingress/config.h"
#include "model/json.h"
#include "model/object.h"
#include "model/selector.h"

namespace estiba::ingress {

inline constexpr std::string_view gateway_group = "gateway.networking.k8s.io";
inline constexpr std::string_view gateway_controller = "estiba.dev/gateway";

/// A reference to an object, with a namespace.
struct Reference {
  std::string group, kind, ns, name;
  std::optional<uint16_t> port;
  std::string key() const { return ns + "/" + name; }
};

struct GatewayListener {
  std::string name, hostname, protocol;
  uint16_t port = 0;
  bool terminates = true;
  std::vector<Reference> certificates;
  std::string from = "Same";  ///< whose routes: All, Same, Selector
  model::LabelSelector selector;
  std::vector<std::pair<std::string, std::string>> kinds;  ///< group and kind; none: what the protocol takes
};

struct Gateway {
  std::string ns, name, class_name, age;
  int64_t generation = 0;
  bool asks_for_addresses = false;
  std::vector<GatewayListener> listeners;
  std::string key() const { return ns + "/" + name; }
};

struct ParentRef {
  Reference gateway;
  std::string section;
  json::Node const* written = nullptr;  ///< as it stands in the object, to be repeated in the status
};

/// A filter whose references are not looked up yet.
struct RouteFilters {
  Filters filters;
  struct MirrorTo {
    Reference backend;
    uint32_t numerator, denominator;
  };
  std::vector<MirrorTo> mirrors;
  std::string unsupported;  ///< names what cannot be done, when not empty
};

struct BackendRef {
  Reference to;
  uint32_t weight = 1;
  RouteFilters filters;
};

struct RouteRule {
  std::vector<Match> matches;
  RouteFilters filters;
  std::vector<BackendRef> backends;
  Duration request_timeout{}, backend_timeout{};
  Retry retry;
  std::string unsupported;
};

/// An HTTPRoute, or a GRPCRoute, whose methods are paths and whose backends speak HTTP/2. Or a TLSRoute or TCPRoute: their first rule
/// counts, which has backends alone.
struct HttpRoute {
  std::string kind, ns, name, age;
  int64_t generation = 0;
  std::vector<ParentRef> parents;
  std::vector<std::string> hostnames;
  std::vector<RouteRule> rules;
  std::shared_ptr<const json::Document> document;  // what `written` points into
  std::string key() const { return ns + "/" + name; }
};

/// "1h30m", "500ms" (GEP-2257); zero when it is empty or says so.
Duration gateway_duration(std::string_view text);

Gateway read_gateway(const model::ObjectRef& object);
/// By the object's kind.
HttpRoute read_route(const model::ObjectRef& object);
inline constexpr std::string_view http_route_kind = "HTTPRoute", grpc_route_kind = "GRPCRoute", tls_route_kind = "TLSRoute",
                                  tcp_route_kind = "TCPRoute";

/// What ReferenceGrants permit: references from one namespace to objects in another.
class Grants {
 public:
  void add(const model::ObjectRef& grant);
  /// Whether objects of `from_kind` in `from_ns` may refer to `to`; always within a namespace.
  bool permit(std::string_view from_kind, std::string_view from_ns, const Reference& to) const;

 private:
  struct Grant {
    std::string from_group, from_kind, from_ns, to_group, to_kind, to_ns, to_name;  // no name: all
  };
  std::vector<Grant> grants_;
};

}  // namespace estiba::ingress
