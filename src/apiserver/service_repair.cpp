#include "apiserver/service_repair.h"

#include <map>

#include "apiserver/edit.h"
#include "apiserver/own_action.h"
#include "apiserver/reservations.h"
#include "base/log.h"
#include "base/strings.h"

namespace estiba::apiserver {
namespace {

using namespace std::chrono_literals;

constexpr Duration interval = 3min, settle_time = 50ms;

/// What the stored Service holds now; nothing when it is gone.
Holdings held_by(const Cluster& cluster, const ServiceName& service) {
  auto object = cluster.find("", "services", service.ns, service.name);
  auto doc = object ? json::Document::parse(object->object->json()) : Result<json::Document>(fail(Code::not_found, "no such Service"));
  return doc ? holdings(doc->root()) : Holdings{};
}

/// A pass over everything. The reservations are listed before the Services, and each is looked at again before it is changed:
/// what is made or removed meanwhile is not taken for a fault.
class Pass {
 public:
  explicit Pass(Registry& registry) : registry_(registry), cluster_(registry.cluster()), store_(cluster_.store()) {}

  Task<Result<void>> run() {
    CO_TRY(co_await drop_addresses());
    CO_TRY(co_await drop_ports());
    for (const model::ObjectRef& service : CO_TRY(cluster_.all("", "services"))) {
      const ServiceName name{service.meta().ns, service.meta().name};
      const Holdings held = held_by(cluster_, name);
      for (const std::string& address : held.addresses) CO_TRY(co_await check_address(name, address));
      for (uint16_t port : held.ports) CO_TRY(co_await check_port(name, port));
    }
    co_return {};
  }

 private:
  Task<Result<void>> drop_addresses() {
    for (const model::ObjectRef& address : CO_TRY(cluster_.all(address_resource().group, address_resource().plural))) {
      if (address.meta().label(address_manager_label) != address_manager) continue;
      const json::Document doc = CO_TRY(json::Document::parse(address.object->json()));
      const auto holder = holder_of_address(doc.root());
      if (holder && held_by(cluster_, *holder).addresses.contains(address.meta().name)) continue;
      log::warn("services", "removed an IPAddress that no Service has", {{"address", address.meta().name}});
      CO_TRY(co_await remove_address(address.meta().name, address.meta().uid));
    }
    co_return {};
  }

  Task<Result<void>> drop_ports() {
    for (const store::EntryPtr& entry : CO_TRY(store_.list(ports_prefix)).entries) {
      const auto port = parse_number<uint16_t>(std::string_view(entry->key).substr(ports_prefix.size()));
      const auto holder = holder_of_port(*entry);
      if (port && holder && held_by(cluster_, *holder).ports.contains(*port)) continue;
      log::warn("services", "freed a node port that no Service has", {{"key", entry->key}});
      CO_TRY(settled(co_await store_.commit({.kind = store::Write::Kind::remove, .key = entry->key, .expect = entry->mod_revision})));
    }
    co_return {};
  }

  Task<Result<void>> check_address(const ServiceName& service, std::string address) {
    if (!cluster_.services().in_range(address)) {
      log::warn("services", "the address of a Service is in no ServiceCIDR; make the Service again",
                {{"service", service.text()}, {"address", address}});
      co_return {};
    }
    auto entry = store_.get(address_key(address));
    if (entry) {
      const json::Document doc = CO_TRY(json::Document::parse((*entry)->value));
      const auto holder = holder_of_address(doc.root());
      const bool labelled = doc.root().string_at("metadata", "labels", address_manager_label) == address_manager;
      if (holder == service && labelled) co_return {};
      if (holder && holder != service && held_by(cluster_, *holder).addresses.contains(address)) {
        log::warn("services", "two Services have one address; make one of them again",
                  {{"address", address}, {"one", holder->text()}, {"other", service.text()}});
        co_return {};
      }
      CO_TRY(co_await remove_address(address, std::string(doc.root().string_at("metadata", "uid"))));
    }
    log::warn("services", "made the missing IPAddress of a Service", {{"service", service.text()}, {"address", address}});
    CO_TRY(settled(co_await store_.commit(CO_TRY(take_address(address, service, cluster_.now())))));
    if (!held_by(cluster_, service).addresses.contains(address)) CO_TRY(co_await undo({.addresses = {address}, .ports = {}}, service));
    co_return {};
  }

