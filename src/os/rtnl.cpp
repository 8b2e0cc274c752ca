#include "os/rtnl.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <sys/socket.h>

#include <cstring>

#include "base/strings.h"

namespace estiba::os::rtnl {

static uint8_t family_of(std::string_view address) { return address.size() == 16 ? AF_INET6 : AF_INET; }

void put_bridge(Batch& batch, std::string_view name, std::string_view mac, int mtu) {
  batch.begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, "make the bridge " + std::string(name));
  batch.tolerate(EEXIST);
  batch.header(ifinfomsg{.ifi_flags = IFF_UP, .ifi_change = IFF_UP});
  batch.put_name(IFLA_IFNAME, name);
  batch.put(IFLA_ADDRESS, mac);
  batch.put_u32(IFLA_MTU, uint32_t(mtu));
  size_t info = batch.open(IFLA_LINKINFO);
  batch.put_name(IFLA_INFO_KIND, "bridge");
  size_t data = batch.open(IFLA_INFO_DATA);
  batch.put_u32(IFLA_BR_FORWARD_DELAY, 0);
  batch.put_u32(IFLA_BR_STP_STATE, 0);
  // Querying for multicast groups wakes an idle machine every few seconds.
  batch.put_u8(IFLA_BR_MCAST_SNOOPING, 0);
  batch.close(data);
  batch.close(info);
}

void put_veth(Batch& batch, const Veth& veth) {
  std::string name(veth.name);
  batch.begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, "make the veth pair " + name);
  batch.header(ifinfomsg{});
  batch.put_name(IFLA_IFNAME, veth.name);
  if (!veth.mac.empty()) batch.put(IFLA_ADDRESS, veth.mac);
  batch.put_u32(IFLA_MTU, uint32_t(veth.mtu));
  if (veth.master) batch.put_u32(IFLA_MASTER, uint32_t(veth.master));
  size_t info = batch.open(IFLA_LINKINFO);
  batch.put_name(IFLA_INFO_KIND, "veth");
  size_t data = batch.open(IFLA_INFO_DATA);
  size_t peer = batch.open(VETH_INFO_PEER);
  batch.header(ifinfomsg{});
  batch.put_name(IFLA_IFNAME, veth.peer_name);
  if (!veth.peer_mac.empty()) batch.put(IFLA_ADDRESS, veth.peer_mac);
  batch.put_u32(IFLA_MTU, uint32_t(veth.mtu));
  if (veth.peer_netns >= 0) batch.put_u32(IFLA_NET_NS_FD, uint32_t(veth.peer_netns));
  batch.close(peer);
  batch.close(data);
  batch.close(info);

  // Before the link is up, or solicitations are sent already. The kernel ignores IFLA_AF_SPEC when it makes a link.
  batch.begin(RTM_NEWLINK, 0, "keep IPv6 off the link " + name);
  batch.tolerate(EAFNOSUPPORT);
  batch.header(ifinfomsg{});
  batch.put_name(IFLA_IFNAME, veth.name);
  size_t spec = batch.open(IFLA_AF_SPEC);
  size_t inet6 = batch.open(AF_INET6);
  batch.put_u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
  batch.close(inet6);
  batch.close(spec);

  batch.begin(RTM_NEWLINK, 0, "set the link " + name + " up");
  batch.header(ifinfomsg{.ifi_flags = IFF_UP, .ifi_change = IFF_UP});
  batch.put_name(IFLA_IFNAME, veth.name);
  if (!veth.master) return;
  size_t port = batch.open(IFLA_LINKINFO);
  batch.put_name(IFLA_INFO_SLAVE_KIND, "bridge");
  size_t mode = batch.open(IFLA_INFO_SLAVE_DATA);
  batch.put_u8(IFLA_BRPORT_MODE, veth.hairpin);
  batch.close(mode);
  batch.close(port);
}

