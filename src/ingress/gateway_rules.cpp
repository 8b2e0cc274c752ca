#include "ingress/gateway_rules.h"

#include <algorithm>

#include "base/strings.h"
#include "ingress/gateway_backends.h"

namespace estiba::ingress {

using model::ObjectRef;

namespace {

// The kinds of routes that a listener takes; none: its protocol is not served.
std::vector<std::string_view> route_kinds(const GatewayListener& spec) {
  if (spec.protocol == "HTTP" || (spec.protocol == "HTTPS" && spec.terminates)) return {http_route_kind, grpc_route_kind};
  if (spec.protocol == "TLS" && spec.terminates) return {tls_route_kind, tcp_route_kind};
  if (spec.protocol == "TLS") return {tls_route_kind};
  if (spec.protocol == "TCP") return {tcp_route_kind};
  return {};
}

bool speaks_tls(const GatewayListener& spec) { return spec.protocol == "HTTPS" || spec.protocol == "TLS"; }

// A listener of a Gateway on its way to being served: as one or the other.
struct Slot {
  const GatewayListener* spec;
  std::shared_ptr<Listener> listener;
  std::shared_ptr<StreamListener> stream;
  ListenerStatus status;
  bool accepted = true;
  bool programmed = false;
};

struct Made {
  ObjectRef object;
  Gateway gateway;
  std::vector<Slot> slots;
};

bool before(const ObjectRef& a, const ObjectRef& b) {
  return std::pair(a.meta().creation_timestamp, client::key_of(a)) < std::pair(b.meta().creation_timestamp, client::key_of(b));
}

class Maker {
 public:
  Maker(Config& config, const GatewayObjects& objects, RuleContext& context) : config_(config), objects_(objects), context_(context) {
    for (const ObjectRef& grant : objects.grants) grants_.add(grant);
  }

  GatewayOutcome make() {
    auto gateways = objects_.gateways;
    std::ranges::sort(gateways, before);
    made_.reserve(gateways.size());
    for (const ObjectRef& object : gateways) add_gateway(object);
    auto routes = objects_.routes;
    std::ranges::sort(routes, before);
    for (const ObjectRef& object : routes) add_route(object);
    for (Made& made : made_) finish(made);
    return std::move(out_);
  }

 private:
  // --- listeners -----------------------------------------------------------------------------------------------------

  void add_gateway(const ObjectRef& object) {
    Made& made = made_.emplace_back(object, read_gateway(object));
    for (const GatewayListener& spec : made.gateway.listeners) made.slots.push_back(make_slot(made.gateway, spec));
  }

  Slot make_slot(const Gateway& gateway, const GatewayListener& spec) {
    Slot slot{.spec = &spec, .listener = std::make_shared<Listener>(gateway.key(), spec.hostname, spec.protocol == "HTTPS")};
    slot.status.name = spec.name;
    auto& conditions = slot.status.conditions;
    const bool tls = speaks_tls(spec), terminates = tls && spec.terminates;
    if (route_kinds(spec).empty()) {
      slot.accepted = false;
      conditions.push_back({"Accepted", false, "UnsupportedProtocol", "HTTP, HTTPS, TLS and TCP are served, not " + spec.protocol});
    }
    const bool kinds = add_kinds(slot);
    const bool conflict = slot.accepted && conflicts(spec);
    if (conflict)
      conditions.push_back(
          {"Conflicted", true, "ProtocolConflict", "port " + std::to_string(spec.port) + " speaks another protocol already"});
    else conditions.push_back({"Conflicted", false, "NoConflicts", ""});
    std::string reason, why;
    io::TlsContextRef certificate;
    if (terminates && slot.accepted) certificate = find_certificate(gateway, spec, reason, why);
    if (!reason.empty()) conditions.push_back({"ResolvedRefs", false, reason, why});
    else if (!kinds) conditions.push_back({"ResolvedRefs", false, "InvalidRouteKinds", "only " + kinds_text(spec) + " can be attached"});
    else conditions.push_back({"ResolvedRefs", true, "ResolvedRefs", why});
    slot.programmed = slot.accepted && !conflict && (!terminates || certificate);
    if (slot.accepted) conditions.push_back({"Accepted", true, "Accepted", ""});
    if (slot.programmed) conditions.push_back({"Programmed", true, "Programmed", ""});
    else conditions.push_back({"Programmed", false, "Invalid", "the listener cannot be served"});
    if (slot.programmed) open(slot, std::move(certificate));
    return slot;
  }

