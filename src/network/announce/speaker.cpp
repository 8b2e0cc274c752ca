#include "network/announce/speaker.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "client/node_addresses.h"
#include "io/loop.h"
#include "network/mesh/routes.h"
#include "os/packet.h"

namespace estiba::network::announce {

using model::ObjectRef;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace rtnl = os::rtnl;

struct Speaker::Machine {
  std::vector<rtnl::Route> routes;
  std::vector<rtnl::Link> links;
  std::vector<rtnl::LinkAddress> addresses;

  static Result<Machine> look() {
    auto socket = TRY(os::netlink::Socket::open(NETLINK_ROUTE));
    Machine machine;
    for (const uint8_t family : {AF_INET, AF_INET6})
      std::ranges::move(TRY(rtnl::routes(socket, family)), std::back_inserter(machine.routes));
    machine.links = TRY(rtnl::links(socket));
    machine.addresses = TRY(rtnl::addresses(socket, AF_UNSPEC));
    return machine;
  }
  const rtnl::Link* link(int index) const {
    auto found = std::ranges::find(links, index, &rtnl::Link::index);
    return found == links.end() || !found->up || found->mac.size() != sizeof(Mac) ? nullptr : &*found;
  }
  Address address_on(int index, bool v6) const {
    for (const rtnl::LinkAddress& address : addresses)
      if (address.index == index && (address.address.size() == 16) == v6) return Address::from_raw(address.address);
    return {.v6 = v6};
  }
};

static Mac mac_of(const rtnl::Link& link) {
  Mac mac;
  std::memcpy(mac.data(), link.mac.data(), mac.size());
  return mac;
}

Speaker::Speaker(std::string node_name, client::Client& client, UniqueFunction<void(const std::string&, const Address&)> began)
    : node_name_(std::move(node_name)), nodes_(client, client::nodes), began_(std::move(began)), worker_("estiba-announce") {
  nodes_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
    // Most changes of a Node are signs of life.
    if (!before || !after || client::balancer_addresses(before).empty() != client::balancer_addresses(after).empty()) wake_.set();
  });
}

Speaker::~Speaker() {
  following_.clear();
  running_.cancel();
}

void Speaker::start() {
  for (const unsigned group : {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE}) {
    auto watch = os::netlink::watch(NETLINK_ROUTE, group);
    if (!watch) {
      log::warn("network", "the machine's links are not watched", {{"error", watch.error()}});
      continue;
    }
    const int fd = watch->get();
    following_.emplace_back(std::move(*watch), Job(follow(fd)));
  }
  running_ = Job(run());
}

void Speaker::set(std::map<Address, Announced> addresses) {
  std::erase_if(voices_, [&](const auto& voice) { return !addresses.contains(voice.first); });
  if (std::ranges::any_of(addresses, [&](const auto& entry) { return !addresses_.contains(entry.first); })) moved_ = true;
  addresses_ = std::move(addresses);
  wake_.set();
}

// Pods' links come and go all the time; of links only those count that are listened at. A new one says so by its addresses and routes.
Task<void> Speaker::follow(int fd) {
  for (;;) {
    co_await io::Loop::current()->readable(fd);
    bool ours = false;
    const bool whole = os::netlink::take(fd, [&](const os::netlink::Message& message, uint32_t) {
      ifinfomsg header{};
      const bool link = message.type == RTM_NEWLINK || message.type == RTM_DELLINK;
      ours |= !link || !message.read(header) || ears_.contains({header.ifi_index, false}) || ears_.contains({header.ifi_index, true});
    });
    if (whole && !ours) continue;
    moved_ = true;
    wake_.set();
    co_await sleep_for(milliseconds(100));  // what changes comes in company
  }
}

Task<void> Speaker::run() {
  co_await nodes_.wait_synced();
  for (;;) {
    wake_.reset();
    if (std::exchange(moved_, false)) {
      auto machine = co_await worker_.run([] { return Machine::look(); });
      if (!machine) {
        log::warn("network", "load balancers' addresses cannot be announced; will try again", {{"error", machine.error()}});
        moved_ = true;
        co_await sleep_for(seconds(5));
        continue;
      }
      std::erase_if(ears_, [&](const auto& ear) {
        const rtnl::Link* link = machine->link(ear.first.first);
        return !link || mac_of(*link) != ear.second.mac;
      });
      for (const auto& [address, announced] : addresses_) place(address, voices_[address], *machine);
      std::erase_if(ears_, [&](const auto& ear) {
        return std::ranges::none_of(voices_, [&](const auto& voice) { return Place(voice.second.link, voice.first.v6) == ear.first; });
      });
    }
    rank();
    act();
    if (const auto when = next()) co_await wake_.wait_until(*when);
    else co_await wake_.wait();
  }
}

