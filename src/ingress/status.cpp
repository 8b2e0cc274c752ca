#include "ingress/status.h"

#include "base/log.h"
#include "client/backoff.h"
#include "client/json_writer.h"
#include "client/node_addresses.h"
#include "ingress/gateway_status.h"
#include "ingress/ingress.h"
#include "ingress/objects.h"
#include "model/types/networking_v1.h"

namespace estiba::ingress {

using model::ObjectRef;

namespace {

std::optional<std::string> ingress_patch(const ObjectRef& ingress, const std::vector<std::string>& addresses) {
  std::vector<std::string> written;
  if (const auto& balancer = ingress.as<model::networking_v1::Ingress>().status.loadBalancer)
    for (const auto& one : balancer->ingress) written.push_back(one.ip);
  if (written == addresses) return std::nullopt;
  client::JsonWriter json;
  json.object().object("status").object("loadBalancer").array("ingress");
  for (const std::string& address : addresses) json.object().field("ip", address).end();
  json.end().end().end().end();
  return json.take();
}

// Where those of the nodes that serve Ingresses are reached.
std::vector<std::string> serving_addresses(std::vector<ObjectRef> nodes) {
  std::erase_if(nodes, [](const ObjectRef& node) { return node.meta().label(serving_label) != "true"; });
  return client::balancer_addresses(nodes);
}

}  // namespace

struct StatusWriter::State {
  client::Client& client;
  IngressPorts ports;
  Event changed;
  Objects objects;
  std::unique_ptr<client::Informer> nodes;  // only while something of ours is there
  bool routes_are_told = false;             // without Gateways: that we serve none of them
  Job job;                                  // last: ends first

  State(client::Client& client, IngressPorts ports) : client(client), ports(ports), objects(client, changed) {}

  Task<Result<void>> write(client::Resource resource, ObjectRef object, std::optional<std::string> patch) {
    if (!patch) co_return {};
    auto written = co_await client.patch(resource, object.meta().ns, object.meta().name, client::PatchType::merge, std::move(*patch),
                                         {.subresource = "status"});
    if (written || written.error().code == Code::not_found) co_return {};
    co_return std::unexpected(std::move(written.error()).context("status of " + object.meta().kind + " " + client::key_of(object)));
  }

  Task<void> open() {
    if (!nodes) {
      nodes = std::make_unique<client::Informer>(client, client::nodes);
      nodes->on_change([this](const ObjectRef& before, const ObjectRef& after) {
        if (!before || !after || serving_addresses({before}) != serving_addresses({after})) changed.set();
      });
    }
    co_await nodes->wait_synced();
    co_await objects.open();
  }

  // What we have said of routes is not so any more when the last Gateway has gone, here or while nobody was here to see it.
  Task<Result<void>> leave_routes() {
    for (const RouteKind& kind : all_route_kinds()) {
      const auto routes = co_await client.list(kind.resource, {});
      if (!routes) continue;  // the definition is not there (any more)
      for (const ObjectRef& route : routes->items)
        CO_TRY(co_await write(kind.resource, route, route_patch(route, nullptr, Executor::current()->wall_now())));
    }
    co_return {};
  }

  Task<Result<void>> write_all() {
    const WallTime now = Executor::current()->wall_now();
    for (const ObjectRef& one : objects.gateway_classes())
      CO_TRY(co_await write(gateway_class_resource, one, gateway_class_patch(one, now)));
    const auto ingresses = objects.ingresses();
    if (objects.gateways().empty() && !routes_are_told) {
      CO_TRY(co_await leave_routes());
      routes_are_told = true;
    }
    if (ingresses.empty() && objects.gateways().empty()) {
      nodes.reset();
      objects.close();
      co_return {};
    }
    if (!objects.gateways().empty()) routes_are_told = false;
    co_await open();
    const auto addresses = serving_addresses(nodes->list());
    for (const ObjectRef& one : ingresses) CO_TRY(co_await write(ingress_resource, one, ingress_patch(one, addresses)));
    const auto made = objects.make(ports);
    const auto routes = objects.routes();  // that it was made of
    for (const GatewayStatus& one : made.gateways.gateways)
      CO_TRY(co_await write(gateway_resource, one.object, gateway_patch(one, addresses, now)));
    for (const ObjectRef& route : routes) {
      const auto outcome =
          std::ranges::find_if(made.gateways.routes, [&](const RouteStatus& one) { return one.object.object == route.object; });
      const auto kind = std::ranges::find(all_route_kinds(), route.meta().kind, &RouteKind::kind);
      CO_TRY(co_await write(kind->resource, route, route_patch(route, outcome == made.gateways.routes.end() ? nullptr : &*outcome, now)));
    }
    co_return {};
  }

  // A class for people to name; who does not want it deletes it, until the next start.
  Task<void> make_class() {
    auto made = co_await client.create(
        gateway_class_resource, {},
        R"({"apiVersion":"gateway.networking.k8s.io/v1","kind":"GatewayClass","metadata":{"name":"estiba"},"spec":{"controllerName":"estiba.dev/gateway"}})");
    if (!made && made.error().code != Code::already_exists)
      log::warn("ingress", "the GatewayClass estiba could not be made", {{"error", made.error()}});
  }

  static Task<void> run(State* self) {
    co_await self->make_class();
    co_await self->objects.wait_synced();
    client::Backoff pause(std::chrono::milliseconds(100), std::chrono::seconds(30));
    for (;;) {
      self->changed.reset();
      auto written = co_await self->write_all();
      if (written) {
        pause.reset();
        co_await self->changed.wait();
        continue;
      }
      log::warn("ingress", "a status could not be written; trying again", {{"error", written.error()}});
      co_await sleep_for(pause.next());
    }
  }
};

StatusWriter::StatusWriter(client::Client& client, IngressPorts ports) : client_(client), ports_(ports) {}
StatusWriter::~StatusWriter() = default;

void StatusWriter::start() {
  state_ = std::make_unique<State>(client_, ports_);
  state_->job = Job(State::run(state_.get()));
}

}  // namespace estiba::ingress