  // A port speaks HTTP, TLS, whose listeners are told apart by server name, or is one listener's bytes.
  bool conflicts(const GatewayListener& spec) const {
    const auto port = config_.ports.find(spec.port);
    if (port == config_.ports.end()) return false;
    return spec.protocol == "TCP" || port->second.tls != speaks_tls(spec) || !port->second.speaks_http();
  }

  void open(Slot& slot, io::TlsContextRef certificate) {
    const GatewayListener& spec = *slot.spec;
    Port& port = config_.ports[spec.port];
    port.tls = speaks_tls(spec);
    if (spec.protocol == "TLS" || spec.protocol == "TCP") {
      slot.stream = std::make_shared<StreamListener>(StreamListener{.hostname = spec.hostname, .context = std::move(certificate)});
      port.streams.push_back(slot.stream);
      return;
    }
    port.listeners.push_back(slot.listener);
    if (port.tls) port.certificates.add({.hostname = spec.hostname, .context = std::move(certificate), .isolated = true});
  }

  static std::string kinds_text(const GatewayListener& spec) {
    std::string out;
    for (const std::string_view kind : route_kinds(spec)) out.append(out.empty() ? "" : " and ").append(kind).append("s");
    return out;
  }

  // Whether all the kinds that a listener asks for can be attached.
  static bool add_kinds(Slot& slot) {
    const auto& asked = slot.spec->kinds;
    std::vector<std::pair<std::string, std::string>> taken;
    for (const std::string_view kind : route_kinds(*slot.spec)) taken.emplace_back(gateway_group, kind);
    for (const auto& kind : taken)
      if (asked.empty() || std::ranges::contains(asked, kind)) slot.status.kinds.push_back(kind);
    return std::ranges::all_of(asked, [&](const auto& kind) { return std::ranges::contains(taken, kind); });
  }

  io::TlsContextRef find_certificate(const Gateway& gateway, const GatewayListener& spec, std::string& reason, std::string& why) {
    io::TlsContextRef first;
    for (const Reference& one : spec.certificates) {
      std::string problem;
      io::TlsContextRef context;
      std::string kind_of_problem = "InvalidCertificateRef";
      if (!one.group.empty() || one.kind != "Secret") {
        problem = "certificates are Secrets, not " + one.kind;
      } else if (!grants_.permit("Gateway", gateway.ns, one)) {
        kind_of_problem = "RefNotPermitted";
        problem = "no ReferenceGrant permits Secret " + one.key();
      } else {
        context = context_.secrets.context(context_.sources, one.key(), &problem, spec.protocol == "HTTPS");
      }
      if (context && !first) first = context;
      if (context && why.empty()) why = problem;
      if (context || !reason.empty()) continue;
      reason = kind_of_problem;
      why = problem;
    }
    if (spec.certificates.empty()) {
      reason = "InvalidCertificateRef";
      why = "there are no certificateRefs";
    }
    return first;
  }

  // --- routes --------------------------------------------------------------------------------------------------------

  void add_route(const ObjectRef& object) {
    HttpRoute route = read_route(object);
    RouteBackends backends(context_, grants_, route);
    RouteStatus status{.object = object};
    for (const ParentRef& parent : route.parents) {
      Made* made = nullptr;
      if (parent.gateway.kind == "Gateway" && parent.gateway.group == gateway_group)
        for (Made& one : made_)
          if (one.gateway.key() == parent.gateway.key()) made = &one;
      if (!made) continue;
      Condition accepted = attach(*made, parent, route, backends);
      status.parents.push_back({parent.written, {std::move(accepted), backends.resolved()}});
    }
    if (status.parents.empty()) return;
    status.route = std::move(route);  // the nodes stay where they are: they belong to its document
    out_.routes.push_back(std::move(status));
  }

  static std::string unsupported(const HttpRoute& route) {
    for (const RouteRule& rule : route.rules)
      if (!rule.unsupported.empty()) return rule.unsupported;
    return {};
  }

  bool allows(const Gateway& gateway, const Slot& slot, const HttpRoute& route) const {
    if (std::ranges::none_of(slot.status.kinds, [&](const auto& kind) { return kind.second == route.kind; })) return false;
    if (slot.spec->from == "All") return true;
    if (slot.spec->from == "Same") return route.ns == gateway.ns;
    const ObjectRef ns = context_.sources.namespaces.get(route.ns);
    return ns && slot.spec->selector.matches(ns.meta().labels);
  }

