// rtnetlink(7): links, addresses, routes and neighbours of the network namespace where the socket was opened. The put_*
// functions add a request to a batch, so that what belongs together is one call to the kernel. Addresses are raw bytes in
// network order, 4 or 16.
#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "os/netlink.h"

namespace estiba::os::rtnl {

using netlink::Batch;
using netlink::Socket;

/// A bridge without STP, up. Exists already: success, unchanged.
void put_bridge(Batch& batch, std::string_view name, std::string_view mac, int mtu);

struct Veth {
  std::string_view name, mac;            ///< this side, in the socket's namespace
  std::string_view peer_name, peer_mac;  ///< the other side
  int peer_netns = -1;                   ///< fd of the other side's namespace
  int mtu = 1500;
  int master = 0;        ///< index of the bridge this side joins
  bool hairpin = false;  ///< the bridge may send frames back by the port they came by
};
/// A veth pair, this side up. It gets no IPv6 link-local address (it would send router solicitations for nobody);
/// for the other side that is its namespace's net/ipv6/conf/default/addr_gen_mode.
void put_veth(Batch& batch, const Veth& veth);

/// A VXLAN (RFC 7348) without learning and without a group, up: frames go where put_forwarding() says. Exists already: success, unchanged.
struct Vxlan {
  std::string_view name, mac;
  uint32_t vni = 0;
  uint16_t port = 4789;  ///< UDP, of both ends
  int mtu = 1450;
  bool over_v6 = false;  ///< the machines' addresses are IPv6
};
void put_vxlan(Batch& batch, const Vxlan& vxlan);

struct LinkChange {
  std::optional<bool> up;
  std::optional<int> mtu;
  std::optional<int> master;  ///< 0 leaves the bridge
  int netns = -1;             ///< fd to move the link to
  std::string_view name;      ///< new name
  std::string_view mac;       ///< six bytes
  std::string_view alias;     ///< free text, up to 255 bytes, that `ip link` shows
};
void put_link(Batch& batch, int index, const LinkChange& change);
struct BridgePort {
  bool hairpin = false;   ///< frames may leave by the port they came by
  bool isolated = false;  ///< no frames to other isolated ports
};
/// Of a link that is in a bridge.
void put_bridge_port(Batch& batch, int index, const BridgePort& port);
/// What leaves by the link does so at `rate` bytes a second at most (tc-tbf(8)), but for `burst` bytes at once; what would wait longer than
/// `latency` is dropped. In place of what was the link's queue.
void put_token_bucket(Batch& batch, int index, uint64_t rate, uint32_t burst, std::chrono::microseconds latency);
/// Gone already: success.
void put_delete_link(Batch& batch, std::string_view name);
/// Several links at once: each costs the kernel tens of milliseconds of waiting for its readers, together they cost one wait.
void put_delete_links(Batch& batch, const std::vector<std::string>& names);

void put_address(Batch& batch, int index, std::string_view address, int prefix_length);
void put_delete_address(Batch& batch, int index, std::string_view address, int prefix_length);

struct Route {
  std::string destination;  ///< empty: the default route
  int prefix_length = 0;
  std::string gateway;  ///< empty: on link
  std::string source;   ///< preferred source address
  int index = 0;        ///< of the link
  uint8_t scope = 0;    ///< RT_SCOPE_UNIVERSE or RT_SCOPE_LINK
  uint8_t family = 2;   ///< AF_INET or AF_INET6
  uint32_t table = 254;
  uint8_t type = 1;      ///< RTN_UNICAST or RTN_LOCAL
  uint32_t metric = 0;   ///< 0: the kernel's
  uint8_t protocol = 4;  ///< who made it: RTPROT_STATIC
  bool onlink = false;   ///< the gateway is on the link, whatever the other routes say
  bool operator==(const Route&) const = default;
};
/// Replaces a route to the same destination (IPv6: of the same metric).
void put_route(Batch& batch, const Route& route);
void put_delete_route(Batch& batch, const Route& route);
/// A permanent neighbour: no ARP is sent.
void put_neighbour(Batch& batch, int index, std::string_view address, std::string_view mac);
void put_delete_neighbour(Batch& batch, int index, std::string_view address);
/// Frames for `mac` on a VXLAN go to the machine at `remote`.
void put_forwarding(Batch& batch, int index, std::string_view mac, std::string_view remote);
void put_delete_forwarding(Batch& batch, int index, std::string_view mac, std::string_view remote);

struct Link {
  int index = 0, mtu = 0, master = 0;
  std::string name, kind, mac, alias;
  bool up = false;
};
struct LinkAddress {
  int index = 0, prefix_length = 0;
  std::string address;
  uint8_t scope = 0;
};
Result<std::vector<Link>> links(Socket& socket);
/// not_found without such a link.
Result<Link> link(Socket& socket, std::string_view name);
/// `family` is AF_INET or AF_INET6; AF_UNSPEC for both.
Result<std::vector<LinkAddress>> addresses(Socket& socket, uint8_t family);
/// Of the main table.
Result<std::vector<Route>> routes(Socket& socket, uint8_t family);
/// The MTU of the link that the default route takes (IPv4's, else IPv6's), or 1500: an overlay or a tunnel there must not be overrun by
/// what is behind us.
Result<int> default_mtu(Socket& socket);

/// Writes /proc/sys/<path> of the thread's network namespace; does nothing when it holds that already.
Result<void> set_sysctl(std::string_view path, std::string_view value);
Result<std::string> get_sysctl(std::string_view path);

}  // namespace estiba::os::rtnl
