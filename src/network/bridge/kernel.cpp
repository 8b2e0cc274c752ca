#include "network/bridge/kernel.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "network/dns/socket.h"
#include "network/inside.h"
#include "os/netns.h"
#include "os/nft.h"

namespace estiba::network::bridge {

namespace rtnl = os::rtnl;

static constexpr std::string_view kVethPrefix = "ed";

std::string Kernel::new_veth_name() { return std::string(kVethPrefix) + hex_encode(random_bytes(5)); }

std::string bridge_mac(const Network& network) {
  std::string_view gateway = network.v4 ? network.v4->gateway.raw() : network.v6 ? network.v6->gateway.raw() : std::string_view();
  if (network.v4) return std::string("\x02\x42", 2) + std::string(gateway);
  uint32_t hash = fnv1a32(gateway);
  return std::string("\x02\x43", 2) + std::string(reinterpret_cast<const char*>(&hash), 4);
}

Result<void> Kernel::start() {
  socket_ = TRY(os::netlink::Socket::open(NETLINK_ROUTE));
  for (const char* dir : {"", "/docker", "/docker/netns", "/docker/sandboxes"})
    if (mkdir((config_.run_dir + dir).c_str(), 0711) < 0 && errno != EEXIST) return fail_errno("make " + config_.run_dir + dir);
  mtu_ = TRY(rtnl::default_mtu(socket_));
  return {};
}

Result<std::vector<Prefix>> Kernel::host_routes() {
  std::vector<Prefix> found;
  auto add = [&](std::string_view raw, int length) {
    if (length > 0) found.push_back(masked(Address::from_raw(raw), length));
  };
  for (uint8_t family : {AF_INET, AF_INET6}) {
    auto routes = rtnl::routes(socket_, family);
    if (!routes && family == AF_INET6) break;  // a kernel without IPv6
    for (const rtnl::Route& route : TRY(std::move(routes)))
      if (!route.destination.empty()) add(route.destination, route.prefix_length);
  }
  for (const rtnl::LinkAddress& address : TRY(rtnl::addresses(socket_, AF_UNSPEC))) add(address.address, address.prefix_length);
  return found;
}

// --- bridges ---------------------------------------------------------------------------------------------------------

Result<int> Kernel::bridge_index(const std::string& link) { return TRY_AS("the bridge of the network", rtnl::link(socket_, link)).index; }

static Result<void> set_bridge_sysctls(const Network& network) {
  std::string link = network.info.link;
  if (network.v4) {
    TRY(rtnl::set_sysctl("net/ipv4/ip_forward", "1"));
    TRY(rtnl::set_sysctl("net/ipv4/conf/" + link + "/route_localnet",
                         "1"));  // ports at 127.0.0.1; the filter drops such packets from containers
  }
  if (!network.v6) return {};
  TRY_AS("IPv6", rtnl::set_sysctl("net/ipv6/conf/" + link + "/disable_ipv6", "0"));
  TRY(rtnl::set_sysctl("net/ipv6/conf/" + link + "/accept_ra", "0"));
  if (!network.info.internal) TRY(rtnl::set_sysctl("net/ipv6/conf/all/forwarding", "1"));
  return {};
}

// For ports at ::1, as route_localnet is for those at 127.0.0.1: the answer of a container comes in by the bridge, becomes one to ::1
// when its translation is undone, and is delivered only by a route to ::1 over the interface that it came by. What says ::1 as it
// comes in is dropped by the kernel before that, on every interface but lo.
static void put_loopback_route(rtnl::Batch& batch, int index) {
  constexpr uint32_t behind_lo = 4096;
  rtnl::put_route(batch, {.destination = std::string(Address::parse("::1")->raw()),
                          .prefix_length = 128,
                          .index = index,
                          .family = AF_INET6,
                          .table = RT_TABLE_LOCAL,
                          .type = RTN_LOCAL,
                          .metric = behind_lo + uint32_t(index)});  // a metric of its own, so that no bridge replaces another's
}

Result<void> Kernel::put_bridge(const Network& network) {
  const std::string& name = network.info.link;
  int mtu = network.mtu ? network.mtu : mtu_;
  auto old = rtnl::link(socket_, name);
  if (old && old->kind != "bridge")
    return fail(Code::conflict, "the link " + name + " exists and is no bridge: remove it or choose another name");
  if (old && old->alias != owner())
    return fail(Code::conflict, "the bridge " + name + " belongs to another program" + (old->alias.empty() ? "" : " (" + old->alias + ")") +
                                    ": choose another name, or, if that one is gone for good, `ip link delete " + name + "`");
  rtnl::Batch batch;
  if (!old) {
    rtnl::put_bridge(batch, name, bridge_mac(network), mtu);
    TRY(socket_.run(batch));
  }
  int index = TRY(rtnl::link(socket_, name)).index;
  batch.clear();
  rtnl::put_link(batch, index, {.up = true, .mtu = mtu, .alias = owner()});
  TRY(socket_.run(batch));
  TRY(set_bridge_sysctls(network));
  batch.clear();
  if (network.v4) rtnl::put_address(batch, index, network.v4->gateway.raw(), network.v4->subnet.length);
  if (network.v6) {
    rtnl::put_address(batch, index, network.v6->gateway.raw(), network.v6->subnet.length);
    put_loopback_route(batch, index);
  }
  return socket_.run(batch);
}

Result<void> Kernel::remove_bridge(const std::string& link) {
  rtnl::Batch batch;
  rtnl::put_delete_link(batch, link);
  return socket_.run(batch);
}

// --- slots -----------------------------------------------------------------------------------------------------------

static Result<uint16_t> port_of(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) < 0) return fail_errno("look at a socket's address");
  return ntohs(address.sin_port);
}

