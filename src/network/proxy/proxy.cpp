#include "network/proxy/proxy.h"

#include "base/log.h"
#include "os/conntrack.h"

namespace estiba::network {

Proxy::Proxy(ProxyTable::Config config, std::string node_name, ServiceObjects& objects)
    : table_(config), node_name_(std::move(node_name)), objects_(objects), state_(config.cluster_cidr), worker_("estiba-nft") {
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
  bool there = CO_TRY(co_await worker_.run([this] { return ProxyTable::exists(socket_); }));
  if (!there) CO_TRY(co_await worker_.run([this, tx = table_.replace({})]() mutable { return tx.commit(socket_); }));
  job_ = Job(run());
  co_return {};
}

Task<void> Proxy::wait_ready() { co_await ready_.wait(); }

void Proxy::set_host_ports(const std::string& uid, const std::vector<HostPort>& ports, const Address& pod) {
  state_.set("pod/" + uid, entries_of(ports, pod));
  wake_.set();
}

void Proxy::refresh(const std::string& key) {
  const auto* service = objects_.service(key);
  state_.set(key, service ? entries_of(*service, objects_.slices(key), {node_name_, objects_.zone()}) : std::vector<Entry>{});
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

// False when the kernel refused; then the whole table is written next time, which mends whatever it was.
Task<bool> Proxy::write() {
  bool whole = whole_ = std::exchange(broken_, false) || whole_;
  Change change = whole ? state_.take_whole() : state_.take_change();
  if (!whole && change.empty()) co_return true;
  auto began = Executor::current()->now();
  whole_ = true;
  auto written = co_await worker_.run([this, whole, tx = whole ? table_.replace(change) : table_.update(change)]() mutable {
    if (whole) ProxyTable::keep_clients(tx, socket_);
    return tx.commit(socket_);
  });
  if (!written) {
    log::error("network", "the services could not be written to the packet filter; trying again", {{"error", written.error()}});
    co_return false;
  }
  whole_ = false;
  auto micros = (Executor::current()->now() - began) / std::chrono::microseconds(1);
  log::debug("network", whole ? "services written" : "services changed",
             {{"elements", change.picks.added.size() + change.backends.added.size()}, {"us", micros}});
  if (whole) co_await forget_stale_flows();
  else co_await forget_flows(change);
  ready_.set();
  co_return true;
}

// --- connections without an end of their own -------------------------------------------------------------------------

static Lead lead_of(const os::conntrack::Flow& flow, bool any_address) {
  return {{any_address ? 0 : flow.destination, Protocol(flow.protocol), flow.destination_port}, {flow.server, flow.server_port}};
}

// A UDP client that keeps its port stays with its backend for as long as it speaks, also when the backend has gone.
Task<void> Proxy::forget_flows(const Change& change) {
  std::set<Lead> lost;
  for (const auto& [slot, backend] : change.backends.removed)
    if (slot.first.protocol != Protocol::tcp) lost.insert({slot.first, backend});
  for (const auto& [slot, backend] : change.backends.added) lost.erase({slot.first, backend});
  if (lost.empty()) co_return;
  auto forgotten = co_await worker_.run([this, lost = std::move(lost)]() -> Result<size_t> {
    size_t count = 0;
    for (Protocol protocol : {Protocol::udp, Protocol::sctp})
      count += TRY(os::conntrack::forget(socket_, uint8_t(protocol), [&](const auto& flow) {
        return lost.contains(lead_of(flow, false)) || lost.contains(lead_of(flow, true));
      }));
    return count;
  });
  if (!forgotten) log::warn("network", "connections to endpoints that are gone could not be forgotten", {{"error", forgotten.error()}});
}

// After a restart: what has changed meanwhile is not known, so every flow of a front is held against what is.
Task<void> Proxy::forget_stale_flows() {
  std::set<Lead> live;
  std::set<Front> fronts;
  for (const auto& [slot, backend] : state_.backends()) {
    if (slot.first.protocol == Protocol::tcp) continue;
    live.insert({slot.first, backend});
    fronts.insert(slot.first);
  }
  if (fronts.empty()) co_return;
  auto forgotten = co_await worker_.run([this, live = std::move(live), fronts = std::move(fronts)] {
    return os::conntrack::forget(socket_, uint8_t(Protocol::udp), [&](const auto& flow) {
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
    return ProxyTable::remove().commit(socket);
  });
}

}  // namespace estiba::network
