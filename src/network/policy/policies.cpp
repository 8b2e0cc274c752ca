#include "network/policy/policies.h"

#include <algorithm>

#include "base/log.h"
#include "model/types/core_v1.h"
#include "network/pod_ports.h"

namespace estiba::network::policy {

using model::ObjectRef;
using std::chrono::milliseconds;
using std::chrono::seconds;

static constexpr client::Resource kNetworkPolicies{"networking.k8s.io", "v1", "networkpolicies"};
static const std::string kDnsUid = "the cluster's DNS";  // no uid of a pod has spaces

static std::optional<Address> of_family(const PortTable::Sender& addresses, bool v6) {
  const auto found = std::ranges::find(addresses, v6, &Address::v6);
  return found == addresses.end() ? std::nullopt : std::optional(*found);
}

Policies::Policies(const std::vector<Side>& sides, std::string node_name, client::Client& client)
    : ports_(sides), node_name_(std::move(node_name)), client_(client), policies_(client, kNetworkPolicies), worker_("estiba-policy") {
  policies_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
    dirty_policies_.insert(client::key_of(after ? after : before));
    changed();
  });
  for (const Side& side : sides) {
    Half& half = halves_.emplace_back(side.v6(), PolicyTable(side));
    if (side.dns)
      half.state.set_pod(kDnsUid, PodFacts{.ns = "kube-system",
                                           .labels = {{"k8s-app", "kube-dns"}},
                                           .ports = {{Protocol::udp, "dns", 53}, {Protocol::tcp, "dns-tcp", 53}},
                                           .address = side.dns});
  }
}

Policies::~Policies() = default;

void Policies::changed() {
  ++changes_;
  wake_.set();
}

// --- pods of this node -----------------------------------------------------------------------------------------------

Task<Result<void>> Policies::start(const std::vector<std::pair<PodRequest, PortTable::Sender>>& known) {
  socket_ = CO_TRY(os::netlink::Socket::open(NETLINK_NETFILTER));
  for (const auto& [pod, addresses] : known) {
    attached_[pod.uid] = {pod, addresses};
    dirty_pods_.insert(pod.uid);
    senders_.insert(addresses);
  }
  auto fenced = co_await worker_.run([this, tx = ports_.replace(senders_)]() mutable { return tx.commit(socket_); });
  if (!fenced) {
    log::warn("network", "pods on this node are not kept from sending each other raw frames: the kernel has no nf_tables for bridges",
              {{"error", fenced.error()}});
    fences_ports_ = false;
  }
  for (const bool v6 : {false, true}) {
    const auto half = std::ranges::find(halves_, v6, &Half::v6);
    const bool there = CO_TRY(co_await worker_.run([this, v6] { return PolicyTable::exists(socket_, v6); }));
    if (there == (half != halves_.end())) continue;
    os::nft::Transaction tx = there ? PolicyTable::remove(v6) : half->table.replace({});
    CO_TRY(co_await worker_.run([this, tx = std::move(tx)]() mutable { return tx.commit(socket_); }));
  }
  job_ = Job(run());
  co_return {};
}

Task<Result<void>> Policies::attach(PodRequest pod, PortTable::Sender addresses, bool needs_no_server) {
  const bool fresh = !attached_.contains(pod.uid);
  const std::string uid = pod.uid, name = pod.ns + "/" + pod.name;
  const bool waits = !needs_no_server || ready();
  if (fresh) {
    attached_[uid] = {std::move(pod), addresses};
    dirty_pods_.insert(uid);
    changed();
  }
  const uint64_t wanted = changes_;
  for (auto end = Executor::current()->now() + seconds(10); waits && written_ < wanted;)
    if (!co_await progress_.wait_until(end))
      co_return fail(Code::unavailable, "the network policies for pod " + name + " could not be put into force");
  if (!fresh || !fences_ports_) co_return {};
  // Last: until now the pod could send nothing.
  auto sends = co_await worker_.run([this, addresses] { return PortTable::add(addresses).commit(socket_); });
  if (sends) senders_.insert(addresses);
  if (!sends && attached_.erase(uid)) dirty_pods_.insert(uid), changed();
  co_return within("let pod " + name + " send", std::move(sends));
}

Task<void> Policies::detach(std::string uid) {
  auto found = attached_.find(uid);
  if (found == attached_.end()) co_return;
  const PortTable::Sender addresses = found->second.addresses;
  attached_.erase(found);
  senders_.erase(addresses);
  dirty_pods_.insert(uid);
  changed();
  if (!fences_ports_) co_return;
  auto dropped = co_await worker_.run([this, addresses] { return PortTable::drop(addresses).commit(socket_); });
  if (!dropped && dropped.error().sys != ENOENT)
    log::warn("network", "a pod that is gone may still send", {{"address", addresses.front().text()}, {"error", dropped.error()}});
}

// --- what is watched -------------------------------------------------------------------------------------------------

