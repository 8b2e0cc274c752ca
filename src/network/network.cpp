#include "network/network.h"

#include <linux/rtnetlink.h>

#include <map>

#include "base/log.h"
#include "io/loop.h"
#include "network/announce/announcer.h"
#include "network/cni/pods.h"
#include "network/dns/feed.h"
#include "network/mesh/mesh.h"
#include "network/pod_network.h"
#include "network/policy/policies.h"
#include "network/proxy/health_checks.h"
#include "network/proxy/proxy.h"
#include "network/side.h"
#include "network/worker.h"

namespace estiba::network {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct Network::Impl {
  Impl(Options o, client::Client& c, Executor& l) : options(std::move(o)), client(c), loop(l), worker("estiba-net") {}

  Result<void> configure();
  Task<Result<void>> start_cni();
  Task<Result<void>> load_pods();
  Task<Result<void>> start_policies();
  void watch_objects();
  void end_watches();
  Task<void> maintain();
  Task<void> mend();
  Task<void> mend_links();
  Worker& pod_worker() { return more_workers.empty() ? worker : *more_workers[next_worker++ % more_workers.size()]; }
  Task<bool> gone(os::nft::Family family, const char* table);
  Task<void> quiet(Duration still, Duration at_most);
  Task<Result<PodNet>> attach(PodRequest pod);
  Task<Result<void>> detach(std::string uid);
  void remember(const PodRequest& pod, const PodNet& net);
  void forget(const std::string& uid);

  Options options;
  client::Client& client;
  Executor& loop;
  std::vector<Side> sides;  // one, or one of each family, the primary first
  Address dns_address;      // of the primary family of services