  Condition attach(Made& made, const ParentRef& parent, const HttpRoute& route, RouteBackends& backends) {
    if (const std::string what = unsupported(route); !what.empty())
      return {"Accepted", false, "UnsupportedValue", what + " are not served"};
    bool found = false, allowed = false, attached = false;
    for (Slot& slot : made.slots) {
      if (!parent.section.empty() && parent.section != slot.spec->name) continue;
      if (parent.gateway.port && *parent.gateway.port != slot.spec->port) continue;
      if (!slot.accepted) continue;
      found = true;
      if (!allows(made.gateway, slot, route)) continue;
      allowed = true;
      const auto hostnames = common_hostnames(slot, route);
      if (hostnames.empty()) continue;
      attached = true;
      ++slot.status.attached;
      if (slot.stream) {
        for (const std::string& hostname : hostnames) slot.stream->routes.push_back({.hostname = hostname, .action = backends.action(0)});
      } else {
        add_rules(*slot.listener, hostnames, route, backends);
      }
    }
    if (attached) return {"Accepted", true, "Accepted", ""};
    if (!found) return {"Accepted", false, "NoMatchingParent", "no listener of the Gateway is meant by sectionName and port"};
    if (!allowed) return {"Accepted", false, "NotAllowedByListeners", "no listener allows this route"};
    return {"Accepted", false, "NoMatchingListenerHostname", "no listener has a host name of the route"};
  }

  static std::vector<std::string> common_hostnames(const Slot& slot, const HttpRoute& route) {
    if (route.hostnames.empty()) return {slot.spec->hostname};
    std::vector<std::string> out;
    for (const std::string& one : route.hostnames)
      if (auto both = host_intersection(slot.spec->hostname, one); both && !std::ranges::contains(out, *both)) out.push_back(*both);
    return out;
  }

  static void add_rules(Listener& listener, const std::vector<std::string>& hostnames, const HttpRoute& route, RouteBackends& backends) {
    int order = 0;
    for (size_t i = 0; i < route.rules.size(); ++i)
      for (const Match& match : route.rules[i].matches) {
        ++order;
        for (const std::string& hostname : hostnames)
          listener.routes.add(hostname,
                              {.match = match, .action = backends.action(i), .age = route.age, .name = route.key(), .order = order});
      }
  }

  // --- Gateways ------------------------------------------------------------------------------------------------------

  // Clients may reuse a connection for another host of its certificate, and are told 421 (Port::direct).
  static void note_overlaps(Made& made) {
    for (Slot& slot : made.slots) {
      std::string others;
      for (const Slot& other : made.slots)
        if (&other != &slot && overlap(slot, other)) others += (others.empty() ? "" : ", ") + other.spec->name;
      if (!others.empty())
        slot.status.conditions.push_back(
            {"OverlappingTLSConfig", true, "OverlappingHostnames", "host names of this listener are also those of " + others});
    }
  }
  static bool overlap(const Slot& a, const Slot& b) {
    return a.spec->protocol == "HTTPS" && b.spec->protocol == "HTTPS" && a.programmed && b.programmed && a.spec->port == b.spec->port &&
           host_intersection(a.spec->hostname, b.spec->hostname);
  }

  void finish(Made& made) {
    GatewayStatus status{.object = made.object};
    note_overlaps(made);
    bool all = true, any = false;
    for (Slot& slot : made.slots) {
      slot.listener->routes.seal();
      if (slot.stream) slot.stream->seal();
      all = all && slot.programmed;
      any = any || slot.programmed;
      status.listeners.push_back(std::move(slot.status));
    }
    if (made.gateway.asks_for_addresses) {
      status.conditions.push_back({"Accepted", false, "UnsupportedAddress", "addresses are those of the nodes and cannot be asked for"});
    } else if (!any) {
      status.conditions.push_back({"Accepted", false, "ListenersNotValid", "no listener can be served"});
    } else if (!all) {
      status.conditions.push_back({"Accepted", true, "ListenersNotValid", "not all listeners can be served"});
    } else {
      status.conditions.push_back({"Accepted", true, "Accepted", ""});
    }
    status.serves = any;
    out_.gateways.push_back(std::move(status));
  }

  Config& config_;
  const GatewayObjects& objects_;
  RuleContext& context_;
  Grants grants_;
  std::vector<Made> made_;
  GatewayOutcome out_;
};

}  // namespace

GatewayOutcome add_gateways(Config& config, const GatewayObjects& objects, RuleContext context) {
  return Maker(config, objects, context).make();
}

}  // namespace estiba::ingress
