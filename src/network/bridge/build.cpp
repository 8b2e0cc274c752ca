// What happens on the worker's thread as a container's network is made, changed and taken away.
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "network/bridge/networks_impl.h"
#include "os/conntrack.h"
#include "os/file.h"

namespace estiba::network::bridge {

std::vector<Filter::Port> led_ports(const std::vector<BoundPort>& ports, const Networks::Impl::Targets& targets) {
  std::vector<Filter::Port> led;
  for (const BoundPort& port : ports) {
    auto host = Address::parse(port.host_ip);
    if (!host) continue;
    const auto& target = host->v6 ? targets.v6 : targets.v4;
    if (target) led.push_back({port.protocol, *host, port.host_port, *target, port.container_port});
  }
  return led;
}

// Where a wish is to be bound: one address of each family that has somewhere to lead to.
static Result<std::vector<Address>> hosts_of(const PortBinding& wish, const Networks::Impl::Targets& targets) {
  std::string text = wish.host_ip.empty() ? targets.host_ip : wish.host_ip;
  std::vector<Address> hosts;
  if (text.empty()) {
    if (targets.v4) hosts.push_back({});
    if (targets.v6) hosts.push_back({.v6 = true});
    return hosts;
  }
  if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  auto host = Address::parse(text);
  if (!host) return fail(Code::invalid, "invalid IP address " + text + " to publish port " + std::to_string(wish.container_port) + " at");
  if (host->v6 ? targets.v6.has_value() : targets.v4.has_value()) hosts.push_back(*host);
  else if (targets.v4 || targets.v6)
    return fail(Code::invalid, "port " + std::to_string(wish.container_port) + " cannot be published at " + text +
                                   ": the container has no IPv" + (host->v6 ? "6" : "4") + " address; use a network made with " +
                                   (host->v6 ? "--ipv6" : "IPv4"));
  return hosts;
}

// Holds the ports and leads them to the container. What fails is undone.
Result<void> Networks::Impl::bind_ports(Sandbox& box, const Targets& targets) {
  if (box.wishes.empty() || (!targets.v4 && !targets.v6)) return {};
  auto bind = [&]() -> Result<void> {
    for (const PortBinding& wish : box.wishes) {
      auto hosts = TRY(hosts_of(wish, targets));
      uint16_t port = TRY(ports.take(hosts, wish.protocol, wish.first_port, wish.last_port));
      for (const Address& host : hosts) box.ports.push_back({wish.container_port, wish.protocol, host.text(), port});
    }
    return Filter::publish(filter, led_ports(box.ports, targets));
  };
  auto bound = bind();
  if (bound) return {};
  for (const BoundPort& port : std::exchange(box.ports, {}))
    if (auto host = Address::parse(port.host_ip)) ports.give_back(*host, port.protocol, port.host_port);
  bound.error().context("driver failed programming external connectivity on endpoint " + box.container_name + " (" + targets.endpoint_id +
                        ")");
  if (bound.error().code != Code::invalid) bound.error().code = Code::internal;  // 500, as dockerd answers
  return bound;
}

// The networks of a container have changed: its ports lead to another address, or begin or cease to lead anywhere.
Result<void> Networks::Impl::move_ports(Sandbox& box, const Targets& before, const Targets& after) {
  if (box.wishes.empty() || (before.v4 == after.v4 && before.v6 == after.v6)) return {};
  if (auto led = led_ports(box.ports, before); !led.empty()) TRY(Filter::withdraw(filter, led));
  if (box.ports.empty()) return bind_ports(box, after);
  auto led = led_ports(box.ports, after);
  return led.empty() ? Result<void>() : Filter::publish(filter, led);
}

void Networks::Impl::free_ports(const Sandbox& box, const std::vector<Filter::Port>& led) {
  if (!led.empty()) {
    if (auto gone = Filter::withdraw(filter, led); !gone)
      log::warn("network", "published ports could not be taken back", {{"container", box.container_name}, {"error", gone.error()}});
  }
  bool flows = false;
  for (const BoundPort& port : box.ports) {
    if (auto host = Address::parse(port.host_ip)) ports.give_back(*host, port.protocol, port.host_port);
    flows |= port.protocol != Protocol::tcp;
  }
  if (!flows) return;
  // A client that keeps its port would be led to the old address for as long as it speaks.
  for (uint8_t family : {AF_INET, AF_INET6})
    for (Protocol protocol : {Protocol::udp, Protocol::sctp})
      (void)os::conntrack::forget(filter, family, uint8_t(protocol), [&](const os::conntrack::Flow& flow) {
        for (const Filter::Port& port : led)
          if (flow.server == port.target.raw() && flow.destination_port == port.host_port) return true;
        return false;
      });
}

Result<void> Networks::Impl::write_record(const Sandbox& box) {
  return os::write_file_atomic(record_path(box.id), sandbox_text(box), 0600, false);
}

Result<void> Networks::Impl::fill(Kernel::Slot& slot, Sandbox& box, const std::vector<Wire>& wires, const DefaultRoute& route,
                                  const Targets& targets) {
  // It may be connected later; one in the network "none" never is.
  if (wires.empty() && box.endpoints.empty()) slot.names = TRY(kernel.open_names(slot.id));
  for (size_t i = 0; i < wires.size(); ++i) TRY(i == 0 ? kernel.wire(slot, wires[i]) : kernel.add_wire(slot.id, wires[i]));
  if (route.v4 || route.v6) TRY(kernel.set_default_route(slot, route));
  TRY(bind_ports(box, targets));
  return box.ports.empty() ? Result<void>() : write_record(box);
}

Result<Built> Networks::Impl::build(Sandbox box, std::vector<Wire> wires, DefaultRoute route, Targets targets) {
  Kernel::Slot slot = TRY(kernel.take(wires.empty()));
  box.id = slot.id;
  std::vector<std::string> veths;
  for (size_t i = 0; i < wires.size(); ++i) {
    wires[i].veth = i == 0 ? slot.veth : Kernel::new_veth_name();
    for (Endpoint& endpoint : box.endpoints)
      if (endpoint.interface_name == wires[i].interface_name) endpoint.veth = wires[i].veth;
    veths.push_back(wires[i].veth);
  }
  auto done = write_record(box);  // before the rest, so that after a crash it is known what there may be
  if (done) done = fill(slot, box, wires, route, targets);
  if (done) return Built{std::move(box), std::move(slot.names)};
  if (auto gone = kernel.remove({slot.id}, veths); !gone)
    log::warn("network", "a container's network that failed is still there", {{"error", gone.error()}});
  (void)os::remove_file(record_path(box.id));
  return std::unexpected(std::move(done.error()));
}

}  // namespace estiba::network::bridge
