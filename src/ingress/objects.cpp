#include "ingress/objects.h"

namespace estiba::ingress {

using model::ObjectRef;

struct Objects::Opened {
  Sources sources;
  std::vector<std::unique_ptr<client::Informer>> routes;  // as all_route_kinds()
  client::Informer grants;
  Opened(client::Client& client, bool all_secrets) : sources(client, all_secrets), grants(client, reference_grant_resource) {
    for (const RouteKind& one : all_route_kinds()) routes.push_back(std::make_unique<client::Informer>(client, one.resource));
  }
};

std::span<const RouteKind> all_route_kinds() {
  static constexpr RouteKind kinds[] = {{http_route_kind, http_route_resource},
                                        {grpc_route_kind, grpc_route_resource},
                                        {tls_route_kind, tls_route_resource},
                                        {tcp_route_kind, tcp_route_resource}};
  return kinds;
}

static std::string spec_text(const ObjectRef& object, std::string_view member) {
  auto document = json::Document::parse(object.object->json());
  return document ? std::string(document->root().string_at("spec", member)) : std::string();
}

bool is_our_class(const ObjectRef& gateway_class) {
  return gateway_class && spec_text(gateway_class, "controllerName") == gateway_controller;
}

Objects::Objects(client::Client& client, Event& changed, bool all_secrets)
    : client_(client),
      changed_(changed),
      all_secrets_(all_secrets),
      ingresses_(client, ingress_resource),
      ingress_classes_(client, ingress_class_resource),
      gateways_(client, gateway_resource),
      gateway_classes_(client, gateway_class_resource) {
  for (client::Informer* informer : {&ingresses_, &ingress_classes_, &gateways_, &gateway_classes_})
    informer->on_change([this](const ObjectRef&, const ObjectRef&) { changed_.set(); });
}
Objects::~Objects() = default;

// Not for those of Gateway API: whoever deletes the definitions does without them, and they are found when they come.
Task<void> Objects::wait_synced() {
  co_await ingresses_.wait_synced();
  co_await ingress_classes_.wait_synced();
}

std::vector<ObjectRef> Objects::ingresses() const {
  std::vector<ObjectRef> found;
  ingresses_.each([&](const ObjectRef& ingress) {
    if (is_ours(ingress, ingress_classes_)) found.push_back(ingress);
  });
  return found;
}

std::vector<ObjectRef> Objects::gateway_classes() const {
  std::vector<ObjectRef> found;
  gateway_classes_.each([&](const ObjectRef& one) {
    if (is_our_class(one)) found.push_back(one);
  });
  return found;
}

std::vector<ObjectRef> Objects::gateways() const {
  std::vector<ObjectRef> found;
  if (gateways_.size() == 0) return found;
  std::set<std::string, std::less<>> classes;
  for (const ObjectRef& one : gateway_classes()) classes.insert(one.meta().name);
  gateways_.each([&](const ObjectRef& gateway) {
    if (gateway.meta().deletion_timestamp.empty() && classes.contains(spec_text(gateway, "gatewayClassName"))) found.push_back(gateway);
  });
  return found;
}

Task<void> Objects::open() {
  if (!opened_) {
    opened_ = std::make_unique<Opened>(client_, all_secrets_);
    auto key = [](const ObjectRef& before, const ObjectRef& after) { return client::key_of(after ? after : before); };
    opened_->sources.services.on_change([this, key](const ObjectRef& before, const ObjectRef& after) {
      if (backends_.used().contains(key(before, after))) changed_.set();
    });
    opened_->sources.slices.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      const model::Meta& meta = (after ? after : before).meta();
      if (backends_.used().contains(client::key_of(meta.ns, meta.label("kubernetes.io/service-name")))) changed_.set();
    });
    opened_->sources.secrets.on_change([this](const std::string& secret) {
      if (secrets_.used().contains(secret)) changed_.set();
    });
    opened_->sources.namespaces.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      if (!before || !after || before.meta().labels != after.meta().labels) changed_.set();
    });
    for (const auto& informer : opened_->routes) informer->on_change([this](const ObjectRef&, const ObjectRef&) { changed_.set(); });
    opened_->grants.on_change([this](const ObjectRef&, const ObjectRef&) { changed_.set(); });
  }
  co_await opened_->sources.wait_synced();
  if (gateways_.size() == 0) co_return;
  // The others' definitions may not be there: they are found when they come.
  co_await opened_->routes.front()->wait_synced();
  co_await opened_->grants.wait_synced();
}

void Objects::close() { opened_.reset(); }

std::vector<ObjectRef> Objects::routes() const {
  std::vector<ObjectRef> all;
  for (const auto& informer : opened_->routes)
    for (ObjectRef& one : informer->list()) all.push_back(std::move(one));
  return all;
}

Objects::Made Objects::make(const IngressPorts& ports) {
  Made made;
  auto config = std::make_shared<Config>();
  backends_.begin();
  secrets_.begin();
  const RuleContext context{.sources = opened_->sources,
                            .backends = backends_,
                            .secrets = secrets_,
                            .problem =
                                [&](const std::string& object, const std::string& problem) {
                                  std::string& all = made.problems[object];
                                  all += (all.empty() ? "" : "; ") + problem;
                                },
                            .limits = &limits_};
  add_ingresses(*config, ingresses(), ports, context);
  made.gateways = add_gateways(*config, {.gateways = gateways(), .routes = routes(), .grants = opened_->grants.list()}, context);
  for (auto& [number, port] : config->ports) port.seal();
  opened_->sources.secrets.watch(secrets_.used());
  made.config = std::move(config);
  return made;
}

}  // namespace estiba::ingress