// Pods of other nodes have the addresses that their status says. Those of this node have the one they were given, as long as they have it.
std::optional<PodFacts> Policies::facts_of(const std::string& uid, bool v6) const {
  PodFacts facts;
  auto attached = attached_.find(uid);
  if (attached != attached_.end()) {
    facts.ns = attached->second.pod.ns;
    facts.labels = attached->second.pod.labels;
    facts.address = of_family(attached->second.addresses, v6);
    facts.local = true;
    facts.ports = attached->second.pod.named_ports;
  }
  std::vector<ObjectRef> found = pods_ ? pods_->find(by_uid_, uid) : std::vector<ObjectRef>{};
  if (found.empty()) return facts.local ? std::optional(std::move(facts)) : std::nullopt;
  const model::Meta& meta = found[0].meta();
  facts.ns = meta.ns;
  facts.labels = meta.labels;
  const auto& pod = found[0].as<model::core_v1::Pod>();
  facts.ports = named_ports(pod.spec);
  if (facts.local) return facts;
  const bool ended = pod.status.phase == "Succeeded" || pod.status.phase == "Failed";
  if (ended || pod.spec.hostNetwork.value_or(false) || pod.spec.nodeName == node_name_) return std::nullopt;
  for (const auto& ip : pod.status.podIPs)
    if (auto address = Address::parse(ip.ip); address && address->v6 == v6) facts.address = *address;
  return facts;
}

Task<void> Policies::watch_pods() {
  namespaces_ = std::make_unique<client::Informer>(client_, client::namespaces);
  pods_ = std::make_unique<client::Informer>(client_, client::pods);
  by_uid_ = pods_->add_index([](const model::Object& pod, std::vector<std::string>& values) { values.push_back(pod.meta().uid); });
  namespaces_->on_change([this](const ObjectRef& before, const ObjectRef& after) {
    dirty_namespaces_.insert((after ? after : before).meta().name);
    changed();
  });
  pods_->on_change([this](const ObjectRef& before, const ObjectRef& after) {
    dirty_pods_.insert((after ? after : before).meta().uid);
    changed();
  });
  co_await namespaces_->wait_synced();
  co_await pods_->wait_synced();
}

void Policies::take_in() {
  for (const std::string& name : std::exchange(dirty_namespaces_, {})) {
    ObjectRef ns = namespaces_->get(name);
    for (Half& half : halves_) half.state.set_namespace(name, ns ? std::optional(ns.meta().labels) : std::nullopt);
  }
  for (const std::string& uid : std::exchange(dirty_pods_, {}))
    for (Half& half : halves_) half.state.set_pod(uid, facts_of(uid, half.v6));
  for (const std::string& name : std::exchange(dirty_policies_, {})) {
    ObjectRef policy = policies_.get(name);
    for (Half& half : halves_)
      half.state.set_policy(name,
                            policy ? std::optional(rules_of(policy.as<model::networking_v1::NetworkPolicy>(), half.v6)) : std::nullopt);
  }
}

// --- writing ---------------------------------------------------------------------------------------------------------

Task<void> Policies::run() {
  co_await policies_.wait_synced();
  for (Duration delay = milliseconds(100);;) {
    wake_.reset();
    if (!pods_ && policies_.size()) co_await watch_pods();
    take_in();
    if (std::exchange(broken_, false)) {
      for (Half& half : halves_) half.whole = true;
      broken_ = !co_await write_ports();
    }
    if (co_await write() && !broken_) {
      delay = milliseconds(100);
      co_await wake_.wait();
    } else {
      co_await sleep_for(delay);
      delay = std::min<Duration>(delay * 2, seconds(30));
    }
  }
}

void Policies::rewrite() {
  broken_ = true;
  wake_.set();
}

Task<bool> Policies::write_ports() {
  if (!fences_ports_) co_return true;
  auto written = co_await worker_.run([this, tx = ports_.replace(senders_)]() mutable { return tx.commit(socket_); });
  if (!written)
    log::error("network", "what pods may send could not be written to the packet filter; trying again", {{"error", written.error()}});
  co_return written.has_value();
}

Task<bool> Policies::write() {
  const uint64_t now = changes_;
  for (Half& half : halves_)
    if (!co_await write(&half)) co_return false;
  written_ = now;
  progress_.set();
  progress_.reset();
  ready_.set();
  co_return true;
}

// False when the kernel refused; then the whole table is written next time, which mends whatever it was.
Task<bool> Policies::write(Half* half) {
  const bool whole = half->whole;
  PolicyChange change = whole ? half->state.take_whole() : half->state.take_change();
  if (!whole && change.empty()) co_return true;
  auto began = Executor::current()->now();
  half->whole = true;
  auto written = co_await worker_.run(
      [this, tx = whole ? half->table.replace(change) : half->table.update(change)]() mutable { return tx.commit(socket_); });
  if (!written) {
    log::error("network", "the network policies could not be written to the packet filter; trying again", {{"error", written.error()}});
    co_return false;
  }
  half->whole = false;
  auto micros = (Executor::current()->now() - began) / std::chrono::microseconds(1);
  log::debug("network", whole ? "policies written" : "policies changed", {{"chains", change.chains.added.size()}, {"us", micros}});
  co_return true;
}

Task<Result<void>> Policies::remove_all() {
  job_.cancel();
  co_return co_await worker_.run([]() -> Result<void> {
    auto socket = TRY(os::netlink::Socket::open(NETLINK_NETFILTER));
    for (const bool v6 : {false, true})
      if (TRY(PolicyTable::exists(socket, v6))) TRY(PolicyTable::remove(v6).commit(socket));
    auto there = PortTable::exists(socket);
    return there && *there ? PortTable::remove().commit(socket) : Result<void>();
  });
}

}  // namespace estiba::network::policy
