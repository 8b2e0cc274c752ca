// Containers in networks: what is decided on the executor's thread.
#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "io/loop.h"
#include "network/bridge/files.h"
#include "network/bridge/networks_impl.h"
#include "os/file.h"

namespace estiba::network::bridge {

using std::chrono::milliseconds;
using std::chrono::seconds;

// --- planning --------------------------------------------------------------------------------------------------------

static std::string mac_for(const Endpoint& endpoint) {
  // Made of the address, so that a neighbour's entry for an address is right for its next owner too.
  if (endpoint.v4) return std::string("\x02\x42", 2) + std::string(endpoint.v4->raw());
  std::string mac = random_bytes(6);
  mac[0] = char((mac[0] | 2) & ~1);
  return mac;
}

static std::string free_interface(const std::string& prefix, const std::vector<Endpoint>& others) {
  for (int n = 0;; ++n) {
    std::string name = prefix + std::to_string(n);
    if (std::ranges::none_of(others, [&](const Endpoint& other) { return other.interface_name == name; })) return name;
  }
}

static Result<void> check_wishes(const EndpointSpec& spec, const Network& network) {
  bool fixed = !spec.ipv4.empty() || !spec.ipv6.empty();
  if (!network.is_bridge() && (fixed || !spec.mac.empty() || !spec.aliases.empty()))
    return fail(Code::invalid, "invalid config for network " + network.info.name + ": addresses and aliases are for bridge networks");
  if (fixed && network.info.name == "bridge")
    return fail(Code::invalid, "user specified IP address is supported on user defined networks only");
  if (fixed && !network.info.own_subnet)
    return fail(Code::invalid, "invalid config for network " + network.info.name +
                                   ": invalid endpoint settings: user specified IP address is supported only when connecting to networks "
                                   "with user configured subnets");
  if (!spec.aliases.empty() && network.info.name == "bridge")
    return fail(Code::invalid, "network-scoped aliases are only supported for user-defined networks");
  return {};
}

static Result<Address> fixed_address(const std::string& text, const std::optional<Side>& side, Addresses& used) {
  auto address = Address::parse(text);
  if (!address) return fail(Code::invalid, "invalid IP address: " + text);
  if (!side) return fail(Code::invalid, "no configured subnet contains IP address " + text);
  TRY(used.take(*side, *address));
  return *address;
}

Result<Endpoint> Networks::Impl::plan_endpoint(const EndpointSpec& spec, const std::vector<Endpoint>& others) {
  Known& known = *TRY(find(spec.network));
  const Network& network = known.network;
  for (const Endpoint& other : others)
    if (other.network_id == network.info.id) return fail(Code::forbidden, "endpoint already exists in network " + network.info.name);
  TRY(check_wishes(spec, network));
  Endpoint endpoint{.network_id = network.info.id,
                    .id = hex_encode(random_bytes(32)),
                    .aliases = spec.aliases,
                    .links = spec.links,
                    .gw_priority = spec.gw_priority};
  if (!network.is_bridge()) return endpoint;
  if (!spec.mac.empty()) endpoint.mac = TRY(parse_mac(spec.mac));
  endpoint.fixed_mac = !spec.mac.empty();
  endpoint.interface_name = free_interface(network.interface_prefix, others);
  auto addresses = [&]() -> Result<void> {
    if (!spec.ipv4.empty()) endpoint.v4 = TRY(fixed_address(spec.ipv4, network.v4, known.v4));
    else if (network.v4) endpoint.v4 = TRY(known.v4.take(*network.v4));
    if (!spec.ipv6.empty()) endpoint.v6 = TRY(fixed_address(spec.ipv6, network.v6, known.v6));
    else if (network.v6) endpoint.v6 = TRY(known.v6.take(*network.v6));
    return {};
  };
  auto taken = addresses();
  if (!taken) {
    give_back(endpoint);
    return within("invalid config for network " + network.info.name + ": invalid endpoint settings",
                  Result<Endpoint>(std::unexpected(std::move(taken.error()))));
  }
  if (endpoint.mac.empty()) endpoint.mac = mac_for(endpoint);
  return endpoint;
}

Result<Sandbox> Networks::Impl::plan(const SandboxSpec& spec) {
  Sandbox box{.container_id = spec.container_id, .container_name = spec.container_name, .wishes = spec.ports, .dns = spec.dns};
  for (const EndpointSpec& wish : spec.endpoints) {
    auto endpoint = plan_endpoint(wish, box.endpoints);
    if (endpoint) {
      box.endpoints.push_back(std::move(*endpoint));
      continue;
    }
    for (const Endpoint& taken : box.endpoints) give_back(taken);
    return std::unexpected(std::move(endpoint.error()));
  }
  return box;
}

void Networks::Impl::give_back(const Endpoint& endpoint) {
  auto known = networks.find(endpoint.network_id);
  if (known == networks.end()) return;
  if (endpoint.v4) known->second.v4.give_back(*endpoint.v4);
  if (endpoint.v6) known->second.v6.give_back(*endpoint.v6);
}

void Networks::Impl::take_again(const Endpoint& endpoint) {
  auto known = networks.find(endpoint.network_id);
  if (known == networks.end()) return;
  if (endpoint.v4) known->second.v4.note(*endpoint.v4);
  if (endpoint.v6) known->second.v6.note(*endpoint.v6);
}

Wire Networks::Impl::wire_of(const Endpoint& endpoint) const {
  const Network& network = networks.find(endpoint.network_id)->second.network;
  Wire wire{.bridge = network.info.link,
            .veth = endpoint.veth,
            .interface_name = endpoint.interface_name,
            .mac = endpoint.mac,
            .v4 = endpoint.v4,
            .v6 = endpoint.v6,
            .mtu = network.mtu,
            .isolated = !network.icc};
  if (network.v4) {
    wire.v4_length = network.v4->subnet.length;
    wire.gateway = network.v4->gateway;
    wire.gateway_mac = bridge_mac(network);
  }
  if (network.v6) wire.v6_length = network.v6->subnet.length;
  return wire;
}

// The endpoint whose network leads out, by gw-priority and then by name.
const Endpoint* Networks::Impl::way_out(const Sandbox& box, bool v6) const {
  const Endpoint* best = nullptr;
  std::string_view best_name;
  for (const Endpoint& endpoint : box.endpoints) {
    auto known = networks.find(endpoint.network_id);
    if (known == networks.end() || known->second.network.info.internal || !(v6 ? endpoint.v6 : endpoint.v4)) continue;
    std::string_view name = known->second.network.info.name;
    if (best && (best->gw_priority > endpoint.gw_priority || (best->gw_priority == endpoint.gw_priority && best_name < name))) continue;
    best = &endpoint;
    best_name = name;
  }
  return best;
}

DefaultRoute Networks::Impl::route_of(const Sandbox& box) const {
  DefaultRoute route;
  if (const Endpoint* out = way_out(box, false))
    route.v4 = {out->interface_name, networks.find(out->network_id)->second.network.v4->gateway};
  if (const Endpoint* out = way_out(box, true))
    route.v6 = {out->interface_name, networks.find(out->network_id)->second.network.v6->gateway};
  return route;
}

Networks::Impl::Targets Networks::Impl::targets_of(const Sandbox& box) const {
  Targets targets;
  for (bool v6 : {true, false}) {
    const Endpoint* out = way_out(box, v6);
    if (!out) continue;
    (v6 ? targets.v6 : targets.v4) = v6 ? out->v6 : out->v4;
    targets.endpoint_id = out->id;
    targets.host_ip = networks.find(out->network_id)->second.network.host_ip;
  }
  return targets;
}

std::vector<Filter::Port> Networks::Impl::filter_ports(const Sandbox& box) const { return led_ports(box.ports, targets_of(box)); }

std::vector<Filter::Port> Networks::Impl::all_ports() const {
  std::vector<Filter::Port> all;
  for (const auto& [container, box] : sandboxes)
    for (Filter::Port& port : filter_ports(box)) all.push_back(std::move(port));
  return all;
}

// --- names -----------------------------------------------------------------------------------------------------------

static std::vector<std::string> all_names(const Sandbox& box, const Endpoint& endpoint) {
  std::vector<std::string> names{box.container_name};
  names.insert(names.end(), endpoint.aliases.begin(), endpoint.aliases.end());
  names.push_back(box.container_id.substr(0, 12));
  std::vector<std::string> unique;
  for (std::string& name : names)
    if (!name.empty() && std::ranges::find(unique, name) == unique.end()) unique.push_back(std::move(name));
  return unique;
}

std::vector<std::string> Networks::Impl::names_of(const Sandbox& box, const Endpoint& endpoint) const {
  auto known = networks.find(endpoint.network_id);
  if (known == networks.end() || !known->second.network.has_names()) return {};
  return all_names(box, endpoint);
}

// Those of the default bridge, too: links lead to them.
void Networks::Impl::update_names(const std::string& network_id) {
  if (!resolver) return;
  auto known = networks.find(network_id);
  if (known == networks.end() || !known->second.network.is_bridge()) return resolver->set_network(network_id, nullptr);
  auto names = std::make_shared<NetworkNames>(NetworkNames{.network = to_lower(known->second.network.info.name)});
  for (const auto& [container, box] : sandboxes) {
    for (const Endpoint& endpoint : box.endpoints) {
      if (endpoint.network_id != network_id) continue;
      for (const auto& address : {endpoint.v4, endpoint.v6}) {
        if (!address) continue;
        for (const std::string& name : all_names(box, endpoint)) names->names[to_lower(name)].push_back(*address);
        names->reverse[*address] = to_lower(box.container_name) + "." + names->network;
      }
    }
  }
  resolver->set_network(network_id, std::move(names));
}

bool Networks::Impl::asks_names(const Endpoint& endpoint) const {
  auto known = networks.find(endpoint.network_id);
  return known != networks.end() && known->second.network.is_bridge() && (known->second.network.has_names() || !endpoint.links.empty());
}

// What the container may ask, and what others may ask for it.
void Networks::Impl::publish_names(const Sandbox& box) {
  if (!resolver) return;
  Asker asker{.forwards = way_out(box, false) || way_out(box, true)};
  for (const std::string& server : box.dns.servers)
    if (auto address = Address::parse(server)) asker.servers.push_back(*address);
  for (const Endpoint& endpoint : box.endpoints) {
    if (!asks_names(endpoint)) continue;
    Asker::Network network{.id = endpoint.network_id, .links_only = !networks.find(endpoint.network_id)->second.network.has_names()};
    for (const auto& [name, alias] : endpoint.links) {
      // By name, or by an id in full.
      std::string target = to_lower(name.size() == 64 ? name.substr(0, 12) : name);
      network.links[to_lower(alias)] = target;
      if (network.links_only) network.links[target] = target;
    }
    asker.networks.push_back(std::move(network));
  }
  resolver->set_container(box.container_id, std::move(asker));
  for (const Endpoint& endpoint : box.endpoints) update_names(endpoint.network_id);
}

// --- coming and going ------------------------------------------------------------------------------------------------

Task<Result<SandboxInfo>> Networks::Impl::attach(SandboxSpec spec) {
  if (!started) co_return fail(Code::unavailable, "the containers' networks have not been started");
  if (sandboxes.contains(spec.container_id)) co_return fail(Code::conflict, "container " + spec.container_id + " has its networks already");
  auto planned = plan(spec);
  // What has just been released still holds its addresses.
  if (!planned && !dead.empty() && (planned.error().code == Code::forbidden || planned.error().code == Code::exhausted)) {
    co_await sweep();
    planned = plan(spec);
  }
  Sandbox box = CO_TRY(std::move(planned));
  std::vector<Wire> wires;
  for (const Endpoint& endpoint : box.endpoints)
    if (!endpoint.interface_name.empty()) wires.push_back(wire_of(endpoint));
  auto built = co_await worker.run([this, box, wires = std::move(wires), route = route_of(box), targets = targets_of(box)]() mutable {
    return build(std::move(box), std::move(wires), std::move(route), std::move(targets));
  });
  work.set();
  if (!built) {
    for (const Endpoint& endpoint : box.endpoints) give_back(endpoint);
    co_return std::unexpected(std::move(built.error()));
  }
  Sandbox& kept = sandboxes[spec.container_id] = std::move(built->box);
  publish_names(kept);
  if (built->names.udp) resolver->serve(kept.container_id, std::move(built->names));
  co_return describe(kept);
}

Task<Result<EndpointInfo>> Networks::Impl::connect(std::string container_id, EndpointSpec spec) {
  auto found = sandboxes.find(container_id);
  if (found == sandboxes.end()) co_return fail(Code::conflict, "container " + container_id + " is not running");
  Sandbox box = found->second;
  for (const Endpoint& endpoint : box.endpoints)
    if (endpoint.interface_name.empty())
      co_return fail(Code::forbidden, "container cannot be connected to multiple networks with one of the networks in private (none) mode");
  Endpoint endpoint = CO_TRY(plan_endpoint(spec, box.endpoints));
  if (endpoint.interface_name.empty()) {
    co_return fail(
        Code::forbidden,
        "container cannot be " + std::string(spec.network == "host"
                                                 ? "connected to host network - container is not in host mode"
                                                 : "connected to multiple networks with one of the networks in private (none) mode"));
  }
  endpoint.veth = Kernel::new_veth_name();
  Targets before = targets_of(box);
  box.endpoints.push_back(endpoint);
  auto made = co_await worker.run(
      [this, box, wire = wire_of(endpoint), route = route_of(box), before, after = targets_of(box)]() mutable -> Result<Sandbox> {
        auto change = [&]() -> Result<void> {
          TRY(write_record(box));
          TRY(kernel.add_wire(box.id, wire));
          TRY(kernel.set_default_route(box.id, route));
          TRY(move_ports(box, before, after));
          return write_record(box);
        };
        auto changed = change();
        if (changed) return std::move(box);
        (void)kernel.remove_wires({wire.veth});
        box.endpoints.pop_back();
        (void)write_record(box);
        return std::unexpected(std::move(changed.error()));
      });
  if (!made) {
    give_back(endpoint);
    co_return std::unexpected(std::move(made.error()));
  }
  Sandbox& kept = found->second = std::move(*made);
  publish_names(kept);
  co_return describe(kept, kept.endpoints.back());
}

Task<Result<void>> Networks::Impl::disconnect(std::string container_id, std::string network) {
  std::string network_id = CO_TRY(find(network))->network.info.id, name = CO_TRY(find(network))->network.info.name;
  auto found = sandboxes.find(container_id);
  auto gone = [&](const Endpoint& endpoint) { return endpoint.network_id == network_id; };
  if (found == sandboxes.end() || std::ranges::none_of(found->second.endpoints, gone))
    co_return fail(Code::forbidden, "container " + container_id + " is not connected to network " + name);
  Sandbox box = found->second;
  Endpoint endpoint = *std::ranges::find_if(box.endpoints, gone);
  if (endpoint.interface_name.empty()) co_return fail(Code::forbidden, "container cannot be disconnected from " + name + " network");
  Targets before = targets_of(box);
  std::erase_if(box.endpoints, gone);
  auto done =
      co_await worker.run([this, box, endpoint, route = route_of(box), before, after = targets_of(box)]() mutable -> Result<Sandbox> {
        TRY(move_ports(box, before, after));
        TRY(kernel.remove_wires({endpoint.veth}));
        TRY(kernel.set_default_route(box.id, route));
        TRY(write_record(box));
        return std::move(box);
      });
  found->second = CO_TRY(std::move(done));
  give_back(endpoint);
  publish_names(found->second);
  update_names(network_id);
  co_return {};
}

Task<Result<void>> Networks::Impl::release(std::string container_id) {
  auto found = sandboxes.find(container_id);
  if (found == sandboxes.end()) co_return {};
  Sandbox box = found->second;
  auto led = filter_ports(box);
  sandboxes.erase(found);
  if (resolver) {
    resolver->forget(container_id);
    for (const Endpoint& endpoint : box.endpoints) update_names(endpoint.network_id);
  }
  dead.push_back({.sandbox_id = box.id, .endpoints = box.endpoints});
  if (!box.ports.empty())
    co_await worker.run([this, box, led] {
      free_ports(box, led);
      return true;
    });
  work.set();
  co_return {};
}

Task<Result<void>> Networks::Impl::rename(std::string container_id, std::string name) {
  auto found = sandboxes.find(container_id);
  if (found == sandboxes.end()) co_return {};
  found->second.container_name = std::move(name);
  publish_names(found->second);
  co_return co_await worker.run([this, box = found->second] { return write_record(box); });
}

Task<Result<void>> Networks::Impl::recover(std::vector<std::string> running) {
  std::set<std::string> live(running.begin(), running.end()), gone;
  for (const auto& [container, box] : sandboxes)
    if (!live.contains(container)) gone.insert(container);
  for (const std::string& container : gone) CO_TRY(co_await release(container));
  for (const auto& [container, box] : sandboxes) {
    auto names = co_await worker.run([this, box] {
      for (const BoundPort& port : box.ports) {
        auto host = Address::parse(port.host_ip);
        auto held = host ? ports.take_again(*host, port.protocol, port.host_port) : Result<void>();
        if (!held)
          log::warn("network", "a published port is used by another program as well",
                    {{"container", box.container_name}, {"error", held.error()}});
      }
      return kernel.open_names(box.id);
    });
    publish_names(box);
    if (names) resolver->serve(container, std::move(*names));
    else log::error("network", "a container's names are not answered", {{"container", box.container_name}, {"error", names.error()}});
  }
  co_return {};
}

// --- in the background -----------------------------------------------------------------------------------------------

Task<void> Networks::Impl::sweep() {
  if (dead.empty()) co_return;
  std::vector<Dead> doomed = std::exchange(dead, {});
  std::vector<std::string> ids, veths;
  for (const Dead& one : doomed) {
    ids.push_back(one.sandbox_id);
    for (const Endpoint& endpoint : one.endpoints) veths.push_back(endpoint.veth);
  }
  auto removed = co_await worker.run([this, ids, veths]() -> Result<void> {
    auto gone = kernel.remove(ids, veths);
    for (const std::string& id : ids) (void)os::remove_file(record_path(id));
    return gone;
  });
  if (!removed) log::warn("network", "networks of containers that are gone could not be removed", {{"error", removed.error()}});
  for (const Dead& one : doomed)
    for (const Endpoint& endpoint : one.endpoints) give_back(endpoint);
}

// Waits until nothing was attached or released for a while.
Task<void> Networks::Impl::quiet(Duration still, Duration at_most) {
  for (auto end = executor.now() + at_most; executor.now() < end;) {
    work.reset();
    if (!co_await work.wait_for(still)) co_return;
  }
}

// Fills the pool and removes what was released, after the rush, so that no container waits for it.
Task<void> Networks::Impl::maintain() {
  for (;;) {
    co_await work.wait();
    co_await quiet(milliseconds(10), seconds(1));
    for (bool more = true; more;) {
      auto made = co_await worker.run([this] { return kernel.refill(); });
      if (!made) log::warn("network", "no container network could be made ahead", {{"error", made.error()}});
      more = made && *made;
    }
    if (work.is_set()) continue;
    co_await quiet(milliseconds(100), seconds(2));
    co_await turns.run(swept(this));
  }
}

Task<bool> Networks::Impl::swept(Impl* self) {
  co_await self->sweep();
  co_return true;
}

// Other tools flush the packet filter (`nft flush ruleset`, a firewall's restart); the kernel tells of every change.
Task<void> Networks::Impl::mend_filter() {
  auto watch = os::netlink::watch(NETLINK_NETFILTER, 7);  // NFNLGRP_NFTABLES
  if (!watch) {
    log::warn("network", "the packet filter is not watched", {{"error", watch.error()}});
    co_return;
  }
  for (;;) {
    co_await io::Loop::current()->readable(watch->get());
    co_await sleep_for(milliseconds(50));  // a change comes as many messages
    os::netlink::drain(watch->get());
    co_await turns.run(mended(this));
  }
}

Task<bool> Networks::Impl::mended(Impl* self) {
  auto mended = co_await self->worker.run([self, bridges = self->bridges(), ports = self->all_ports()]() -> Result<bool> {
    if (TRY(Filter::intact(self->filter, ports))) return false;
    TRY(Filter::replace(self->filter, bridges, ports));
    return true;
  });
  if (!mended) log::error("network", "the packet filter could not be mended", {{"error", mended.error()}});
  else if (*mended) log::warn("network", "another program had changed our packet filter: it is mended");
  co_return mended && *mended;
}

// --- telling ---------------------------------------------------------------------------------------------------------

EndpointInfo Networks::Impl::describe(const Sandbox& box, const Endpoint& endpoint) const {
  EndpointInfo info{.network_id = endpoint.network_id,
                    .endpoint_id = endpoint.id,
                    .interface_name = endpoint.interface_name,
                    .mac = endpoint.mac.empty() ? "" : mac_text(endpoint.mac),
                    .dns_names = names_of(box, endpoint)};
  auto known = networks.find(endpoint.network_id);
  if (known == networks.end()) return info;
  const Network& network = known->second.network;
  info.network_name = network.info.name;
  if (endpoint.v4 && network.v4) {
    info.ipv4 = endpoint.v4->text();
    info.ipv4_length = network.v4->subnet.length;
    if (!network.info.internal) info.gateway = network.v4->gateway.text();
  }
  if (endpoint.v6 && network.v6) {
    info.ipv6 = endpoint.v6->text();
    info.ipv6_length = network.v6->subnet.length;
    if (!network.info.internal) info.gateway6 = network.v6->gateway.text();
  }
  return info;
}

SandboxInfo Networks::Impl::describe(const Sandbox& box) const {
  SandboxInfo info{.id = box.id, .netns_path = kernel.netns_path(box.id), .ports = box.ports};
  for (const Endpoint& endpoint : box.endpoints) info.endpoints.push_back(describe(box, endpoint));
  return info;
}

}  // namespace estiba::network::bridge
