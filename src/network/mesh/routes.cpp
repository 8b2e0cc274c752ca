#include "network/mesh/routes.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>

#include "base/log.h"
#include "network/pod_network.h"

namespace estiba::network::mesh {

namespace rtnl = os::rtnl;

// Outer IPv4 and UDP headers, VXLAN's own, and the inner Ethernet header (RFC 7348, section 5).
static constexpr int kVxlanOverhead = 20 + 8 + 8 + 14;

static bool covers(const rtnl::Route& route, const Address& address) {
  if (route.prefix_length == 0) return true;
  if (route.destination.size() != address.size()) return false;
  Prefix prefix{{}, route.prefix_length};
  std::copy(route.destination.begin(), route.destination.end(), prefix.address.bytes.begin());
  return prefix.contains(address);
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

Result<void> Routes::apply(const std::vector<Peer>& peers) {
  const std::vector<rtnl::Link> links = TRY(rtnl::links(socket_));
  std::vector<rtnl::Route> there = TRY(rtnl::routes(socket_, AF_INET));
  std::vector<int> skip;
  std::map<int, int> mtus;
  bool has_device = false;
  for (const rtnl::Link& link : links) {
    mtus[link.index] = link.mtu;
    has_device |= link.name == config_.device;
    if (link.name == config_.bridge || link.name == config_.device) skip.push_back(link.index);
  }
  // Our own routes say nothing of how a machine is reached.
  std::vector<rtnl::Route> ours, others;
  for (rtnl::Route& route : there) (route.protocol == config_.protocol ? ours : others).push_back(std::move(route));

  std::vector<rtnl::Route> wanted;
  Tunnels tunnels;
  int mtu = 0;
  for (const Peer& peer : peers) {
    const auto way = way_to(others, peer.address, skip);
    if (!way) {
      log::warn("network", "no route leads to a node: its pods cannot be reached", {{"node", peer.name}, {"address", peer.address.text()}});
      continue;
    }
    rtnl::Route route{.destination = std::string(peer.pods.address.raw()),
                      .prefix_length = peer.pods.length,
                      .protocol = config_.protocol,
                      .onlink = true};
    if (way->routed) {
      tunnels[peer.pods.address] = peer.address;
      if (const int here = mtus[way->index]; here && (mtu == 0 || here < mtu)) mtu = here;
      route.gateway = std::string(peer.pods.address.raw());
    } else {
      route.gateway = std::string(peer.address.raw());
      route.index = way->index;
    }
    wanted.push_back(std::move(route));
  }
  if (tunnels.empty()) {
    rtnl::Batch batch;
    rtnl::put_delete_link(batch, config_.device);
    if (has_device) TRY(socket_.run(batch));
    device_ = 0;
    tunnels_.clear();
    return put_routes(ours, wanted);
  }
  const int index = TRY(make_device(mtu - kVxlanOverhead));
  for (rtnl::Route& route : wanted)
    if (route.index == 0) route.index = index;
  TRY(put_tunnels(index, tunnels));
  return put_routes(ours, wanted);
}

Result<int> Routes::make_device(int mtu) {
  rtnl::Batch batch;
  const std::string mac = mac_of(config_.own_pods.address);
  rtnl::put_vxlan(batch, {.name = config_.device, .mac = mac, .vni = config_.vni, .port = config_.port, .mtu = mtu});
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
  rtnl::put_address(batch, link.index, config_.own_pods.address.raw(), 32);
  TRY(socket_.run(batch));
  if (link.index != device_) tunnels_.clear();
  device_ = link.index;
  return link.index;
}

Result<void> Routes::put_tunnels(int index, const Tunnels& wanted) {
  rtnl::Batch batch;
  for (const auto& [hop, node] : tunnels_) {
    const auto found = wanted.find(hop);
    if (found != wanted.end() && found->second == node) continue;
    rtnl::put_delete_forwarding(batch, index, mac_of(hop), node.raw());
    if (found == wanted.end()) rtnl::put_delete_neighbour(batch, index, hop.raw());
  }
  for (const auto& [hop, node] : wanted) {
    if (const auto known = tunnels_.find(hop); known != tunnels_.end() && known->second == node) continue;
    rtnl::put_neighbour(batch, index, hop.raw(), mac_of(hop));
    rtnl::put_forwarding(batch, index, mac_of(hop), node.raw());
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
    if (!kept) rtnl::put_delete_route(batch, old);
  }
  for (const rtnl::Route& route : wanted)
    if (std::ranges::none_of(there, [&](const rtnl::Route& old) { return same(old, route); })) rtnl::put_route(batch, route);
  return batch.empty() ? Result<void>{} : socket_.run(batch);
}

}  // namespace estiba::network::mesh
