#include "network/mesh/mesh.h"

#include <linux/rtnetlink.h>

#include <algorithm>

#include "base/log.h"
#include "io/loop.h"
#include "model/types/core_v1.h"

namespace estiba::network::mesh {

using model::ObjectRef;
using std::chrono::milliseconds;
using std::chrono::seconds;

static std::optional<Peer> peer_of(const ObjectRef& object) {
  const auto& node = object.as<model::core_v1::Node>();
  Peer peer{.name = object.meta().name};
  const auto add = [](auto& list, const auto& found, bool v6, auto&& family_of) {
    if (std::ranges::none_of(list, [&](const auto& other) { return family_of(other) == v6; })) list.push_back(found);
  };
  const auto& ranges = node.spec.podCIDRs;
  for (const std::string& range : ranges.empty() ? std::vector<std::string>{node.spec.podCIDR} : ranges)
    if (auto pods = Prefix::parse(range)) add(peer.pods, *pods, pods->address.v6, [](const Prefix& other) { return other.address.v6; });
  for (const auto& address : node.status.addresses) {
    if (address.type != "InternalIP") continue;
    if (auto parsed = Address::parse(address.address))
      add(peer.addresses, *parsed, parsed->v6, [](const Address& other) { return other.v6; });
  }
  return peer.pods.empty() || peer.addresses.empty() ? std::nullopt : std::optional(std::move(peer));
}

std::vector<Peer> peers_of(std::vector<ObjectRef> nodes, std::string_view own_name) {
  std::ranges::sort(nodes, {}, [](const ObjectRef& node) { return std::pair(node.meta().creation_timestamp, node.meta().name); });
  std::vector<Prefix> taken;
  std::vector<Peer> out;
  for (const ObjectRef& node : nodes) {
    auto peer = peer_of(node);
    if (!peer) continue;
    const bool overlaps = std::ranges::any_of(taken, [&](const Prefix& other) {
      return std::ranges::any_of(peer->pods, [&](const Prefix& part) { return part.overlaps(other); });
    });
    if (overlaps) continue;
    std::ranges::copy(peer->pods, std::back_inserter(taken));
    if (peer->name != own_name) out.push_back(std::move(*peer));
  }
  std::ranges::sort(out, {}, &Peer::name);
  return out;
}

Mesh::Mesh(Routes::Config config, std::string node_name, client::Client& client)
    : node_name_(std::move(node_name)),
      nodes_(client, client::nodes),
      follows_v6_(std::ranges::any_of(config.sides, &Side::v6)),
      routes_(std::move(config)),
      worker_("estiba-mesh") {
  nodes_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
    // Most changes of a Node are signs of life.
    if (before && after && peer_of(before) == peer_of(after)) return;
    wake_.set();
  });
}

Mesh::~Mesh() = default;

void Mesh::start() { job_ = Job(run()); }

Task<void> Mesh::run() {
  auto opened = co_await worker_.run([this] { return routes_.open(); });
  if (!opened) co_return log::warn("network", "the other nodes' pods cannot be reached", {{"error", opened.error()}});
  port_ = *opened;
  following_ = Job(follow_machine());
  co_await nodes_.wait_synced();
  for (bool said = false;;) {
    wake_.reset();
    auto done = co_await worker_.run([this, peers = peers_of(nodes_.list(), node_name_)] { return routes_.apply(peers); });
    if (done) ready_.set();
    else if (!said) log::warn("network", "the other nodes' pods cannot all be reached; will try again", {{"error", done.error()}});
    said = !done;
    if (done) co_await wake_.wait();
    else co_await wake_.wait_for(seconds(5));
    co_await sleep_for(milliseconds(20));  // what changes comes in company
  }
}

// A link that loses its address loses our routes with it, and a machine that moves has its neighbours elsewhere.
Task<void> Mesh::follow_machine() {
  std::vector<Fd> watches;
  std::vector<unsigned> groups{RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE};
  if (follows_v6_) groups.insert(groups.end(), {RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE});
  for (unsigned group : groups) {
    auto watch = os::netlink::watch(NETLINK_ROUTE, group);
    if (watch) watches.push_back(std::move(*watch));
    else log::warn("network", "the machine's routes are not watched", {{"error", watch.error()}});
  }
  TaskGroup group;
  for (const Fd& fd : watches)
    group.start([](Mesh* self, int fd) -> Task<void> {
      for (;;) {
        co_await io::Loop::current()->readable(fd);
        bool others = false;
        const bool whole = os::netlink::take(fd, [&](const os::netlink::Message&, uint32_t port) { others |= port != self->port_; });
        if (others || !whole) self->wake_.set();
      }
    }(this, fd.get()));
  co_await group.join();
}

Task<Result<void>> Mesh::remove_all() {
  following_.cancel();
  job_.cancel();
  co_return co_await worker_.run([this] { return routes_.remove_all(); });
}

}  // namespace estiba::network::mesh
