#include "network/pod_network.h"

#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/strings.h"
#include "network/inside.h"
#include "os/file.h"
#include "os/namespace.h"
#include "os/netns.h"
#include "os/user_namespace.h"

namespace estiba::network {

namespace rtnl = os::rtnl;

std::string mac_of(const Address& address) { return std::string("\x0a\x58", 2) + std::string(address.raw()); }

std::string mac_text(std::string_view mac) {
  std::string text;
  for (size_t i = 0; i < mac.size(); ++i) text += (i ? ":" : "") + hex_encode(mac.substr(i, 1));
  return text;
}

std::string veth_name(const Address& address) { return "ev" + hex_encode(address.raw()); }

PodNetwork::PodNetwork(Config config) : config_(std::move(config)), ipam_(config_.pod_cidr, config_.run_dir + "/network") {}

std::string PodNetwork::netns_path(const Address& address) const { return config_.run_dir + "/netns/" + address.text(); }

std::string PodNetwork::userns_path(const Address& address) const { return config_.run_dir + "/userns/" + address.text(); }

Result<void> PodNetwork::start() {
  socket_ = TRY(os::netlink::Socket::open(NETLINK_ROUTE));
  gateway_ = TRY(ipam_.gateway());
  TRY(ipam_.load());
  for (const char* dir : {"/netns", "/userns"}) TRY(os::make_dir(config_.run_dir + dir));
  TRY(make_bridge());
  return adopt();
}

Result<void> PodNetwork::make_bridge() {
  mtu_ = TRY(rtnl::default_mtu(socket_));
  rtnl::Batch batch;
  rtnl::put_bridge(batch, config_.bridge, mac_of(gateway_), mtu_);
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
  // Left from a run with another CIDR, an address would attract packets for others.
  for (const rtnl::LinkAddress& old : TRY(rtnl::addresses(socket_, AF_INET)))
    if (old.index == bridge.index && old.address != gateway_.raw() && old.address != config_.dns.raw())
      rtnl::put_delete_address(batch, old.index, old.address, old.prefix_length);
  rtnl::put_address(batch, bridge.index, gateway_.raw(), config_.pod_cidr.length);
  rtnl::put_address(batch, bridge.index, config_.dns.raw(), 32);
  // Without it a node that has no default route could not even begin to send to a service; it also makes the bridge's
  // address the source, so that pods can answer.
  rtnl::put_route(batch, {.destination = std::string(config_.service_cidr.address.raw()),
                          .prefix_length = config_.service_cidr.length,
                          .source = std::string(gateway_.raw()),
                          .index = bridge.index,
                          .scope = RT_SCOPE_LINK});
  TRY(socket_.run(batch));

  TRY(rtnl::set_sysctl("net/ipv4/ip_forward", "1"));
  std::string conf = "net/ipv4/conf/" + config_.bridge;
  TRY(rtnl::set_sysctl(conf + "/route_localnet", "1"));  // 127.0.0.1:nodePort; the table drops such packets from pods
  // Pods must not be told to send to each other directly; both must be off.
  TRY(rtnl::set_sysctl(conf + "/send_redirects", "0"));
  TRY(rtnl::set_sysctl("net/ipv4/conf/all/send_redirects", "0"));
  // For `estiba network flows`, of connections from now on; without connection tracking there are no such settings yet.
  for (const char* counting : {"net/netfilter/nf_conntrack_acct", "net/netfilter/nf_conntrack_timestamp"})
    (void)rtnl::set_sysctl(counting, "1");
  return {};
}

// --- slots -----------------------------------------------------------------------------------------------------------

Result<Fd> PodNetwork::make_user_namespace(const Address& address, const PodRequest& owner) {
  const auto mappings = [](const std::vector<IdRange>& ranges) {
    os::IdMappings out;
    for (const IdRange& range : ranges) out.push_back({range.inside, range.outside, range.size});
    return out;
  };
  Fd user = TRY(os::new_user_namespace(mappings(owner.uids), mappings(owner.gids)));
  TRY(os::persist_namespace(user.get(), userns_path(address)));
  return user;
}

Result<void> PodNetwork::build_slot(const Address& address, const PodRequest* owner) {
  std::string name = veth_name(address), mac = mac_of(address);
  const auto fill = [&]() -> Result<void> {
    // This thread is within the new namespace; socket_ still speaks to the node's.
    Fd here(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    if (!here) return fail_errno("open /proc/thread-self/ns/net");
    TRY(set_inside_sysctls());
    rtnl::Batch batch;
    // With br_netfilter a pod's packet to itself through a service leaves by the port it came by: hairpin.
    rtnl::put_veth(batch, {.name = name,
                           .peer_name = "eth0",
                           .peer_mac = mac,
                           .peer_netns = here.get(),
                           .mtu = mtu_,
                           .master = bridge_index_,
                           .hairpin = true});
    TRY(socket_.run(batch));

    auto inside = TRY(os::netlink::Socket::open(NETLINK_ROUTE));
    int eth0 = TRY(rtnl::link(inside, "eth0")).index;
    batch.clear();
    rtnl::put_link(batch, 1, {.up = true});  // lo
    rtnl::put_link(batch, eth0, {.up = true});
    rtnl::put_address(batch, eth0, address.raw(), 32);
    rtnl::put_route(batch, {.destination = std::string(gateway_.raw()), .prefix_length = 32, .index = eth0, .scope = RT_SCOPE_LINK});
    rtnl::put_route(batch, {.gateway = std::string(gateway_.raw()), .index = eth0});
    rtnl::put_neighbour(batch, eth0, gateway_.raw(), mac_of(gateway_));
    return inside.run(batch);
  };
  if (!owner || owner->uids.empty()) return os::make_netns(netns_path(address), fill);
  Fd user = TRY_AS("user namespace", make_user_namespace(address, *owner));
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
    if (record.state == Record::State::pool && pod.uids.empty()) {
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

Result<void> PodNetwork::adopt() {
  std::set<std::string> ports;
  for (const rtnl::Link& link : TRY(rtnl::links(socket_)))
    if (link.master == bridge_index_) ports.insert(link.name);
  std::vector<Address> broken;
  for (const auto& [address, record] : ipam_.records()) {
    bool whole = record.state != Record::State::partial && config_.pod_cidr.contains(address) && ports.contains(veth_name(address)) &&
                 os::open_netns(netns_path(address)).has_value();
    if (whole) continue;
    if (record.state == Record::State::pod)
      log::warn("network", "a pod's network is broken and is removed",
                {{"pod", record.pod.ns + "/" + record.pod.name}, {"address", address.text()}});
    broken.push_back(address);
  }
  TRY(remove_slots(broken));
  return remove_strays();
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
  return {.netns_path = netns_path(address),
          .userns_path = os::exists(userns_path(address)) ? userns_path(address) : std::string(),
          .ips = {address.text()},
          .mac = mac_text(mac_of(address)),
          .gateway = gateway_.text(),
          .mtu = mtu_};
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