// Within the namespace. The sockets have ports of their own, and the packet filter leads port 53 of 127.0.0.11 there: so a container may
// run a DNS server of its own on every address.
static Result<NameSockets> make_names(os::netlink::Socket& filter) {
  const Address self = *Address::parse("127.0.0.11");
  NameSockets sockets{.udp = TRY(dns::bind_to(self, 0, false)), .tcp = TRY(dns::bind_to(self, 0, true))};
  os::nft::Transaction tx(os::nft::Family::ip, "estiba_names");
  tx.add_table();
  tx.delete_table();
  tx.add_table();
  tx.add_base_chain("out", "nat", os::nft::Hook::output, -100);
  auto net16 = [](uint16_t value) { return std::string{char(value >> 8), char(value)}; };
  for (auto [protocol, fd] : {std::pair(Protocol::udp, sockets.udp.get()), {Protocol::tcp, sockets.tcp.get()}}) {
    uint16_t port = TRY(port_of(fd));
    os::nft::Rule(tx, "out")
        .load_ip_destination(0)
        .equal(0, self.raw())
        .load_protocol(1)
        .equal(1, std::string(1, char(protocol)))
        .load_port_destination(2)
        .equal(2, net16(53))
        .load_value(3, self.raw())
        .load_value(4, net16(port))
        .dnat(3, 4);
  }
  filter = TRY(os::netlink::Socket::open(NETLINK_NETFILTER));
  TRY(tx.commit(filter));
  return sockets;
}

