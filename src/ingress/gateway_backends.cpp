#include "ingress/gateway_backends.h"

namespace estiba::ingress {

RouteBackends::RouteBackends(RuleContext& context, const Grants& grants, const HttpRoute& route)
    : context_(context), grants_(grants), route_(route) {
  for (const RouteRule& rule : route.rules) {
    auto action = std::make_shared<Action>();
    fill(action->filters, rule.filters);
    for (const BackendRef& ref : rule.backends) {
      Backend made = backend(ref.to);
      made.weight = ref.weight;
      fill(made.filters, ref.filters);
      action->backends.push_back(std::move(made));
    }
    action->request_timeout = rule.request_timeout;
    action->backend_timeout = rule.backend_timeout;
    action->retry = rule.retry;
    actions_.push_back(std::move(action));
  }
}

// The first problem is told; the others are found once that one is gone.
void RouteBackends::problem(std::string_view reason, std::string message) {
  if (resolved_.status) resolved_ = {"ResolvedRefs", false, std::string(reason), std::move(message)};
}

Backend RouteBackends::backend(const Reference& to) {
  Backend out;
  out.invalid = true;
  if (!to.group.empty() || to.kind != "Service") {
    problem("InvalidKind", "backends are Services, not " + to.kind + (to.group.empty() ? "" : "." + to.group));
    return out;
  }
  if (!grants_.permit(route_.kind, route_.ns, to)) {
    problem("RefNotPermitted", "no ReferenceGrant permits Service " + to.key());
    return out;
  }
  auto endpoints = context_.backends.endpoints(context_.sources, to.key(), to.port.value_or(0), {}, route_.kind == grpc_route_kind);
  if (!endpoints) {
    problem("BackendNotFound", "there is no Service " + to.key() + " with port " + std::to_string(to.port.value_or(0)));
    return out;
  }
  const BackendTraits traits = traits_of(context_.sources, to.key());
  if (!traits.problem.empty() && context_.problem) context_.problem(route_.key(), traits.problem);
  out.ejection = traits.ejection;
  out.proxy_protocol = traits.proxy_protocol;
  out.endpoints = std::move(*endpoints);
  out.invalid = false;
  return out;
}

void RouteBackends::fill(Filters& filters, const RouteFilters& from) {
  filters = from.filters;
  for (const RouteFilters::MirrorTo& mirror : from.mirrors)
    filters.mirrors.push_back({std::make_shared<Backend>(backend(mirror.backend)), mirror.numerator, mirror.denominator});
}

}  // namespace estiba::ingress
