#include "ingress/status.h"

#include "base/log.h"
#include "client/backoff.h"
#include "client/informer.h"
#include "client/json_writer.h"
#include "client/node_addresses.h"
#include "ingress/ingress_rules.h"
#include "model/types/networking_v1.h"

namespace estiba::ingress {

using model::ObjectRef;
using model::networking_v1::Ingress;

namespace {

std::vector<std::string> written_addresses(const ObjectRef& ingress) {
  std::vector<std::string> addresses;
  if (const auto& balancer = ingress.as<Ingress>().status.loadBalancer)
    for (const auto& one : balancer->ingress) addresses.push_back(one.ip);
  return addresses;
}

std::string status_patch(const std::vector<std::string>& addresses) {
  client::JsonWriter json;
  json.object().object("status").object("loadBalancer").array("ingress");
  for (const std::string& address : addresses) json.object().field("ip", address).end();
  json.end().end().end().end();
  return json.take();
}

}  // namespace

struct StatusWriter::State {
  client::Client& client;
  client::Informer ingresses, classes;
  std::unique_ptr<client::Informer> nodes;  // only while an Ingress of ours is there
  Event changed;
  Job job;  // last: ends first

  explicit State(client::Client& client) : client(client), ingresses(client, ingress_resource), classes(client, ingress_class_resource) {
    for (client::Informer* informer : {&ingresses, &classes})
      informer->on_change([this](const ObjectRef&, const ObjectRef&) { changed.set(); });
  }

  std::vector<ObjectRef> ours() const {
    std::vector<ObjectRef> found;
    ingresses.each([&](const ObjectRef& ingress) {
      if (is_ours(ingress, classes)) found.push_back(ingress);
    });
    return found;
  }

  Task<Result<void>> write_all() {
    const auto found = ours();
    if (found.empty()) {
      nodes.reset();
      co_return {};
    }
    if (!nodes) {
      nodes = std::make_unique<client::Informer>(client, client::nodes);
      nodes->on_change([this](const ObjectRef& before, const ObjectRef& after) {
        if (!before || !after || client::balancer_addresses(before) != client::balancer_addresses(after)) changed.set();
      });
      co_await nodes->wait_synced();
    }
    const auto addresses = client::balancer_addresses(nodes->list());
    for (const ObjectRef& ingress : found) {
      if (written_addresses(ingress) == addresses) continue;
      auto written = co_await client.patch(ingress_resource, ingress.meta().ns, ingress.meta().name, client::PatchType::merge,
                                           status_patch(addresses), {.subresource = "status"});
      if (written) ingresses.observe(*written);
      else if (written.error().code != Code::not_found)
        co_return std::unexpected(std::move(written.error()).context("status of Ingress " + client::key_of(ingress)));
    }
    co_return {};
  }

  static Task<void> run(State* self) {
    co_await self->ingresses.wait_synced();
    co_await self->classes.wait_synced();
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

StatusWriter::StatusWriter(client::Client& client) : client_(client) {}
StatusWriter::~StatusWriter() = default;

void StatusWriter::start() {
  state_ = std::make_unique<State>(client_);
  state_->job = Job(State::run(state_.get()));
}

}  // namespace estiba::ingress
