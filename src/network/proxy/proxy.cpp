#include "network/proxy/proxy.h"

#include <sys/socket.h>

#include <algorithm>

#include "base/log.h"
#include "os/conntrack.h"

namespace estiba::network {

Proxy::Proxy(const std::string& bridge, const std::vector<Side>& sides, std::string node_name, ServiceObjects& objects)
    : node_name_(std::move(node_name)), objects_(objects), worker_("estiba-nft") {
  for (const Side& side : sides) halves_.push_back({side.v6(), ProxyTable({bridge, side}), ProxyState(side.cluster)});
  objects_.on_change([this](const std::string& service) {
    dirty_.insert(service);
    wake_.set();
  });
  objects_.on_zone_change([this] {
    for (std::string& key : objects_.keys()) dirty_.insert(std::move(key));
    wake_.set();
  });
}

Proxy::~Proxy() = default;

Task<Result<void>> Proxy::start() {
  socket_ = CO_TRY(os::netlink::Socket::open(NETLINK_NETFILTER));
  for (const bool v6 : {false, true}) {
    const auto half = std::ranges::find(halves_, v6, &Half::v6);
    const bool there = CO_TRY(co_await worker_.run([this, v6] { return ProxyTable::exists(socket_, v6); }));
    if (there == (half != halves_.end())) continue;
    os::nft::Transaction tx = there ? ProxyTable::remove(v6) : half->table.replace({});
    CO_TRY(co_await worker_.run([this, tx = std::move(tx)]() mutable { return tx.commit(socket_); }));
  }
  job_ = Job(run());
  co_return {};
}

Task<void> Proxy::wait_ready() { co_await ready_.wait(); }

void Proxy::set_host_ports(const std::string& uid, const std::vector<HostPort>& ports, const std::vector<Address>& pod) {
  set("pod/" + uid, entries_of(ports, pod));
  wake_.set();
}

void Proxy::refresh(const std::string& key) {
  const auto* service = objects_.service(key);
  set(key, service ? entries_of(*service, objects_.slices(key), {node_name_, objects_.zone()}) : std::vector<Entry>{});
}

void Proxy::set(const std::string& owner, std::vector<Entry> entries) {
  for (Half& half : halves_) {
    std::vector<Entry> own;
    for (Entry& entry : entries)
      if (entry.front.address.v6 == half.v6) own.push_back(std::move(entry));
    half.state.set(owner, std::move(own));
  }
}

Task<void> Proxy::run() {
  co_await objects_.wait_synced();
  for (Duration delay = std::chrono::milliseconds(100);;) {
    wake_.reset();
    for (const std::string& service : std::exchange(dirty_, {})) refresh(service);
    if (co_await write()) {
      delay = std::chrono::milliseconds(100);
      co_await wake_.wait();
    } else {
      co_await sleep_for(delay);
      delay = std::min<Duration>(delay * 2, std::chrono::seconds(30));
    }
  }
}

Task<bool> Proxy::write() {
  const bool broken = std::exchange(broken_, false);
  bool all = true;
  for (Half& half : halves_) {
    half.whole = half.whole || broken;
    if (!co_await write(&half)) all = false;
  }
  if (all) ready_.set();
  co_return all;
}

// False when the kernel refused; then the whole table is written next time, which mends whatever it was.
Task<bool> Proxy::write(Half* half) {
  const bool whole = half->whole;
  Change change = whole ? half->state.take_whole() : half->state.take_change();
  if (!whole && change.empty()) co_return true;
  auto began = Executor::current()->now();
  half->whole = true;
  const ProxyTable* table = &half->table;
  auto written =
      co_await worker_.run([this, whole, table, tx = whole ? half->table.replace(change) : half->table.update(change)]() mutable {
        if (whole) table->keep_clients(tx, socket_);
        return tx.commit(socket_);
      });
  if (!written) {
    log::error("network", "the services could not be written to the packet filter; trying again", {{"error", written.error()}});
    co_return false;
  }
  half->whole = false;
  auto micros = (Executor::current()->now() - began) / std::chrono::microseconds(1);
  log::debug("network", whole ? "services written" : "services changed",
             {{"elements", change.picks.added.size() + change.backends.added.size()}, {"us", micros}});
  if (whole) co_await forget_stale_flows(half);
  else co_await forget_flows(half->v6, change);
  co_return true;
}

// --- connections without an end of their own -------------------------------------------------------------------------

static Lead lead_of(const os::conntrack::Flow& flow, bool any_address) {
  const Address to = Address::from_raw(flow.destination);
  return {{any_address ? Address{.v6 = to.v6} : to, Protocol(flow.protocol), flow.destination_port},
          {Address::from_raw(flow.server), flow.server_port}};
}

// A UDP client that keeps its port stays with its backend for as long as it speaks, also when the backend has gone.
Task<void> Proxy::forget_flows(bool v6, const Change& change) {
  std::set<Lead> lost;
  for (const auto& [slot, backend] : change.backends.removed)
    if (slot.first.protocol != Protocol::tcp) lost.insert({slot.first, backend});
  for (const auto& [slot, backend] : change.backends.added) lost.erase({slot.first, backend});
  if (lost.empty()) co_return;
  auto forgotten = co_await worker_.run([this, v6, lost = std::move(lost)]() -> Result<size_t> {
    size_t count = 0;
    for (Protocol protocol : {Protocol::udp, Protocol::sctp})
      count += TRY(os::conntrack::forget(socket_, v6 ? AF_INET6 : AF_INET, uint8_t(protocol), [&](const auto& flow) {
        return lost.contains(lead_of(flow, false)) || lost.contains(lead_of(flow, true));
      }));
    return count;
  });
  if (!forgotten) log::warn("network", "connections to endpoints that are gone could not be forgotten", {{"error", forgotten.error()}});
}

// After a restart: what has changed meanwhile is not known, so every flow of a front is held against what is.
Task<void> Proxy::forget_stale_flows(const Half* half) {
  std::set<Lead> live;
  std::set<Front> fronts;
  for (const auto& [slot, backend] : half->state.backends()) {
    if (slot.first.protocol == Protocol::tcp) continue;
    live.insert({slot.first, backend});
    fronts.insert(slot.first);
  }
  if (fronts.empty()) co_return;
  auto forgotten = co_await worker_.run([this, v6 = half->v6, live = std::move(live), fronts = std::move(fronts)] {
    return os::conntrack::forget(socket_, v6 ? AF_INET6 : AF_INET, uint8_t(Protocol::udp), [&](const auto& flow) {
      Lead exact = lead_of(flow, false), any = lead_of(flow, true);
      if (fronts.contains(exact.first)) return !live.contains(exact);
      return fronts.contains(any.first) && !live.contains(any);
    });
  });
  if (!forgotten) log::warn("network", "stale connections could not be forgotten", {{"error", forgotten.error()}});
}

void Proxy::rewrite() {
  broken_ = true;
  wake_.set();
}

void Proxy::stop() { job_.cancel(); }

Task<Result<void>> Proxy::remove_all() {
  stop();
  co_return co_await worker_.run([]() -> Result<void> {
    auto socket = TRY(os::netlink::Socket::open(NETLINK_NETFILTER));
    for (const bool v6 : {false, true})
      if (TRY(ProxyTable::exists(socket, v6))) TRY(ProxyTable::remove(v6).commit(socket));
    return {};
  });
}

}  // namespace estiba::network