void put_vxlan(Batch& batch, const Vxlan& vxlan) {
  batch.begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, "make the VXLAN " + std::string(vxlan.name));
  batch.tolerate(EEXIST);
  batch.header(ifinfomsg{.ifi_flags = IFF_UP, .ifi_change = IFF_UP});
  batch.put_name(IFLA_IFNAME, vxlan.name);
  batch.put(IFLA_ADDRESS, vxlan.mac);
  batch.put_u32(IFLA_MTU, uint32_t(vxlan.mtu));
  size_t info = batch.open(IFLA_LINKINFO);
  batch.put_name(IFLA_INFO_KIND, "vxlan");
  size_t data = batch.open(IFLA_INFO_DATA);
  batch.put_u32(IFLA_VXLAN_ID, vxlan.vni);
  batch.put_u16(IFLA_VXLAN_PORT, __builtin_bswap16(vxlan.port));
  batch.put_u8(IFLA_VXLAN_LEARNING, 0);
  // The unspecified address says which family the other machines' are of.
  if (vxlan.over_v6) batch.put(IFLA_VXLAN_LOCAL6, std::string_view("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16));
  batch.close(data);
  batch.close(info);
}

void put_link(Batch& batch, int index, const LinkChange& change) {
  batch.begin(RTM_NEWLINK, 0, "change link " + std::to_string(index));
  ifinfomsg header{.ifi_index = index};
  if (change.up) {
    header.ifi_change = IFF_UP;
    header.ifi_flags = *change.up ? IFF_UP : 0;
  }
  batch.header(header);
  if (change.mtu) batch.put_u32(IFLA_MTU, uint32_t(*change.mtu));
  if (change.master) batch.put_u32(IFLA_MASTER, uint32_t(*change.master));
  if (change.netns >= 0) batch.put_u32(IFLA_NET_NS_FD, uint32_t(change.netns));
  if (!change.name.empty()) batch.put_name(IFLA_IFNAME, change.name);
  if (!change.mac.empty()) batch.put(IFLA_ADDRESS, change.mac);
  if (!change.alias.empty()) batch.put(IFLA_IFALIAS, change.alias.substr(0, IFALIASZ - 1));
}

void put_bridge_port(Batch& batch, int index, const BridgePort& port) {
  batch.begin(RTM_NEWLINK, 0, "change the bridge's port " + std::to_string(index));
  batch.header(ifinfomsg{.ifi_index = index});
  size_t info = batch.open(IFLA_LINKINFO);
  batch.put_name(IFLA_INFO_SLAVE_KIND, "bridge");
  size_t data = batch.open(IFLA_INFO_SLAVE_DATA);
  batch.put_u8(IFLA_BRPORT_MODE, port.hairpin);
  batch.put_u8(IFLA_BRPORT_ISOLATED, port.isolated);
  batch.close(data);
  batch.close(info);
}

// The rate is 64 bits wide in an attribute of its own where 32 do not do. Overhead for a link's frames is nobody's business between veths.
void put_token_bucket(Batch& batch, int index, uint64_t rate, uint32_t burst, std::chrono::microseconds latency) {
  batch.begin(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, "limit the rate of link " + std::to_string(index));
  tcmsg header{};
  header.tcm_family = AF_UNSPEC;
  header.tcm_ifindex = index;
  header.tcm_parent = TC_H_ROOT;
  batch.header(header);
  batch.put_name(TCA_KIND, "tbf");
  tc_tbf_qopt limits{};
  constexpr uint64_t most = UINT32_MAX;
  limits.rate.rate = uint32_t(std::min(rate, most));
  limits.rate.linklayer = TC_LINKLAYER_ETHERNET;
  limits.limit = uint32_t(std::min(uint64_t(double(rate) * double(latency.count()) / 1e6) + burst, most));
  const size_t options = batch.open(TCA_OPTIONS);
  batch.put(TCA_TBF_PARMS, &limits, sizeof limits);
  batch.put_u32(TCA_TBF_BURST, burst);
  if (rate >= most) batch.put(TCA_TBF_RATE64, &rate, sizeof rate);
  batch.close(options);
}

void put_delete_link(Batch& batch, std::string_view name) {
  batch.begin(RTM_DELLINK, 0, "delete the link " + std::string(name));
  batch.tolerate(ENODEV);
  batch.header(ifinfomsg{});
  batch.put_name(IFLA_IFNAME, name);
}

void put_delete_links(Batch& batch, const std::vector<std::string>& names) {
  if (names.size() <= 1) {
    for (const std::string& name : names) put_delete_link(batch, name);
    return;
  }
  static constexpr uint32_t kDoomed = 0x45737469;  // a group of links that nobody else uses
  for (const std::string& name : names) {
    batch.begin(RTM_NEWLINK, 0, "mark the link " + name + " for deletion");
    batch.tolerate(ENODEV);
    batch.header(ifinfomsg{});
    batch.put_name(IFLA_IFNAME, name);
    batch.put_u32(IFLA_GROUP, kDoomed);
  }
  batch.begin(RTM_DELLINK, 0, "delete " + std::to_string(names.size()) + " links");
  batch.tolerate(ENODEV);
  batch.header(ifinfomsg{});
  batch.put_u32(IFLA_GROUP, kDoomed);
}

static void put_ifaddr(Batch& batch, int index, std::string_view address, int prefix_length) {
  batch.header(ifaddrmsg{.ifa_family = family_of(address),
                         .ifa_prefixlen = uint8_t(prefix_length),
                         .ifa_flags = uint8_t(address.size() == 16 ? IFA_F_NODAD : 0),
                         .ifa_index = uint32_t(index)});
  batch.put(IFA_LOCAL, address);
  batch.put(IFA_ADDRESS, address);
}

void put_address(Batch& batch, int index, std::string_view address, int prefix_length) {
  batch.begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, "give link " + std::to_string(index) + " an address");
  put_ifaddr(batch, index, address, prefix_length);
}