Result<void> Kernel::build(Slot& slot) {
  return os::make_netns(netns_path(slot.id), [&]() -> Result<void> {
    // This thread is within the new namespace; socket_ still speaks to the node's.
    Fd here(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    if (!here) return fail_errno("open /proc/thread-self/ns/net");
    TRY(set_inside_sysctls());
    rtnl::Batch batch;
    if (!slot.veth.empty()) {
      rtnl::put_veth(batch, {.name = slot.veth, .peer_name = "eth0", .peer_netns = here.get(), .mtu = mtu_});
      TRY(socket_.run(batch));
      slot.veth_index = TRY(rtnl::link(socket_, slot.veth)).index;
      batch.clear();
    }
    slot.inside = TRY(os::netlink::Socket::open(NETLINK_ROUTE));
    rtnl::put_link(batch, 1, {.up = true});  // lo
    if (!slot.veth.empty()) {
      slot.eth0_index = TRY(rtnl::link(slot.inside, "eth0")).index;
      rtnl::put_link(batch, slot.eth0_index, {.up = true});
    }
    TRY(slot.inside.run(batch));
    if (!slot.veth.empty()) slot.names = TRY(make_names(slot.filter));
    return {};
  });
}

Result<Kernel::Slot> Kernel::make_slot(bool bare) {
  Slot slot{.id = hex_encode(random_bytes(32)), .veth = bare ? "" : new_veth_name()};
  auto built = build(slot);
  if (built) return slot;
  (void)remove({slot.id}, {slot.veth});
  return std::unexpected(std::move(built.error()).context("make a container's network"));
}

Result<Kernel::Slot> Kernel::take(bool bare) {
  auto& pool = bare ? bare_ : ready_;
  if (pool.empty()) return make_slot(bare);
  Slot slot = std::move(pool.front());
  pool.pop_front();
  return slot;
}

Result<bool> Kernel::refill() {
  if (ready_.size() < config_.pool) {
    ready_.push_back(TRY(make_slot(false)));
    return true;
  }
  if (bare_.size() < config_.pool) {
    bare_.push_back(TRY(make_slot(true)));
    return true;
  }
  return false;
}

void Kernel::drop_pool() {
  std::vector<std::string> ids, veths;
  for (auto* pool : {&ready_, &bare_}) {
    for (const Slot& slot : *pool) {
      ids.push_back(slot.id);
      if (!slot.veth.empty()) veths.push_back(slot.veth);
    }
    pool->clear();
  }
  if (auto gone = remove(ids, veths); !gone)
    log::warn("network", "container networks made ahead could not be removed", {{"error", gone.error()}});
}

// --- wires -----------------------------------------------------------------------------------------------------------

Result<void> Kernel::join(int veth_index, const Wire& wire) {
  rtnl::Batch batch;
  std::optional<int> mtu = wire.mtu && wire.mtu != mtu_ ? std::optional(wire.mtu) : std::nullopt;
  rtnl::put_link(batch, veth_index, {.mtu = mtu, .master = TRY(bridge_index(wire.bridge))});
  // With br_netfilter a container's packet to itself through a published port leaves by the port it came by.
  rtnl::put_bridge_port(batch, veth_index, {.hairpin = true, .isolated = wire.isolated});
  return socket_.run(batch);
}

Result<void> Kernel::configure(os::netlink::Socket& inside, int index, const Wire& wire) {
  rtnl::Batch batch;
  bool changed = wire.interface_name != "eth0" || (wire.mtu && wire.mtu != mtu_);
  if (changed) rtnl::put_link(batch, index, {.up = false});
  rtnl::put_link(batch, index,
                 {.mtu = wire.mtu && wire.mtu != mtu_ ? std::optional(wire.mtu) : std::nullopt,
                  .name = changed ? wire.interface_name : "",
                  .mac = wire.mac});
  rtnl::put_link(batch, index, {.up = true});
  if (wire.v4) rtnl::put_address(batch, index, wire.v4->raw(), wire.v4_length);
  if (wire.v6) rtnl::put_address(batch, index, wire.v6->raw(), wire.v6_length);
  if (wire.v4) rtnl::put_neighbour(batch, index, wire.gateway.raw(), wire.gateway_mac);
  return inside.run(batch);
}

Result<void> Kernel::wire(Slot& slot, const Wire& wire) {
  TRY(configure(slot.inside, slot.eth0_index, wire));
  return join(slot.veth_index, wire);
}

Result<void> Kernel::add_wire(const std::string& id, const Wire& wire) {
  Fd netns = TRY(os::open_netns(netns_path(id)));
  rtnl::Batch batch;
  // A name of its own first: the one it is to have may be taken for a moment by one that is going.
  std::string draft = "x" + wire.veth;
  rtnl::put_veth(batch, {.name = wire.veth, .peer_name = draft, .peer_netns = netns.get(), .mtu = wire.mtu ? wire.mtu : mtu_});
  TRY(socket_.run(batch));
  TRY(os::in_netns(netns_path(id), [&]() -> Result<void> {
    auto inside = TRY(os::netlink::Socket::open(NETLINK_ROUTE));
    int index = TRY(rtnl::link(inside, draft)).index;
    rtnl::Batch rename;
    rtnl::put_link(rename, index, {.name = wire.interface_name});
    TRY(inside.run(rename));
    return configure(inside, index, wire);
  }));
  return join(TRY(rtnl::link(socket_, wire.veth)).index, wire);
}

static Result<void> put_default_route(os::netlink::Socket& inside, const DefaultRoute& route) {
  rtnl::Batch batch;
  for (const auto& [family, way] : {std::pair(uint8_t(AF_INET), &route.v4), {uint8_t(AF_INET6), &route.v6}}) {
    auto present = rtnl::routes(inside, family);
    if (!present) continue;  // no IPv6
    for (const rtnl::Route& old : *present)
      if (old.prefix_length == 0) rtnl::put_delete_route(batch, old);
    if (*way)
      rtnl::put_route(batch, {.gateway = std::string((*way)->gateway.raw()),
                              .index = TRY(rtnl::link(inside, (*way)->interface_name)).index,
                              .family = family});
  }
  return inside.run(batch);
}

Result<void> Kernel::set_default_route(Slot& slot, const DefaultRoute& route) {
  rtnl::Batch batch;  // there is none yet
  for (const auto& [family, way] : {std::pair(uint8_t(AF_INET), &route.v4), {uint8_t(AF_INET6), &route.v6}}) {
    if (!*way) continue;
    int index = (*way)->interface_name == "eth0" ? slot.eth0_index : TRY(rtnl::link(slot.inside, (*way)->interface_name)).index;
    rtnl::put_route(batch, {.gateway = std::string((*way)->gateway.raw()), .index = index, .family = family});
  }
  return slot.inside.run(batch);
}

Result<void> Kernel::set_default_route(const std::string& id, const DefaultRoute& route) {
  return os::in_netns(netns_path(id), [&]() -> Result<void> {
    auto inside = TRY(os::netlink::Socket::open(NETLINK_ROUTE));
    return put_default_route(inside, route);
  });
}

Result<void> Kernel::remove_wires(const std::vector<std::string>& veths) {
  rtnl::Batch batch;
  rtnl::put_delete_links(batch, veths);
  return socket_.run(batch);
}

// --- after a restart, and the end ------------------------------------------------------------------------------------

Result<NameSockets> Kernel::open_names(const std::string& id) {
  NameSockets sockets;
  TRY(os::in_netns(netns_path(id), [&]() -> Result<void> {
    os::netlink::Socket filter;
    sockets = TRY(make_names(filter));
    return {};
  }));
  return sockets;
}

bool Kernel::is_whole(const std::string& id) const { return os::open_netns(netns_path(id)).has_value(); }

Result<void> Kernel::remove(const std::vector<std::string>& ids, const std::vector<std::string>& veths) {
  std::vector<std::string> names;
  for (const std::string& veth : veths)
    if (!veth.empty()) names.push_back(veth);
  // The namespace's end would take its pairs along, but some time later, and their addresses may be wanted before.
  auto links = remove_wires(names);
  for (const std::string& id : ids) TRY(os::remove_netns(netns_path(id)));
  return links;
}

Result<void> Kernel::remove_strays(const std::vector<std::string>& ids, const std::vector<std::string>& veths,
                                   const std::vector<std::string>& bridges) {
  std::vector<std::string> strays;
  auto links = TRY(rtnl::links(socket_));
  for (const rtnl::Link& link : links) {
    if (link.kind != "veth" || !link.name.starts_with(kVethPrefix) || std::ranges::find(veths, link.name) != veths.end()) continue;
    auto master = std::ranges::find(links, link.master, &rtnl::Link::index);
    if (link.master && master != links.end() && std::ranges::find(bridges, master->name) != bridges.end()) strays.push_back(link.name);
  }
  TRY(remove_wires(strays));
  std::string dir = config_.run_dir + "/docker/netns";
  std::unique_ptr<DIR, int (*)(DIR*)> entries(opendir(dir.c_str()), closedir);
  if (!entries) return fail_errno("open the directory " + dir);
  while (dirent* entry = readdir(entries.get())) {
    std::string name = entry->d_name;
    if (name[0] == '.' || std::ranges::any_of(ids, [&](const std::string& id) { return id.starts_with(name); })) continue;
    TRY(os::remove_netns(dir + "/" + name));
  }
  return {};
}

}  // namespace estiba::network::bridge