  Task<Result<void>> check_port(const ServiceName& service, uint16_t port) {
    auto entry = store_.get(port_key(port));
    if (entry && holder_of_port(**entry) == service) co_return {};
    if (entry) {
      log::warn("services", "two Services have one node port; make one of them again", {{"port", port}, {"one", service.text()}});
      co_return {};
    }
    log::warn("services", "reserved the node port of a Service", {{"service", service.text()}, {"port", port}});
    CO_TRY(settled(co_await store_.commit(take_port(port, service))));
    if (!held_by(cluster_, service).ports.contains(port)) CO_TRY(co_await undo({.addresses = {}, .ports = {port}}, service));
    co_return {};
  }

  // The Service went while its reservation was made.
  Task<Result<void>> undo(Holdings made, const ServiceName& service) {
    std::vector<store::Write> writes;
    CO_TRY(give_back(store_, service, made, {}, writes));
    for (store::Write& write : writes) CO_TRY(settled(co_await store_.commit(std::move(write))));
    co_return {};
  }

  Task<Result<void>> remove_address(std::string name, std::string uid) {
    Action action = own_action(Verb::remove, address_resource(), {}, std::move(name));
    action.remove.uid = std::move(uid);
    auto removed = co_await registry_.remove(std::move(action));
    if (!removed && removed.error().code != Code::not_found && removed.error().code != Code::conflict)
      co_return std::unexpected(std::move(removed.error()));
    co_return {};
  }

  // Another server, or a client, was quicker: the next pass sees what became of it.
  static Result<void> settled(Result<store::WriteResult> written) {
    if (written) return {};
    const Code code = written.error().code;
    if (code == Code::conflict || code == Code::already_exists || code == Code::not_found) return {};
    return std::unexpected(std::move(written.error()));
  }

  Registry& registry_;
  Cluster& cluster_;
  store::Store& store_;
};

// Whether an event took away the IPAddress of a Service that still has the address.
bool disturbs(const Cluster& cluster, const store::Event& event) {
  if (event.kind != store::Event::Kind::remove) return false;
  auto doc = json::Document::parse(event.entry->value);
  if (!doc) return false;
  const auto holder = holder_of_address(doc->root());
  return holder && held_by(cluster, *holder).addresses.contains(std::string(doc->root().string_at("metadata", "name")));
}

// Until then, or until something is to be repaired.
Task<void> wait_for_fault(const Cluster& cluster, Instant until) {
  Executor& executor = *Executor::current();
  auto watch = cluster.store().watch(prefix_of(address_resource()), cluster.store().revision());
  auto changed = std::make_shared<Event>();
  std::vector<store::Event> events;
  while (watch && executor.now() < until) {
    changed->reset();
    (*watch)->arm([changed, &executor] { executor.post([changed] { changed->set(); }); });
    co_await changed->wait_until(until);
    auto count = (*watch)->poll(events, 1024);
    if (!count) co_return;
    for (const store::Event& event : std::exchange(events, {}))
      if (disturbs(cluster, event)) co_return;
  }
}

}  // namespace

Task<Result<void>> repair_reservations(Registry& registry) {
  Pass pass(registry);
  co_return co_await pass.run();
}

Task<void> keep_reservations(Registry& registry) {
  for (;;) {
    co_await wait_for_fault(registry.cluster(), Executor::current()->now() + interval);
    auto done = co_await repair_reservations(registry);
    if (!done) log::warn("services", "addresses and node ports are not checked", {{"error", done.error()}});
    co_await sleep_for(settle_time);
  }
}

}  // namespace estiba::apiserver