  std::unique_ptr<PodNetwork> bridge;                   // used by the worker's thread only
  std::unique_ptr<cni::Pods> cni;                       // of the plugins, if pods have their networks of them
  PodLinks* pods = nullptr;                             // where they have them of; null before start() and after the end
  std::map<std::string, PodNet, std::less<>> attached;  // what this thread knows of it
  std::unique_ptr<ServiceObjects> objects;
  std::unique_ptr<Proxy> proxy;
  std::unique_ptr<HealthChecks> health_checks;
  std::unique_ptr<announce::Announcer> announcer;
  std::unique_ptr<policy::Policies> policies;
  std::unique_ptr<dns::Feed> dns;
  std::unique_ptr<mesh::Mesh> mesh;
  Executor::Timer again;  // for what could not be swept
  Event work;             // an attach or a detach: the pool wants filling, or something wants sweeping
  Worker worker;
  std::vector<std::unique_ptr<Worker>> more_workers;  // where several pods' networks are made at once
  size_t next_worker = 0;
  Job maintenance, mending, mending_links;  // last: end first
};

Network::Network(Options options, client::Client& client, Executor& loop)
    : impl_(std::make_unique<Impl>(std::move(options), client, loop)) {}
Network::~Network() = default;

Result<void> Network::Impl::configure() {
  sides = TRY(sides_of(options.pod_cidr, options.cluster_cidr, options.service_cidr));
  dns_address = TRY(parse_ranges(options.service_cidr).value().front().nth(10));
  return {};
}

static std::vector<Address> addresses_of(const PodNet& net) {
  std::vector<Address> addresses;
  for (const std::string& ip : net.ips)
    if (auto address = Address::parse(ip)) addresses.push_back(*address);
  return addresses;
}

static std::string text_of(const std::vector<Side>& sides, std::optional<Prefix> (*range)(const Side&)) {
  std::string text;
  for (const Side& side : sides)
    if (auto found = range(side)) text += (text.empty() ? "" : ",") + found->text();
  return text;
}

// --- start and end ---------------------------------------------------------------------------------------------------

Task<Result<void>> Network::start() {
  Impl& self = *impl_;
  CO_TRY(self.configure());
  const bool own = self.options.cni_configurations.empty();
  self.bridge = std::make_unique<PodNetwork>(PodNetwork::Config{.run_dir = self.options.run_dir,
                                                                .bridge = self.options.bridge,
                                                                .sides = self.sides,
                                                                .pool = own ? self.options.pool : 0,
                                                                .pods = own});
  if (auto started = co_await self.worker.run([&self] { return self.bridge->start(); }); !started) {
    self.bridge.reset();  // what is there may be another server's: stop() must not remove it
    co_return within("start the pod network", std::move(started));
  }
  CO_TRY_AS("start the CNI network", co_await self.start_cni());
  self.watch_objects();
  CO_TRY(co_await self.load_pods());
  if (self.options.policies && own) CO_TRY_AS("start the network policies", co_await self.start_policies());
  if (self.proxy) CO_TRY_AS("start the services", co_await self.proxy->start());
  if (self.options.mesh && own) {
    self.mesh = std::make_unique<mesh::Mesh>(mesh::Routes::Config{.sides = self.sides, .bridge = self.options.bridge},
                                             self.options.node_name, self.client);
    self.mesh->start();
  }
  if (self.proxy && io::Loop::current()) {
    self.health_checks = std::make_unique<HealthChecks>(self.options.node_name, *self.objects);
    self.announcer = std::make_unique<announce::Announcer>(self.options.node_name, self.client, self.loop, *self.objects);
  }
  self.maintenance = Job(self.maintain());
  self.mending = Job(self.mend());
  self.mending_links = Job(self.mend_links());
  self.work.set();
  log::info("network", "pod network is up",
            {{"bridge", self.options.bridge},
             {"pods", text_of(self.sides, [](const Side& side) { return std::optional(side.pods); })},
             {"cni", self.options.cni_configurations},
             {"services", text_of(self.sides, [](const Side& side) { return side.services; })},
             {"attached", self.attached.size()}});
  co_return {};
}

// The plugins' networks, or what they have left of an earlier run.
Task<Result<void>> Network::Impl::start_cni() {
  const cni::Pods::Config config{.run_dir = options.run_dir,
                                 .data_dir = options.data_dir,
                                 .configurations = options.cni_configurations,
                                 .plugins = options.cni_plugins};
  if (options.cni_configurations.empty()) {
    pods = bridge.get();
    std::vector<Prefix> ranges;
    for (const Side& side : sides) ranges.push_back(side.pods);
    co_return co_await worker.run([config, ranges] { return cni::Pods::remove_left(config, ranges); });
  }
  auto made = std::make_unique<cni::Pods>(config);
  CO_TRY(co_await worker.run([&made] { return made->start(); }));
  cni = std::move(made);
  pods = cni.get();
  for (int i = 0; i < pods->threads(); ++i) more_workers.push_back(std::make_unique<Worker>("estiba-cni"));
  // Plugins put pods on bridges of theirs, whose frames have to pass the packet filter for services to work among neighbours; without the
  // module there is no such setting. Node ports at 127.0.0.1 lead to any link.
  for (const char* setting :
       {"net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables", "net/ipv4/conf/all/route_localnet"})
    (void)os::rtnl::set_sysctl(setting, "1");
  co_return {};
}

void Network::Impl::watch_objects() {
  if (!options.proxy && !options.dns) return;
  objects = std::make_unique<ServiceObjects>(client, options.node_name);
  if (options.proxy) proxy = std::make_unique<Proxy>(cni ? "" : options.bridge, sides, options.node_name, *objects);
  if (!options.dns) return;
  dns::Server::Config config{.zone = {.domain = options.cluster_domain}, .resolv_conf = options.resolv_conf};
  for (const Side& side : sides) {
    config.zone.owned.push_back(side.cluster);
    if (!side.services) continue;
    config.zone.owned.push_back(*side.services);
    config.addresses.push_back(*side.dns);
  }
  config.zone.servers = config.addresses;
  dns = std::make_unique<dns::Feed>(std::move(config), *objects);
}

void Network::Impl::end_watches() {
  maintenance.cancel();
  if (again.id) loop.cancel(std::exchange(again, {}));
  mending.cancel();
  mending_links.cancel();
  mesh.reset();
  dns.reset();
  policies.reset();
  announcer.reset();
  health_checks.reset();
  proxy.reset();
  objects.reset();
}

Task<Result<void>> Network::Impl::load_pods() {
  using Known = std::vector<std::pair<PodRequest, PodNet>>;
  Known known = co_await worker.run([this] {
    Known known;
    for (const PodRequest& pod : pods->pods())
      if (auto net = pods->find(pod.uid)) known.push_back({pod, *net});
    return known;
  });
  for (const auto& [pod, net] : known) remember(pod, net);
  co_return {};
}

Task<Result<void>> Network::Impl::start_policies() {
  policies = std::make_unique<policy::Policies>(sides, options.node_name, client);
  std::vector<std::pair<PodRequest, policy::PortTable::Sender>> known;
  for (const PodRequest& pod : co_await worker.run([this] { return pods->pods(); }))
    if (auto net = attached.find(pod.uid); net != attached.end()) known.push_back({pod, addresses_of(net->second)});
  co_return co_await policies->start(known);
}

Task<Result<void>> Network::stop() {
  Impl& self = *impl_;
  if (!self.bridge) co_return {};
  if (self.attached.empty()) co_return co_await remove_all();
  self.end_watches();
  co_return co_await self.worker.run([&self] { return self.bridge->drop_pool(); });
}

Task<Result<void>> Network::remove_all() {
  Impl& self = *impl_;
  if (!self.bridge) co_return {};
  Result<void> table;
  self.mending.cancel();  // it is we who take them away
  self.mending_links.cancel();
  if (self.proxy) table = co_await self.proxy->remove_all();
  if (self.policies)
    if (auto removed = co_await self.policies->remove_all(); !removed) table = std::move(removed);
  if (self.mesh)
    if (auto removed = co_await self.mesh->remove_all(); !removed) table = std::move(removed);
  self.end_watches();
  self.attached.clear();
  auto links = co_await self.worker.run([&self]() -> Result<void> {
    if (self.cni) TRY(self.cni->remove_all());
    return self.bridge->remove_all();
  });
  self.pods = nullptr;
  self.bridge.reset();
  if (!links) co_return within("remove the pod network", std::move(links));
  co_return within("remove the packet filter's tables", std::move(table));
}

// --- pods ------------------------------------------------------------------------------------------------------------

void Network::Impl::remember(const PodRequest& pod, const PodNet& net) {
  attached[pod.uid] = net;
  if (!proxy || pod.host_ports.empty() || pods->maps_ports(pod.uid)) return;
  proxy->set_host_ports(pod.uid, pod.host_ports, addresses_of(net));
}

void Network::Impl::forget(const std::string& uid) {
  attached.erase(uid);
  if (proxy) proxy->set_host_ports(uid, {}, {});
}

Task<Result<PodNet>> Network::Impl::attach(PodRequest pod) {
  co_return co_await pod_worker().run([this, pod] { return pods->attach(pod); });
}

Task<Result<void>> Network::Impl::detach(std::string uid) {
  co_return co_await pod_worker().run([this, uid] { return pods->detach(uid); });
}

Task<Result<void>> Network::status() {
  Impl& self = *impl_;
  if (!self.pods) co_return fail(Code::unavailable, "the pod network has not been started");
  co_return co_await self.pod_worker().run([&self] { return self.pods->status(); });
}

Task<Result<PodNet>> Network::attach(PodRequest pod, bool needs_no_server) {
  Impl& self = *impl_;
  if (!self.pods) co_return fail(Code::unavailable, "the pod network has not been started");
  PodNet net;
  if (auto known = self.attached.find(pod.uid); known != self.attached.end()) {
    net = known->second;
  } else {
    net = CO_TRY_AS("network of pod " + pod.ns + "/" + pod.name, co_await self.attach(pod));
    self.remember(pod, net);
    self.work.set();
  }
  // Before anything runs in it, so that no packet is sooner than the policies; again if that failed the last time.
  if (self.policies) CO_TRY(co_await self.policies->attach(std::move(pod), addresses_of(net), needs_no_server));
  co_return net;
}

Task<Result<void>> Network::detach(std::string uid) {
  Impl& self = *impl_;
  if (!self.pods) co_return {};
  self.forget(uid);
  if (self.policies) co_await self.policies->detach(uid);
  auto noted = co_await self.detach(uid);
  self.forget(uid);  // again: an attach that was under way may have come between
  if (self.policies) co_await self.policies->detach(uid);
  self.work.set();
  co_return noted;
}

Task<Result<void>> Network::recover(std::vector<std::string> uids) {
  std::set<std::string> live(uids.begin(), uids.end()), gone;
  for (const auto& [uid, net] : impl_->attached)
    if (!live.contains(uid)) gone.insert(uid);
  for (const std::string& uid : gone) {
    log::info("network", "removing the network of a pod that is gone", {{"uid", uid}});
    CO_TRY(co_await detach(uid));
  }
  if (auto told = co_await impl_->pod_worker().run([this] { return impl_->pods->collect_garbage(); }); !told)
    log::info("network", "the CNI plugins were not told which pods there are", {{"error", told.error()}});
  co_return {};
}

std::optional<PodNet> Network::find(std::string_view uid) const {
  auto found = impl_->attached.find(uid);
  return found == impl_->attached.end() ? std::nullopt : std::optional(found->second);
}

// Waits until nothing was attached or detached for a while.
Task<void> Network::Impl::quiet(Duration still, Duration at_most) {
  for (auto end = loop.now() + at_most; loop.now() < end;) {
    work.reset();
    if (!co_await work.wait_for(still)) co_return;
  }
}

// Fills the pool and removes what was detached, one piece at a time and after the rush, so that no pod waits for it.
Task<void> Network::Impl::maintain() {
  for (;;) {
    co_await work.wait();
    if (again.id) loop.cancel(std::exchange(again, {}));
    co_await quiet(milliseconds(20), seconds(1));
    for (bool more = true; more;) {
      auto made = co_await pod_worker().run([this] { return pods->refill(); });
      if (!made) log::warn("network", "no pod network could be made ahead", {{"error", made.error()}});
      more = made && *made;
    }
    if (work.is_set()) continue;
    co_await quiet(milliseconds(150), seconds(2));
    auto swept = co_await pod_worker().run([this] { return pods->sweep(); });
    if (swept) continue;
    log::warn("network", "networks of pods that are gone could not be removed", {{"error", swept.error()}});
    if (const auto delay = pods->try_again()) again = loop.after(*delay, [this] { work.set(); });
  }
}

Task<bool> Network::Impl::gone(os::nft::Family family, const char* table) {
  auto there = co_await worker.run([family, table]() -> Result<bool> {
    auto socket = TRY(os::netlink::Socket::open(NETLINK_NETFILTER));
    return os::nft::table_exists(socket, family, table);
  });
  co_return there && !*there;
}

// Other tools flush the packet filter (`nft flush ruleset`, a firewall's restart); the kernel tells of every change and whose it was.
Task<void> Network::Impl::mend() {
  auto watch = os::netlink::watch(NETLINK_NETFILTER, 7);  // NFNLGRP_NFTABLES
  if (!watch) {
    log::warn("network", "the packet filter is not watched", {{"error", watch.error()}});
    co_return;
  }
  std::set<uint32_t> own;
  if (proxy) own.insert(proxy->port());
  if (policies) own.insert(policies->port());
  for (;;) {
    co_await io::Loop::current()->readable(watch->get());
    co_await sleep_for(milliseconds(10));  // a change comes as many messages
    auto changes = os::nft::read_changes(watch->get(), own);
    // Too much news to be read, which our own first writing is too: whoever flushes removes tables.
    for (const Side& side : sides)
      for (const char* table : {ProxyTable::name, policy::PolicyTable::name})
        if (changes.missed && co_await gone(NftFamily::of(side.v6()).table, table)) changes.tables.insert(table);
    const bool services = proxy && changes.tables.contains(ProxyTable::name);
    const bool fences =
        policies && (changes.tables.contains(policy::PolicyTable::name) || changes.tables.contains(policy::PortTable::name));
    if (services) proxy->rewrite();
    if (fences) policies->rewrite();
    if (services || fences) log::warn("network", "another program had changed our packet filter: it is written again");
  }
}

// The same of the bridge and the pods' links to it, without which no pod reaches anything: somebody has removed one, or turned it off.
Task<void> Network::Impl::mend_links() {
  auto watch = os::netlink::watch(NETLINK_ROUTE, RTNLGRP_LINK);
  if (!watch) {
    log::warn("network", "the bridge and the pods' links are not watched", {{"error", watch.error()}});
    co_return;
  }
  for (;;) {
    co_await io::Loop::current()->readable(watch->get());
    bool ours = false;
    const bool whole = os::netlink::take(
        watch->get(), [&](const os::netlink::Message& message, uint32_t port) { ours |= bridge->concerns(message, port); });
    if (whole && !ours) continue;
    auto mended = co_await worker.run([this] { return bridge->mend(); });
    if (!mended) log::error("network", "the pods' links cannot be mended", {{"error", mended.error()}});
    if (mended && mended->bridge)
      log::warn("network", "another program had taken away the bridge of the pods: it is made again", {{"bridge", options.bridge}});
    if (mended && !mended->bridge)
      for (const std::string& pod : mended->pods)
        log::warn("network", "another program had taken away a pod's link: it is made again", {{"pod", pod}});
    if (!mended) co_await sleep_for(seconds(1));
  }
}

std::string Network::dns_address() const { return impl_->dns_address.text(); }
std::string Network::gateway() const { return impl_->sides.empty() ? "" : impl_->sides[0].gateway.text(); }
bool Network::services_ready() const {
  const Impl& self = *impl_;
  return (!self.proxy || self.proxy->ready()) && (!self.policies || self.policies->ready()) && (!self.dns || self.dns->ready()) &&
         (!self.mesh || self.mesh->ready());
}

}  // namespace estiba::network
