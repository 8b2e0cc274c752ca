// Gateways and HTTPRoutes to listeners and routes, and what their status says of it (gateway-api.sigs.k8s.io, v1). A pure function of the
// objects, so that the nodes, which serve, and the server that leads, which writes the status, come to the same.
#pragma once
#include "ingress/gateway_objects.h"
#include "ingress/ingress_rules.h"

namespace estiba::ingress {

struct GatewayObjects {
  std::vector<model::ObjectRef> gateways;  ///< of classes of ours
  std::vector<model::ObjectRef> routes, grants;
};

struct Condition {
  std::string type;
  bool status = true;
  std::string reason, message;
};

struct ListenerStatus {
  std::string name;
  int attached = 0;
  std::vector<std::pair<std::string, std::string>> kinds;
  std::vector<Condition> conditions;
};

struct GatewayStatus {
  model::ObjectRef object;
  bool serves = false;  ///< at least one of its listeners
  std::vector<Condition> conditions;
  std::vector<ListenerStatus> listeners;
};

struct ParentStatus {
  const json::Node* parent;  ///< the reference as it was written
  std::vector<Condition> conditions;
};

struct RouteStatus {
  model::ObjectRef object;
  HttpRoute route;
  std::vector<ParentStatus> parents;  ///< those that are Gateways of ours
};

struct GatewayOutcome {
  std::vector<GatewayStatus> gateways;
  std::vector<RouteStatus> routes;
};

/// Adds the listeners to `config`. A port that speaks another protocol there already is left alone.
GatewayOutcome add_gateways(Config& config, const GatewayObjects& objects, RuleContext context);

}  // namespace estiba::ingress