// An address is announced where the machine itself would look for it. With the link anew, it is also claimed anew.
void Speaker::place(const Address& address, Voice& voice, const Machine& machine) {
  const auto way = mesh::way_to(machine.routes, address, {});
  const rtnl::Link* link = way ? machine.link(way->index) : nullptr;
  Ear* ear = link ? ear_at({link->index, address.v6}, machine) : nullptr;
  if (!ear) {
    if (voice.link || !voice.election)
      log::warn("network", "no link leads to a load balancer's address: this node cannot announce it", {{"address", address.text()}});
    voice = Voice();
    voice.election.emplace(Mac{});
    return;
  }
  if (voice.link == link->index && voice.election && (!address.v6 || voice.membership)) return;
  voice = Voice{.link = link->index};
  voice.election.emplace(ear->mac);
  if (!address.v6) return;
  auto joined = os::packet::join(link->index, solicited_node(address).raw());
  if (joined) voice.membership = std::move(*joined);
  else
    log::warn("network", "a load balancer's address may not be found by its clients",
              {{"address", address.text()}, {"link", link->name}, {"error", joined.error()}});
}

// An ear that was there before the link went down and up again is kept, but clients and switches may have forgotten.
Speaker::Ear* Speaker::ear_at(const Place& place, const Machine& machine) {
  if (auto found = ears_.find(place); found != ears_.end()) {
    found->second.own = machine.address_on(place.first, place.second);
    return &found->second;
  }
  const rtnl::Link* link = machine.link(place.first);
  auto fd = place.second ? os::packet::open_neighbours(place.first) : os::packet::open_arp(place.first);
  if (!fd) {
    log::warn("network", "a link cannot be listened at for load balancers' addresses", {{"link", link->name}, {"error", fd.error()}});
    return nullptr;
  }
  for (auto& [address, voice] : voices_)
    if (voice.link == place.first && address.v6 == place.second) voice.link = 0;
  Ear& ear = ears_[place];
  ear.mac = mac_of(*link);
  ear.own = machine.address_on(place.first, place.second);
  ear.fd = std::move(*fd);
  ear.listening = Job(listen(place, ear.fd.get()));
  return &ear;
}

void Speaker::rank() {
  std::vector<std::string> all;
  nodes_.each([&](const ObjectRef& node) {
    if (!client::balancer_addresses(node).empty()) all.push_back(node.meta().name);
  });
  const Instant now = Executor::current()->now();
  for (auto& [address, announced] : addresses_) {
    Voice& voice = voices_[address];
    if (!voice.election) continue;
    if (!voice.link) {
      voice.election->set_rank({}, now);
      continue;
    }
    std::vector<std::string> some;
    if (announced.nodes)
      std::ranges::copy_if(all, std::back_inserter(some), [&](const std::string& node) { return announced.nodes->contains(node); });
    voice.election->set_rank(rank_of(node_name_, announced.nodes ? some : all, address), now);
  }
}

std::optional<Instant> Speaker::next() const {
  std::optional<Instant> first;
  for (const auto& [address, voice] : voices_)
    if (auto when = voice.election ? voice.election->next() : std::nullopt; when && (!first || *when < *first)) first = when;
  return first;
}

void Speaker::act() {
  const Instant now = Executor::current()->now();
  for (auto& [address, voice] : voices_) {
    if (!voice.election || !voice.link) continue;
    const Place place{voice.link, address.v6};
    const auto ear = ears_.find(place);
    if (ear == ears_.end()) continue;
    switch (voice.election->act(now)) {
      case Election::Act::nothing: break;
      case Election::Act::claim:
        for (const std::string& frame : claim(address, ear->second.mac)) send(place, frame);
        break;
      case Election::Act::ask: send(place, question(address, ear->second.mac, ear->second.own, voice.election->other())); break;
    }
    const bool announcing = voice.election->announcing();
    if (announcing == voice.told) continue;
    voice.told = announcing;
    const std::string& service = addresses_[address].service;
    log::info("network", announcing ? "a load balancer's address is announced here" : "a load balancer's address is no more announced here",
              {{"service", service}, {"address", address.text()}, {"mac", mac_text(ear->second.mac)}});
    if (announcing) began_(service, address);
  }
}

Task<void> Speaker::listen(Place place, int fd) {
  for (;;) {
    co_await io::Loop::current()->readable(fd);
    os::packet::take(fd, [&](std::string_view frame) { hear(place, frame); });
  }
}

void Speaker::hear(const Place& place, std::string_view frame) {
  const auto heard = parse(frame);
  if (!heard) return;
  const auto voice = voices_.find(heard->address);
  if (voice == voices_.end() || voice->second.link != place.first || !voice->second.election) return;
  const Mac& own = ears_[place].mac;
  if (heard->from == own) return;
  Election& election = *voice->second.election;
  if (heard->kind == Heard::Kind::question) {
    if (election.announcing()) send(place, answer(*heard, own));
    return;
  }
  if (heard->kind == Heard::Kind::claim && election.announcing())
    log::warn("network", "another machine claims a load balancer's address that this node announces",
              {{"address", heard->address.text()}, {"mac", mac_text(heard->from)}});
  election.heard(heard->kind == Heard::Kind::claim, heard->from, Executor::current()->now());
  wake_.set();
}

void Speaker::send(const Place& place, const std::string& frame) {
  if (auto sent = os::packet::send(ears_[place].fd.get(), frame); !sent)
    log::debug("network", "a frame about a load balancer's address was not sent", {{"error", sent.error()}});
}

}  // namespace estiba::network::announce