void put_delete_address(Batch& batch, int index, std::string_view address, int prefix_length) {
  batch.begin(RTM_DELADDR, 0, "take an address from link " + std::to_string(index));
  batch.tolerate(EADDRNOTAVAIL);
  put_ifaddr(batch, index, address, prefix_length);
}

static void put_rtmsg(Batch& batch, const Route& route) {
  batch.header(rtmsg{.rtm_family = route.family,
                     .rtm_dst_len = uint8_t(route.prefix_length),
                     .rtm_table = RT_TABLE_UNSPEC,
                     .rtm_protocol = route.protocol,
                     .rtm_scope = route.scope,
                     .rtm_type = route.type,
                     .rtm_flags = route.onlink ? unsigned(RTNH_F_ONLINK) : 0});
  batch.put_u32(RTA_TABLE, route.table);
  if (!route.destination.empty()) batch.put(RTA_DST, route.destination);
  if (!route.gateway.empty()) batch.put(RTA_GATEWAY, route.gateway);
  if (!route.source.empty()) batch.put(RTA_PREFSRC, route.source);
  if (route.metric) batch.put_u32(RTA_PRIORITY, route.metric);
  if (route.index) batch.put_u32(RTA_OIF, uint32_t(route.index));
}

void put_route(Batch& batch, const Route& route) {
  batch.begin(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, "add a route over link " + std::to_string(route.index));
  put_rtmsg(batch, route);
}

void put_delete_route(Batch& batch, const Route& route) {
  batch.begin(RTM_DELROUTE, 0, "delete a route over link " + std::to_string(route.index));
  batch.tolerate(ESRCH);
  put_rtmsg(batch, route);
}

void put_neighbour(Batch& batch, int index, std::string_view address, std::string_view mac) {
  batch.begin(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, "add a neighbour on link " + std::to_string(index));
  batch.header(ndmsg{.ndm_family = family_of(address), .ndm_ifindex = index, .ndm_state = NUD_PERMANENT});
  batch.put(NDA_DST, address);
  batch.put(NDA_LLADDR, mac);
}

void put_delete_neighbour(Batch& batch, int index, std::string_view address) {
  batch.begin(RTM_DELNEIGH, 0, "delete a neighbour on link " + std::to_string(index));
  batch.tolerate(ENOENT);
  batch.header(ndmsg{.ndm_family = family_of(address), .ndm_ifindex = index});
  batch.put(NDA_DST, address);
}

void put_forwarding(Batch& batch, int index, std::string_view mac, std::string_view remote) {
  batch.begin(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, "add a forwarding entry on link " + std::to_string(index));
  batch.header(ndmsg{.ndm_family = AF_BRIDGE, .ndm_ifindex = index, .ndm_state = NUD_PERMANENT, .ndm_flags = NTF_SELF});
  batch.put(NDA_LLADDR, mac);
  batch.put(NDA_DST, remote);
}

void put_delete_forwarding(Batch& batch, int index, std::string_view mac, std::string_view remote) {
  batch.begin(RTM_DELNEIGH, 0, "delete a forwarding entry on link " + std::to_string(index));
  batch.tolerate(ENOENT);
  batch.header(ndmsg{.ndm_family = AF_BRIDGE, .ndm_ifindex = index, .ndm_flags = NTF_SELF});
  batch.put(NDA_LLADDR, mac);
  batch.put(NDA_DST, remote);
}

// --- looking ---------------------------------------------------------------------------------------------------------

static std::optional<Link> to_link(const netlink::Message& message) {
  ifinfomsg header;
  if (message.type != RTM_NEWLINK || !message.read(header)) return std::nullopt;
  netlink::Attributes attributes = message.attributes(sizeof header);
  return Link{.index = header.ifi_index,
              .mtu = int(attributes.u32(IFLA_MTU)),
              .master = int(attributes.u32(IFLA_MASTER)),
              .name = std::string(attributes.name(IFLA_IFNAME)),
              .kind = std::string(attributes.nested(IFLA_LINKINFO).name(IFLA_INFO_KIND)),
              .mac = std::string(attributes.find(IFLA_ADDRESS)),
              .alias = std::string(attributes.name(IFLA_IFALIAS)),
              .up = (header.ifi_flags & IFF_UP) != 0};
}

