#include "ingress/ingress_rules.h"

#include <algorithm>

#include "base/strings.h"
#include "model/types/networking_v1.h"

namespace estiba::ingress {

using model::ObjectRef;
using model::networking_v1::Ingress;
using model::networking_v1::IngressBackend;
using model::networking_v1::IngressClass;

// It has no effect on whose route a request takes which object's listener it is.
static constexpr std::string_view owner_name = "Ingress";
static constexpr std::string_view rate_annotation = "estiba.dev/rate-limit", burst_annotation = "estiba.dev/rate-limit-burst";

bool is_ours(const ObjectRef& ingress, const client::Informer& classes) {
  if (!ingress || !ingress.meta().deletion_timestamp.empty()) return false;
  std::string name = ingress.as<Ingress>().spec.ingressClassName;
  if (name.empty()) name = ingress.meta().annotation("kubernetes.io/ingress.class");
  if (name.empty()) return false;
  const ObjectRef found = classes.get(name);
  return found && found.as<IngressClass>().spec.controller == ingress_controller;
}

namespace {

class Adder {
 public:
  Adder(const ObjectRef& ingress, RuleContext& context) : ingress_(ingress), context_(context), key_(client::key_of(ingress)) {
    read_limit();
  }

  void add_routes(Routes& routes) {
    const auto& spec = ingress_.as<Ingress>().spec;
    for (const auto& rule : spec.rules) {
      if (!rule.http) continue;
      for (const auto& path : rule.http->paths) {
        const bool exact = path.pathType == "Exact";
        std::string text = path.path.empty() ? "/" : path.path;
        if (!exact && text.size() > 1 && text.ends_with('/')) text.pop_back();
        routes.add(rule.host, route({.kind = exact ? Match::Path::exact : Match::Path::prefix, .path = text}, path.backend), true);
      }
    }
    if (spec.defaultBackend) routes.add_default(route({}, *spec.defaultBackend));
  }

  bool add_certificates(Certificates& certificates) {
    bool any = false;
    for (const auto& tls : ingress_.as<Ingress>().spec.tls) {
      if (tls.secretName.empty()) continue;
      std::string why;
      const auto context = context_.secrets.context(context_.sources, client::key_of(ingress_.meta().ns, tls.secretName), &why);
      if (!why.empty()) report("TLS: " + why);
      if (!context) continue;
      any = true;
      for (const std::string& host : tls.hosts) certificates.add({.hostname = host, .context = context});
      if (tls.hosts.empty()) certificates.add({.context = context});
    }
    return any;
  }

 private:
  void read_limit() {
    const std::string_view rate = ingress_.meta().annotation(rate_annotation), burst = ingress_.meta().annotation(burst_annotation);
    if (rate.empty() && burst.empty()) return;
    const auto read = Rate::parse(rate, burst);
    if (!read) report("annotation " + std::string(rate_annotation) + ": it " + read.error().message + "; requests are not limited");
    else if (context_.limits) limit_ = context_.limits->of(key_, *read);
  }

  Route route(Match match, const IngressBackend& to) {
    auto action = std::make_shared<Action>();
    action->backends.push_back(backend(to));
    action->limit = limit_;
    return {
        .match = std::move(match), .action = std::move(action), .age = ingress_.meta().creation_timestamp, .name = key_, .order = order_++};
  }

  Backend backend(const IngressBackend& to) {
    Backend out;
    if (!to.service || !to.service->port) {
      report("a backend is no Service");
      out.invalid = true;
      return out;
    }
    const std::string service = client::key_of(ingress_.meta().ns, to.service->name);
    auto endpoints = context_.backends.endpoints(context_.sources, service, to.service->port->number.value_or(0), to.service->port->name);
    // As a service without endpoints: it may come yet.
    if (!endpoints) report("Service " + service + " or its port is not there");
    else out.endpoints = std::move(*endpoints);
    const BackendTraits traits = traits_of(context_.sources, service);
    if (!traits.problem.empty()) report(traits.problem);
    out.ejection = traits.ejection;
    return out;
  }

  void report(const std::string& problem) const {
    if (context_.problem) context_.problem(key_, problem);
  }

  const ObjectRef& ingress_;
  RuleContext& context_;
  const std::string key_;
  std::shared_ptr<RateLimit> limit_;
  int order_ = 0;
};

}  // namespace

void add_ingresses(Config& config, const std::vector<ObjectRef>& ingresses, const IngressPorts& ports, RuleContext context) {
  if (ingresses.empty()) return;
  std::vector<ObjectRef> oldest_first = ingresses;
  std::ranges::sort(oldest_first, {}, [](const ObjectRef& one) { return std::pair(one.meta().creation_timestamp, client::key_of(one)); });
  auto listener = std::make_shared<Listener>();
  listener->owner = owner_name;
  Certificates certificates;
  bool tls = false;
  for (const ObjectRef& ingress : oldest_first) {
    Adder adder(ingress, context);
    adder.add_routes(listener->routes);
    tls |= adder.add_certificates(certificates);
  }
  listener->routes.seal();
  if (ports.http) config.ports[ports.http].listeners.push_back(listener);
  if (!tls || !ports.https) return;
  Port& secure = config.ports[ports.https];
  secure.tls = true;
  secure.listeners.push_back(listener);
  secure.certificates = std::move(certificates);
}

}  // namespace estiba::ingress
