#include "network/mesh/routes.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>

#include "base/log.h"
#include "network/pod_network.h"

namespace estiba::network::mesh {

namespace rtnl = os::rtnl;

// Outer IP and UDP headers, VXLAN's own, and the inner Ethernet header (RFC 7348, section 5).
static int vxlan_overhead(bool over_v6) { return (over_v6 ? 40 : 20) + 8 + 8 + 14; }

static bool covers(const rtnl::Route& route, const Address& address) {
  if ((route.family == AF_INET6) != address.v6) return false;
  if (route.prefix_length == 0) return true;
  return route.destination.size() == address.size() && Prefix{Address::from_raw(route.destination), route.prefix_length}.contains(address);
}

std::optional<Way> way_to(const std::vector<rtnl::Route>& routes, const Address& address, const std::vector<int>& skip) {
  const rtnl::Route* best = nullptr;
  for (const rtnl::Route& route : routes) {
    if (std::ranges::find(skip, route.index) != skip.end() || !covers(route, address)) continue;
    const bool better =
        !best || route.prefix_length > best->prefix_length || (route.prefix_length == best->prefix_length && route.metric < best->metric);
    if (better) best = &route;
  }
  if (!best) return std::nullopt;
  return Way{best->index, !best->gateway.empty()};
}

Result<uint32_t> Routes::open() {
  socket_ = TRY(os::netlink::Socket::open(NETLINK_ROUTE));
  return socket_.port();
}

// What the kernel says of the machine, without what is ours.
struct Routes::Machine {
  std::vector<rtnl::Route> routes;  // of others: our own say nothing of how a machine is reached
  std::vector<int> skip;
  std::map<int, int> mtus;  // by link
};

// The device is of one family, that of the cluster's nodes' primary addresses.
void Routes::add_ways(const Peer& peer, const Machine& machine, std::vector<rtnl::Route>& wanted, Tunnels& tunnels, int& mtu) const {
  const auto way_of = [&](const Address& address) { return way_to(machine.routes, address, machine.skip); };
  for (const Prefix& pods : peer.pods) {
    const bool v6 = pods.address.v6;
    if (std::ranges::find(config_.sides, v6, &Side::v6) == config_.sides.end()) continue;
    rtnl::Route route{.destination = std::string(pods.address.raw()),
                      .prefix_length = pods.length,
                      .family = uint8_t(v6 ? AF_INET6 : AF_INET),
                      .protocol = config_.protocol,
                      .onlink = true};
    const auto same = std::ranges::find(peer.addresses, v6, &Address::v6);
    const auto direct = same == peer.addresses.end() ? std::nullopt : way_of(*same);
    const Address& primary = peer.addresses.front();
    const auto way = direct && !direct->routed ? direct : way_of(primary);
    const bool other_family = !tunnels.empty() && tunnels.begin()->second.node.v6 != primary.v6;
    if (!way || ((!direct || direct->routed) && other_family)) {
      log::warn("network", "no route leads to a node: its pods cannot be reached",
                {{"node", peer.name}, {"address", primary.text()}, {"pods", pods.text()}});
      continue;
    }
    if (direct && !direct->routed) {
      route.gateway = std::string(same->raw());
      route.index = direct->index;
    } else {
      tunnels[pods.address] = {mac_of(peer.pods.front().address), primary};
      if (const auto here = machine.mtus.find(way->index); here != machine.mtus.end() && (mtu == 0 || here->second < mtu))
        mtu = here->second;
      route.gateway = std::string(pods.address.raw());
    }
    wanted.push_back(std::move(route));
  }
}

Result<void> Routes::apply(const std::vector<Peer>& peers) {
  Machine machine;
  bool has_device = false;
  for (const rtnl::Link& link : TRY(rtnl::links(socket_))) {
    machine.mtus[link.index] = link.mtu;
    has_device |= link.name == config_.device;
    if (link.name == config_.bridge || link.name == config_.device) machine.skip.push_back(link.index);
  }
  // Both families: a part of one may go between addresses of the other.
  std::vector<rtnl::Route> ours;
  const bool any_v6 = std::ranges::any_of(config_.sides, &Side::v6);
  for (const uint8_t family : {AF_INET, AF_INET6}) {
    if (family == AF_INET6 && !any_v6) continue;
    for (rtnl::Route& route : TRY(rtnl::routes(socket_, family)))
      (route.protocol == config_.protocol ? ours : machine.routes).push_back(std::move(route));
  }

  std::vector<rtnl::Route> wanted;
  Tunnels tunnels;
  int mtu = 0;
  for (const Peer& peer : peers) add_ways(peer, machine, wanted, tunnels, mtu);
  if (tunnels.empty()) {
    rtnl::Batch batch;
    rtnl::put_delete_link(batch, config_.device);
    if (has_device) TRY(socket_.run(batch));
    device_ = 0;
    tunnels_.clear();
    return put_routes(ours, wanted);
  }
  const bool over_v6 = tunnels.begin()->second.node.v6;
  const int index = TRY(make_device(mtu - vxlan_overhead(over_v6), over_v6));
  for (rtnl::Route& route : wanted)
    if (route.index == 0) route.index = index;
  TRY(put_tunnels(index, tunnels));
  return put_routes(ours, wanted);
}

Result<int> Routes::make_device(int mtu, bool over_v6) {
  rtnl::Batch batch;
  const std::string mac = mac_of(config_.sides[0].pods.address);
  rtnl::put_vxlan(batch, {.name = config_.device, .mac = mac, .vni = config_.vni, .port = config_.port, .mtu = mtu, .over_v6 = over_v6});
  TRY(socket_.run(batch));
  const rtnl::Link link = TRY(rtnl::link(socket_, config_.device));
  if (link.kind != "vxlan") return fail(Code::conflict, "the link " + config_.device + " exists and is no VXLAN: remove it");
  batch.clear();
  rtnl::LinkChange change{.up = true, .mtu = mtu};
  // Only where it is wrong: setting it makes the kernel forget the neighbours, also when it is the same.
  if (link.mac != mac) {
    change.mac = mac;
    tunnels_.clear();
  }
  rtnl::put_link(batch, link.index, change);
  // The source of what the node itself sends there, so that the answer comes back the same way.
  for (const Side& side : config_.sides) rtnl::put_address(batch, link.index, side.pods.address.raw(), int(side.pods.address.size()) * 8);
  TRY(socket_.run(batch));
  if (link.index != device_) tunnels_.clear();
  device_ = link.index;
  return link.index;
}

Result<void> Routes::put_tunnels(int index, const Tunnels& wanted) {
  rtnl::Batch batch;
  // Parts of one node share the entry that leads to it.
  const auto leads = [&](const Hop& to) { return std::ranges::any_of(wanted, [&](const auto& entry) { return entry.second == to; }); };
  for (const auto& [hop, to] : tunnels_) {
    const auto found = wanted.find(hop);
    if (found != wanted.end() && found->second == to) continue;
    if (!leads(to)) rtnl::put_delete_forwarding(batch, index, to.mac, to.node.raw());
    if (found == wanted.end()) rtnl::put_delete_neighbour(batch, index, hop.raw());
  }
  for (const auto& [hop, to] : wanted) {
    if (const auto known = tunnels_.find(hop); known != tunnels_.end() && known->second == to) continue;
    rtnl::put_neighbour(batch, index, hop.raw(), to.mac);
    rtnl::put_forwarding(batch, index, to.mac, to.node.raw());
  }
  if (!batch.empty()) TRY(socket_.run(batch));
  tunnels_ = wanted;
  return {};
}

Result<void> Routes::put_routes(const std::vector<rtnl::Route>& there, const std::vector<rtnl::Route>& wanted) {
  // As the kernel shows one, apart from what it fills in itself.
  const auto same = [](const rtnl::Route& a, const rtnl::Route& b) {
    return a.destination == b.destination && a.prefix_length == b.prefix_length && a.gateway == b.gateway && a.index == b.index;
  };
  rtnl::Batch batch;
  for (const rtnl::Route& old : there) {
    const bool kept = std::ranges::any_of(
        wanted, [&](const rtnl::Route& route) { return route.destination == old.destination && route.prefix_length == old.prefix_length; });
    // A gateway that an IPv6 route leads to by another link would be refused, be it the very route that is replaced.
    const bool moved =
        kept && old.family == AF_INET6 && std::ranges::none_of(wanted, [&](const rtnl::Route& route) { return same(old, route); });
    if (!kept || moved) rtnl::put_delete_route(batch, old);
  }
  for (const rtnl::Route& route : wanted)
    if (std::ranges::none_of(there, [&](const rtnl::Route& old) { return same(old, route); })) rtnl::put_route(batch, route);
  return batch.empty() ? Result<void>{} : socket_.run(batch);
}

}  // namespace estiba::network::mesh
