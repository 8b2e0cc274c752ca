#include "network/pod_network.h"

#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/strings.h"
#include "network/bandwidth.h"
#include "network/inside.h"
#include "os/file.h"
#include "os/namespace.h"
#include "os/netns.h"
#include "os/user_namespace.h"

namespace estiba::network {

namespace rtnl = os::rtnl;

std::string mac_of(const Address& address) {
  std::string word(address.raw().substr(0, 4));
  for (size_t i = 4; i < address.size(); ++i) word[i % 4] ^= char(address.bytes[i]);
  return std::string("\x0a\x58", 2) + word;
}

std::string mac_text(std::string_view mac) {
  std::string text;
  for (size_t i = 0; i < mac.size(); ++i) text += (i ? ":" : "") + hex_encode(mac.substr(i, 1));
  return text;
}

std::string veth_name(const Address& address) {
  return address.v6 ? "ev6" + hex_encode(address.raw().substr(12)) : "ev" + hex_encode(address.raw());
}

std::string veth_prefix(const Prefix& pods) {
  return pods.address.v6 ? "ev6" : veth_name(pods.address).substr(0, 2 + size_t(pods.length) / 8 * 2);
}

static std::vector<Prefix> parts_of(const std::vector<Side>& sides) {
  std::vector<Prefix> parts;
  for (const Side& side : sides) parts.push_back(side.pods);
  return parts;
}

PodNetwork::PodNetwork(Config config) : config_(std::move(config)), ipam_(parts_of(config_.sides), config_.run_dir + "/network") {}

std::string PodNetwork::netns_path(const Address& address) const { return config_.run_dir + "/netns/" + address.text(); }

std::string PodNetwork::userns_path(const Address& address) const { return config_.run_dir + "/userns/" + address.text(); }

Result<void> PodNetwork::start() {
  socket_ = TRY(os::netlink::Socket::open(NETLINK_ROUTE));
  TRY(ipam_.load());
  for (const char* dir : {"/netns", "/userns"}) TRY(os::make_dir(config_.run_dir + dir));
  TRY(make_bridge());
  return adopt();
}

Result<void> PodNetwork::make_bridge() {
  TRY(prepare_v6());
  mtu_ = TRY(rtnl::default_mtu(socket_));
  rtnl::Batch batch;
  rtnl::put_bridge(batch, config_.bridge, mac_of(config_.sides[0].gateway), mtu_);
  TRY(socket_.run(batch));
  rtnl::Link bridge = TRY(rtnl::link(socket_, config_.bridge));
  if (bridge.kind != "bridge")
    return fail(Code::conflict, "the link " + config_.bridge + " exists and is no bridge: remove it or choose another name");
  // Another server's pods have no records here, and would be cleared away as strays.
  std::string owner = ("estiba " + config_.run_dir).substr(0, 255);
  if (!bridge.alias.empty() && bridge.alias != owner)
    return fail(Code::conflict,
                "the bridge " + config_.bridge + " belongs to another server (" + bridge.alias +
                    "): run this one in a network namespace of its own, or, if that one is gone for good, `ip link delete " +
                    config_.bridge + "`");
  bridge_index_ = bridge.index;

  batch.clear();
  rtnl::put_link(batch, bridge.index, {.up = true, .mtu = mtu_, .alias = owner});
  for (const Side& side : config_.sides) TRY(put_side(batch, side));
  TRY(socket_.run(batch));
  // For `estiba network flows`, of connections from now on; without connection tracking there are no such settings yet.
  for (const char* counting : {"net/netfilter/nf_conntrack_acct", "net/netfilter/nf_conntrack_timestamp"})
    (void)rtnl::set_sysctl(counting, "1");
  return {};
}

Result<void> PodNetwork::put_side(rtnl::Batch& batch, const Side& side) {
  const uint8_t family = side.v6() ? AF_INET6 : AF_INET;
  const int whole = int(side.gateway.size()) * 8;
  const auto ours = [&](std::string_view address) {
    return (config_.pods && address == side.gateway.raw()) || (side.dns && address == side.dns->raw());
  };
  // Left from a run with another CIDR, an address would attract packets for others. Link-local ones are here for nothing.
  for (const rtnl::LinkAddress& old : TRY(rtnl::addresses(socket_, family)))
    if (old.index == bridge_index_ && !ours(old.address)) rtnl::put_delete_address(batch, old.index, old.address, old.prefix_length);
  if (config_.pods) rtnl::put_address(batch, bridge_index_, side.gateway.raw(), side.pods.length);
  if (side.dns) rtnl::put_address(batch, bridge_index_, side.dns->raw(), whole);
  // Without it a node that has no default route could not even begin to send to a service; it also makes the bridge's
  // address the source, so that pods can answer.
  if (side.services)
    rtnl::put_route(batch, {.destination = std::string(side.services->address.raw()),
                            .prefix_length = side.services->length,
                            .source = std::string(config_.pods ? side.gateway.raw() : side.dns->raw()),
                            .index = bridge_index_,
                            .scope = RT_SCOPE_LINK,
                            .family = family});
  const std::string conf = std::string(side.v6() ? "net/ipv6/conf/" : "net/ipv4/conf/") + config_.bridge;
  if (side.v6()) {
    for (const auto& [name, value] : {std::pair("/disable_ipv6", "0"), {"/accept_ra", "0"}, {"/addr_gen_mode", "1"}})
      TRY(rtnl::set_sysctl(conf + name, value));
    return rtnl::set_sysctl("net/ipv6/conf/all/forwarding", "1");
  }
  TRY(rtnl::set_sysctl("net/ipv4/ip_forward", "1"));
  TRY(rtnl::set_sysctl(conf + "/route_localnet", "1"));  // 127.0.0.1:nodePort; the table drops such packets from pods
  // Pods must not be told to send to each other directly; both must be off.
  TRY(rtnl::set_sysctl(conf + "/send_redirects", "0"));
  return rtnl::set_sysctl("net/ipv4/conf/all/send_redirects", "0");
}

// A machine that forwards takes no router's advertisements any more unless it is told to (accept_ra 2, ip-sysctl): what it lives by stays.
Result<void> PodNetwork::prepare_v6() {
  const auto side = std::ranges::find_if(config_.sides, &Side::v6);
  if (side == config_.sides.end()) return {};
  const auto links = os::list_dir("/proc/sys/net/ipv6/conf");
  if (!links)
    return fail(Code::unsupported, "pods are to have addresses of " + side->pods.text() +
                                       ", but this kernel has no IPv6: boot it without ipv6.disable=1, or leave the IPv6 ranges out of "
                                       "--pod-cidr and --service-cidr");
  if (auto forwarding = rtnl::get_sysctl("net/ipv6/conf/all/forwarding"); forwarding && *forwarding == "1") return {};
  for (const os::DirEntry& link : *links) {
    const std::string conf = "net/ipv6/conf/" + link.name + "/accept_ra";
    if (link.name == "all") continue;
    if (auto value = rtnl::get_sysctl(conf); value && *value == "1") TRY(rtnl::set_sysctl(conf, "2"));
  }
  return {};
}

void PodNetwork::put_neighbours(rtnl::Batch& batch, const Address& primary) const {
  for (const Address& address : ipam_.all_of(primary))
    if (address.v6) rtnl::put_neighbour(batch, bridge_index_, address.raw(), mac_of(primary));
}

// --- slots -----------------------------------------------------------------------------------------------------------

// On a thread within the pod's namespace; socket_ still speaks to the node's.
Result<void> PodNetwork::build_pair(const Address& address, const Bandwidth& bandwidth) {
  Fd here(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!here) return fail_errno("open /proc/thread-self/ns/net");
  rtnl::Batch batch;
  // With br_netfilter a pod's packet to itself through a service leaves by the port it came by: hairpin.
  rtnl::put_veth(batch, {.name = veth_name(address),
                         .peer_name = "eth0",
                         .peer_mac = mac_of(address),
                         .peer_netns = here.get(),
                         .mtu = mtu_,
                         .master = bridge_index_,
                         .hairpin = true});
  put_neighbours(batch, address);
  TRY(socket_.run(batch));
  if (bandwidth.ingress) {
    batch.clear();
    put_rate(batch, TRY(rtnl::link(socket_, veth_name(address))).index, bandwidth.ingress);
    TRY(socket_.run(batch));
  }

  auto inside = TRY(os::netlink::Socket::open(NETLINK_ROUTE));
  int eth0 = TRY(rtnl::link(inside, "eth0")).index;
  batch.clear();
  rtnl::put_link(batch, 1, {.up = true});  // lo
  rtnl::put_link(batch, eth0, {.up = true});
  put_rate(batch, eth0, bandwidth.egress);
  const std::vector<Address> addresses = ipam_.all_of(address);
  for (const Address& own : addresses) {
    const Side& side = *std::ranges::find(config_.sides, own.v6, &Side::v6);
    const std::string gateway(side.gateway.raw());
    const int whole = int(own.size()) * 8;
    const uint8_t family = own.v6 ? AF_INET6 : AF_INET;
    rtnl::put_address(batch, eth0, own.raw(), whole);
    rtnl::put_route(batch, {.destination = gateway, .prefix_length = whole, .index = eth0, .scope = RT_SCOPE_LINK, .family = family});
    rtnl::put_route(batch, {.gateway = gateway, .index = eth0, .family = family});
    rtnl::put_neighbour(batch, eth0, gateway, mac_of(config_.sides[0].gateway));
  }
  return inside.run(batch);
}

Result<void> PodNetwork::build_slot(const Address& address, const PodRequest* owner) {
  const auto fill = [&]() -> Result<void> {
    TRY(set_inside_sysctls());
    if (std::ranges::any_of(config_.sides, &Side::v6)) TRY(set_inside_sysctls_v6());
    return build_pair(address, owner ? owner->bandwidth : Bandwidth());
  };
  if (!owner || owner->uids.empty()) return os::make_netns(netns_path(address), fill);
  Fd user = TRY_AS("user namespace", make_user_namespace(userns_path(address), *owner));
  return os::bind_netns(netns_path(address), TRY(os::new_namespace_inside(user.get(), CLONE_NEWNET)), fill);
}

Result<Address> PodNetwork::make_slot(const PodRequest* owner) {
  auto taken = ipam_.take();
  // What was detached still holds its addresses until it is swept.
  if (!taken && taken.error().code == Code::exhausted && TRY(sweep())) taken = ipam_.take();
  Address address = TRY(std::move(taken));
  auto built = build_slot(address, owner);
  if (!built) {
    (void)remove_slots({address});
    return std::unexpected(std::move(built.error()).context("make the pod network " + address.text()));
  }
  return address;
}

Result<void> PodNetwork::remove_slots(const std::vector<Address>& addresses) {
  rtnl::Batch batch;
  std::vector<std::string> links;
  for (const Address& address : addresses) links.push_back(veth_name(address));
  // The namespace's end would take the pair along, but some time later, and its address may be wanted before.
  rtnl::put_delete_links(batch, links);
  for (const Address& address : addresses)
    for (const Address& own : ipam_.all_of(address))
      if (own.v6) rtnl::put_delete_neighbour(batch, bridge_index_, own.raw());
  TRY(socket_.run(batch));
  for (const Address& address : addresses) {
    TRY(os::remove_netns(netns_path(address)));
    TRY(os::remove_netns(userns_path(address)));
    TRY(ipam_.release(address));
  }
  return {};
}

Result<bool> PodNetwork::sweep() {
  std::vector<Address> dead;
  for (const auto& [address, record] : ipam_.records())
    if (record.state == Record::State::partial) dead.push_back(address);
  TRY(remove_slots(dead));
  return !dead.empty();
}

Result<PodNet> PodNetwork::attach(const PodRequest& pod) {
  if (auto known = find(pod.uid)) return *known;
  if (pod.uid.empty() || pod.uid.find_first_of("\n /") != std::string::npos)
    return fail(Code::invalid, "the pod uid " + quoted(pod.uid) + " cannot name a network");
  std::optional<Address> slot;
  for (const auto& [address, record] : ipam_.records())
    if (record.state == Record::State::pool && pod.uids.empty() && !pod.bandwidth.any()) {
      slot = address;
      break;
    }
  if (!slot) slot = TRY(make_slot(&pod));
  TRY(ipam_.update(*slot, {.state = Record::State::pod, .pod = pod}));
  return describe(*slot);
}

Result<void> PodNetwork::detach(const std::string& uid) {
  auto address = address_of(uid);
  if (!address) return {};
  return within("remove the network of pod " + uid, ipam_.update(*address, {}));
}

Result<bool> PodNetwork::refill() {
  if (pooled() >= config_.pool) return false;
  Address address = TRY(make_slot());
  TRY(ipam_.update(address, {.state = Record::State::pool}));
  return true;
}

Result<void> PodNetwork::drop_pool() {
  std::vector<Address> idle;
  for (const auto& [address, record] : ipam_.records())
    if (record.state != Record::State::pod) idle.push_back(address);
  return remove_slots(idle);
}

// --- after a restart, and the end ------------------------------------------------------------------------------------

// What lives in a namespace keeps its addresses, whatever has become of its pair meanwhile.
Result<void> PodNetwork::adopt() {
  std::vector<Address> broken;
  for (const auto& [address, record] : ipam_.records()) {
    bool whole = config_.pods && record.state != Record::State::partial && config_.sides[0].pods.contains(address) &&
                 os::open_netns(netns_path(address)).has_value();
    if (whole) continue;
    if (record.state == Record::State::pod)
      log::warn("network", "a pod's network is broken and is removed",
                {{"pod", record.pod.ns + "/" + record.pod.name}, {"address", address.text()}});
    broken.push_back(address);
  }
  TRY(remove_slots(broken));
  TRY(remove_strays());
  auto mended = mend();
  if (!mended) log::error("network", "the pods' links cannot be mended", {{"error", mended.error()}});
  else
    for (const std::string& pod : mended->pods) log::warn("network", "a pod's link was gone: it is made again", {{"pod", pod}});
  return {};
}

// What has no record: a record is written before and removed after the rest, so only a lost run directory leads here.
Result<void> PodNetwork::remove_strays() {
  std::set<std::string> known;
  for (const auto& [address, record] : ipam_.records()) known.insert(veth_name(address));
  std::vector<std::string> strays;
  for (const rtnl::Link& link : TRY(rtnl::links(socket_)))
    if (link.master == bridge_index_ && link.kind == "veth" && link.name.starts_with("ev") && !known.contains(link.name))
      strays.push_back(link.name);
  rtnl::Batch batch;
  rtnl::put_delete_links(batch, strays);
  TRY(socket_.run(batch));

  for (const char* kind : {"/netns", "/userns"}) {
    const std::string dir = config_.run_dir + kind;
    for (const os::DirEntry& entry : TRY(os::list_dir(dir))) {
      auto address = Address::parse(entry.name);
      if (address && !ipam_.records().contains(*address)) TRY(os::remove_netns(dir + "/" + entry.name));
    }
  }
  return {};
}

// --- what others take away -------------------------------------------------------------------------------------------

bool PodNetwork::concerns(const os::netlink::Message& message, uint32_t port) const {
  ifinfomsg header{};
  if (!message.read(header)) return false;
  const auto attributes = message.attributes(sizeof header);
  const std::string_view name = attributes.name(IFLA_IFNAME);
  if (name == config_.bridge) return true;
  if (port == socket_.port() || !name.starts_with("ev")) return false;
  // Carriers come and go as pods do.
  return message.type == RTM_DELLINK || !(header.ifi_flags & IFF_UP) || int(attributes.u32(IFLA_MASTER)) != bridge_index_;
}

Result<bool> PodNetwork::mend_pair(const Address& address, const Record& record, const rtnl::Link* port) {
  if (port && port->up && port->master == bridge_index_) return false;
  rtnl::Batch batch;
  if (!port) {
    // Its other side may still be there: who moves ours elsewhere takes it from us alone.
    TRY(os::in_netns(netns_path(address), [&]() -> Result<void> {
      auto inside = TRY(os::netlink::Socket::open(NETLINK_ROUTE));
      rtnl::put_delete_link(batch, "eth0");
      TRY(inside.run(batch));
      return build_pair(address, record.pod.bandwidth);
    }));
    return true;
  }
  rtnl::put_link(batch, port->index, {.up = true, .master = bridge_index_});
  rtnl::put_bridge_port(batch, port->index, {.hairpin = true});
  TRY(socket_.run(batch));
  return true;
}

Result<PodNetwork::Mended> PodNetwork::mend() {
  Mended mended;
  auto bridge = rtnl::link(socket_, config_.bridge);
  if (!bridge && bridge.error().code != Code::not_found) return std::unexpected(std::move(bridge.error()));
  if (!bridge || bridge->index != bridge_index_ || !bridge->up) {
    TRY(make_bridge());
    mended.bridge = true;
    rtnl::Batch batch;
    for (const auto& [address, record] : ipam_.records()) put_neighbours(batch, address);
    TRY(socket_.run(batch));
  }
  std::map<std::string, rtnl::Link> links;
  for (rtnl::Link& link : TRY(rtnl::links(socket_))) links.emplace(link.name, std::move(link));
  Result<void> failed;
  for (const auto& [address, record] : ipam_.records()) {
    if (record.state == Record::State::partial) continue;
    const auto port = links.find(veth_name(address));
    auto changed = mend_pair(address, record, port == links.end() ? nullptr : &port->second);
    if (changed && *changed && record.state == Record::State::pod) mended.pods.push_back(record.pod.ns + "/" + record.pod.name);
    if (!changed)
      failed = within("mend the network of " + address.text() + " " + record.pod.ns + "/" + record.pod.name,
                      Result<void>(std::unexpected(changed.error())));
  }
  TRY(std::move(failed));
  return mended;
}

Result<void> PodNetwork::remove_all() {
  std::vector<Address> all;
  for (const auto& [address, record] : ipam_.records()) all.push_back(address);
  TRY(remove_slots(all));
  TRY(remove_strays());
  rtnl::Batch batch;
  rtnl::put_delete_link(batch, config_.bridge);
  TRY(socket_.run(batch));
  std::string dir = config_.run_dir + "/network";
  unlink((dir + "/last").c_str());
  for (const std::string& empty : {dir + "/addresses", dir, config_.run_dir + "/netns", config_.run_dir + "/userns"})
    if (rmdir(empty.c_str()) < 0 && errno != ENOENT) return fail_errno("remove " + empty);
  return {};
}

// --- telling ---------------------------------------------------------------------------------------------------------

PodNet PodNetwork::describe(const Address& address) const {
  PodNet net{.netns_path = netns_path(address),
             .userns_path = os::exists(userns_path(address)) ? userns_path(address) : std::string(),
             .mac = mac_text(mac_of(address)),
             .gateway = config_.sides[0].gateway.text(),
             .mtu = mtu_};
  for (const Address& own : ipam_.all_of(address)) net.ips.push_back(own.text());
  return net;
}

std::optional<Address> PodNetwork::address_of(std::string_view uid) const {
  for (const auto& [address, record] : ipam_.records())
    if (record.state == Record::State::pod && record.pod.uid == uid) return address;
  return std::nullopt;
}

std::optional<PodNet> PodNetwork::find(std::string_view uid) const {
  auto address = address_of(uid);
  return address ? std::optional(describe(*address)) : std::nullopt;
}

std::vector<PodRequest> PodNetwork::pods() const {
  std::vector<PodRequest> pods;
  for (const auto& [address, record] : ipam_.records())
    if (record.state == Record::State::pod) pods.push_back(record.pod);
  return pods;
}

size_t PodNetwork::pooled() const {
  return size_t(std::ranges::count_if(ipam_.records(), [](const auto& entry) { return entry.second.state == Record::State::pool; }));
}

}  // namespace estiba::network