Result<std::vector<Link>> links(Socket& socket) {
  std::vector<Link> found;
  Batch request;
  request.begin(RTM_GETLINK, NLM_F_DUMP, "list the links");
  request.header(ifinfomsg{});
  TRY(socket.dump(request, [&](const netlink::Message& message) {
    if (auto link = to_link(message)) found.push_back(std::move(*link));
  }));
  return found;
}

Result<Link> link(Socket& socket, std::string_view name) {
  Batch request;
  request.begin(RTM_GETLINK, 0, "find the link " + std::string(name));
  request.header(ifinfomsg{});
  request.put_name(IFLA_IFNAME, name);
  Link found;
  auto asked = socket.get(request, [&](const netlink::Message& message) {
    if (auto link = to_link(message)) found = std::move(*link);
  });
  if (!asked && asked.error().sys == ENODEV) asked.error().code = Code::not_found;
  TRY(std::move(asked));
  return found;
}

Result<std::vector<LinkAddress>> addresses(Socket& socket, uint8_t family) {
  std::vector<LinkAddress> found;
  Batch request;
  request.begin(RTM_GETADDR, NLM_F_DUMP, "list the addresses");
  request.header(ifaddrmsg{.ifa_family = family});
  TRY(socket.dump(request, [&](const netlink::Message& message) {
    ifaddrmsg header;
    if (message.type != RTM_NEWADDR || !message.read(header)) return;
    netlink::Attributes attributes = message.attributes(sizeof header);
    std::string_view address = attributes.find(IFA_LOCAL);
    if (address.empty()) address = attributes.find(IFA_ADDRESS);
    found.push_back({int(header.ifa_index), header.ifa_prefixlen, std::string(address), header.ifa_scope});
  }));
  return found;
}

Result<std::vector<Route>> routes(Socket& socket, uint8_t family) {
  std::vector<Route> found;
  Batch request;
  request.begin(RTM_GETROUTE, NLM_F_DUMP, "list the routes");
  request.header(rtmsg{.rtm_family = family});
  TRY(socket.dump(request, [&](const netlink::Message& message) {
    rtmsg header;
    if (message.type != RTM_NEWROUTE || !message.read(header)) return;
    netlink::Attributes attributes = message.attributes(sizeof header);
    if (attributes.u32(RTA_TABLE, header.rtm_table) != RT_TABLE_MAIN || header.rtm_type != RTN_UNICAST) return;
    found.push_back({.destination = std::string(attributes.find(RTA_DST)),
                     .prefix_length = header.rtm_dst_len,
                     .gateway = std::string(attributes.find(RTA_GATEWAY)),
                     .source = std::string(attributes.find(RTA_PREFSRC)),
                     .index = int(attributes.u32(RTA_OIF)),
                     .scope = header.rtm_scope,
                     .family = header.rtm_family,
                     .metric = attributes.u32(RTA_PRIORITY),
                     .protocol = header.rtm_protocol,
                     .onlink = (header.rtm_flags & RTNH_F_ONLINK) != 0});
  }));
  return found;
}

Result<int> default_mtu(Socket& socket) {
  int index = 0;
  for (uint8_t family : {AF_INET, AF_INET6}) {
    if (index) break;
    for (const Route& route : TRY(routes(socket, family)))
      if (route.prefix_length == 0 && route.index) index = route.index;
  }
  for (const Link& link : TRY(links(socket)))
    if (link.index == index) return link.mtu;
  return 1500;
}

// --- sysctl ----------------------------------------------------------------------------------------------------------

Result<std::string> get_sysctl(std::string_view path) {
  std::string file = "/proc/sys/" + std::string(path);
  Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno("open " + file);
  char text[256];
  ssize_t size = ::read(fd.get(), text, sizeof text);
  if (size < 0) return fail_errno("read " + file);
  return std::string(trim({text, size_t(size)}));
}

Result<void> set_sysctl(std::string_view path, std::string_view value) {
  // Writing is refused where /proc/sys is read-only, which does not matter while the value is right.
  if (auto now = get_sysctl(path); now && *now == value) return {};
  std::string file = "/proc/sys/" + std::string(path);
  Fd fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return fail_errno("open " + file + " for writing");
  if (::write(fd.get(), value.data(), value.size()) < 0) return fail_errno("write " + std::string(value) + " to " + file);
  return {};
}

}  // namespace estiba::os::rtnl
