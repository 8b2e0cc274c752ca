#include "network/bridge/networks.h"

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "network/bridge/networks_impl.h"
#include "os/file.h"

namespace estiba::network::bridge {

Networks::Impl::Impl(Options o, Executor& e)
    : options(std::move(o)), executor(e), kernel({.run_dir = options.run_dir, .pool = options.pool}), worker("estiba-dnet") {}

Networks::Networks(Options options, Executor& executor) : impl_(std::make_unique<Impl>(std::move(options), executor)) {}
Networks::~Networks() = default;

// --- what there is ---------------------------------------------------------------------------------------------------

namespace {
struct Loaded {
  std::vector<Network> networks;
  std::vector<Sandbox> sandboxes;
  std::vector<Prefix> routes;
};

Result<void> load_networks(const std::string& dir, std::vector<Network>& into) {
  TRY(os::make_dirs(dir, 0700));
  for (const os::DirEntry& item : TRY(os::list_dir(dir))) {
    if (!item.name.ends_with(".json")) continue;
    auto text = os::read_file(dir + "/" + item.name);
    auto network = text ? parse_network(*text) : Result<Network>(std::unexpected(text.error()));
    if (network) into.push_back(std::move(*network));
    else
      log::error("network", "a network's record cannot be read and is left out",
                 {{"file", dir + "/" + item.name}, {"error", network.error()}});
  }
  return {};
}

// A record without its namespace is of a run that was lost; what else there is of it goes with the strays.
Result<void> load_sandboxes(const std::string& dir, const Kernel& kernel, std::vector<Sandbox>& into) {
  for (const os::DirEntry& item : TRY(os::list_dir(dir))) {
    std::string path = dir + "/" + item.name;
    auto text = os::read_file(path);
    auto box = text ? parse_sandbox(*text) : Result<Sandbox>(std::unexpected(text.error()));
    if (box && kernel.is_whole(box->id)) into.push_back(std::move(*box));
    else TRY(os::remove_file(path));
  }
  return {};
}
}  // namespace

Result<void> Networks::Impl::add_predefined(const std::vector<Prefix>& taken) {
  auto has = [&](std::string_view name) {
    return std::ranges::any_of(networks, [&](const auto& item) { return item.second.network.info.name == name; });
  };
  std::vector<const Network*> others;
  for (const auto& [id, known] : networks) others.push_back(&known.network);
  for (const auto& [name, driver] : {std::pair("bridge", "bridge"), {"host", "host"}, {"none", "null"}}) {
    if (has(name)) continue;
    Network network;
    if (name == std::string_view("bridge")) {
      network = TRY(plan_network({.name = "estiba-default",
                                  .options = {{"com.docker.network.bridge.default_bridge", "true"},
                                              {"com.docker.network.bridge.enable_icc", "true"},
                                              {"com.docker.network.bridge.enable_ip_masquerade", "true"},
                                              {"com.docker.network.bridge.host_binding_ipv4", "0.0.0.0"},
                                              {"com.docker.network.bridge.name", options.bridge}}},
                                 others, taken));
    } else {
      network.info.id = hex_encode(random_bytes(32));
      network.info.driver = driver;
      network.info.enable_ipv4 = false;
    }
    network.info.name = name;
    network.info.created = executor.wall_now();
    TRY(os::write_file_atomic(network_path(network.info.id), network_text(network), 0600));
    networks[network.info.id].network = std::move(network);
  }
  return {};
}

std::vector<Prefix> Networks::Impl::avoided(std::vector<Prefix> routes) const {
  for (const std::string& text : options.avoid)
    if (auto prefix = Prefix::parse(text)) routes.push_back(*prefix);
  return routes;
}

Task<Result<void>> Networks::Impl::start() {
  // By value: the worker goes on even when this task is dropped.
  Loaded loaded = CO_TRY_AS("start the containers' networks", co_await worker.run([this]() -> Result<Loaded> {
    Loaded found;
    TRY(os::make_dirs(options.run_dir, 0711));
    TRY(kernel.start());
    filter = TRY(os::netlink::Socket::open(NETLINK_NETFILTER));
    TRY(load_networks(options.data_dir + "/docker/networks", found.networks));
    TRY(load_sandboxes(options.run_dir + "/docker/sandboxes", kernel, found.sandboxes));
    found.routes = TRY(kernel.host_routes());
    return found;
  }));
  for (Network& network : loaded.networks) networks[network.info.id].network = std::move(network);
  CO_TRY_AS("the predefined networks", add_predefined(avoided(std::move(loaded.routes))));
  for (Sandbox& box : loaded.sandboxes) {
    for (const Endpoint& endpoint : box.endpoints) take_again(endpoint);
    std::string id = box.container_id;
    sandboxes.insert_or_assign(id, std::move(box));
  }
  std::vector<std::string> ids, veths;
  for (const auto& [container, box] : sandboxes) {
    ids.push_back(box.id);
    for (const Endpoint& endpoint : box.endpoints) veths.push_back(endpoint.veth);
  }
  std::vector<Network> all;
  for (const auto& [id, known] : networks) all.push_back(known.network);
  CO_TRY(co_await worker.run([this, ids, veths, all, bridges = bridges(), ports = all_ports(), names = bridge_names()]() -> Result<void> {
    for (const Network& network : all) {
      if (!network.is_bridge()) continue;
      auto made = kernel.put_bridge(network);
      if (!made && network.info.predefined()) return within("the network bridge", std::move(made));
      if (!made) log::error("network", "a network's bridge cannot be made", {{"network", network.info.name}, {"error", made.error()}});
    }
    TRY(kernel.remove_strays(ids, veths, names));
    return Filter::replace(filter, bridges, ports);
  }));
  resolver = std::make_unique<Resolver>(options.resolv_conf);
  started = true;
  maintenance = Job(maintain());
  mending = Job(mend_filter());
  work.set();
  log::info("network", "containers' networks are up", {{"networks", networks.size()}, {"containers", sandboxes.size()}});
  co_return {};
}

Task<Result<void>> Networks::Impl::stop() {
  if (!started) co_return {};
  started = false;
  maintenance.cancel();
  mending.cancel();
  co_await sweep();
  resolver.reset();
  bool empty = sandboxes.empty();
  co_return co_await worker.run([this, empty, names = bridge_names()]() -> Result<void> {
    kernel.drop_pool();
    if (!empty) return {};
    TRY(Filter::remove(filter));
    for (const std::string& name : names) TRY(kernel.remove_bridge(name));
    for (const char* dir : {"/docker/netns", "/docker/sandboxes"}) TRY(os::remove_dir(options.run_dir + dir));
    (void)os::remove_dir(options.run_dir + "/docker");  // others may have something there
    return {};
  });
}

// --- networks --------------------------------------------------------------------------------------------------------

std::vector<Filter::Bridge> Networks::Impl::bridges() const {
  std::vector<Filter::Bridge> bridges;
  for (const auto& [id, known] : networks) {
    const Network& network = known.network;
    if (!network.is_bridge()) continue;
    Filter::Bridge bridge{.link = network.info.link,
                          .internal = network.info.internal,
                          .masquerade = network.masquerade,
                          .icc = network.icc,
                          .protect = network.protect};
    for (const auto* side : {&network.v4, &network.v6})
      if (*side) bridge.subnets.push_back((*side)->subnet);
    bridges.push_back(std::move(bridge));
  }
  return bridges;
}

std::vector<std::string> Networks::Impl::bridge_names() const {
  std::vector<std::string> names;
  for (const auto& [id, known] : networks)
    if (known.network.is_bridge()) names.push_back(known.network.info.link);
  return names;
}

Result<Networks::Impl::Known*> Networks::Impl::find(std::string_view name_or_id) {
  if (auto exact = networks.find(name_or_id); exact != networks.end()) return &exact->second;
  std::vector<Known*> matches;
  for (auto& [id, known] : networks) {
    if (known.network.info.name == name_or_id || (name_or_id == "default" && known.network.info.name == "bridge")) return &known;
    if (!name_or_id.empty() && id.starts_with(name_or_id)) matches.push_back(&known);
  }
  if (matches.empty()) return fail(Code::not_found, "network " + std::string(name_or_id) + " not found");
  if (matches.size() > 1)
    return fail(Code::invalid,
                "network " + std::string(name_or_id) + " is ambiguous (" + std::to_string(matches.size()) + " matches found on ID prefix)");
  return matches[0];
}

NetworkInfo Networks::Impl::describe(const Known& known) const {
  NetworkInfo info = known.network.info;
  auto text = [](const std::optional<Address>& address, const std::optional<Side>& side) {
    return address && side ? address->text() + "/" + std::to_string(side->subnet.length) : std::string();
  };
  for (const auto& [container, box] : sandboxes)
    for (const Endpoint& endpoint : box.endpoints)
      if (endpoint.network_id == info.id)
        info.containers.push_back({.container_id = container,
                                   .container_name = box.container_name,
                                   .endpoint_id = endpoint.id,
                                   .mac = mac_text(endpoint.mac),
                                   .ipv4 = text(endpoint.v4, known.network.v4),
                                   .ipv6 = text(endpoint.v6, known.network.v6)});
  return info;
}

Task<Result<NetworkInfo>> Networks::Impl::create(NetworkSpec spec) {
  auto routes = avoided(CO_TRY(co_await worker.run([this] { return kernel.host_routes(); })));
  std::vector<const Network*> others;
  for (const auto& [id, known] : networks) others.push_back(&known.network);
  Network network = CO_TRY(plan_network(std::move(spec), others, routes));
  network.info.created = executor.wall_now();
  std::string id = network.info.id;
  networks[id].network = network;
  auto made = co_await worker.run([this, network, bridges = bridges(), ports = all_ports()]() -> Result<void> {
    TRY(os::write_file_atomic(network_path(network.info.id), network_text(network), 0600));
    TRY(kernel.put_bridge(network));
    return Filter::replace(filter, bridges, ports);
  });
  if (made) co_return describe(networks[id]);
  networks.erase(id);
  co_await worker.run([this, network, conflict = made.error().code == Code::conflict, bridges = bridges(), ports = all_ports()] {
    (void)os::remove_file(network_path(network.info.id));
    if (!conflict) (void)kernel.remove_bridge(network.info.link);
    (void)Filter::replace(filter, bridges, ports);
    return true;
  });
  co_return within("create the network " + network.info.name, Result<NetworkInfo>(std::unexpected(std::move(made.error()))));
}

Task<Result<void>> Networks::Impl::remove(std::string name) {
  const Known& known = *CO_TRY(find(name));
  NetworkInfo info = describe(known);
  if (info.predefined()) co_return fail(Code::forbidden, info.name + " is a pre-defined network and cannot be removed");
  if (!info.containers.empty()) {
    std::string users;
    for (const AttachedContainer& user : info.containers)
      users += (users.empty() ? "" : ", ") + std::string("name:") + quoted(user.container_name) +
               " id:" + quoted(user.endpoint_id.substr(0, 12));
    co_return fail(Code::forbidden,
                   "error while removing network: network " + info.name + " id " + info.id + " has active endpoints (" + users + ")");
  }
  co_await sweep();  // what is left of containers that have gone lies on its bridge
  networks.erase(info.id);
  co_return within("remove the network " + info.name,
                   co_await worker.run([this, info, bridges = bridges(), ports = all_ports()]() -> Result<void> {
                     TRY(os::remove_file(network_path(info.id)));
                     TRY(os::sync_dir(options.data_dir + "/docker/networks"));
                     TRY(kernel.remove_bridge(info.link));
                     return Filter::replace(filter, bridges, ports);
                   }));
}

// --- the door --------------------------------------------------------------------------------------------------------

Task<Result<void>> Networks::start() { return impl_->turns.run(impl_->start()); }
Task<Result<void>> Networks::stop() { return impl_->turns.run(impl_->stop()); }
Task<Result<void>> Networks::recover(std::vector<std::string> running) { return impl_->turns.run(impl_->recover(std::move(running))); }
Task<Result<NetworkInfo>> Networks::create(NetworkSpec spec) { return impl_->turns.run(impl_->create(std::move(spec))); }
Task<Result<void>> Networks::remove(std::string name) { return impl_->turns.run(impl_->remove(std::move(name))); }
Task<Result<SandboxInfo>> Networks::attach(SandboxSpec spec) { return impl_->turns.run(impl_->attach(std::move(spec))); }
Task<Result<EndpointInfo>> Networks::connect(std::string container_id, EndpointSpec endpoint) {
  return impl_->turns.run(impl_->connect(std::move(container_id), std::move(endpoint)));
}
Task<Result<void>> Networks::disconnect(std::string container_id, std::string network) {
  return impl_->turns.run(impl_->disconnect(std::move(container_id), std::move(network)));
}
Task<Result<void>> Networks::release(std::string container_id) { return impl_->turns.run(impl_->release(std::move(container_id))); }
Task<Result<void>> Networks::rename(std::string container_id, std::string name) {
  return impl_->turns.run(impl_->rename(std::move(container_id), std::move(name)));
}

std::vector<NetworkInfo> Networks::list() const {
  std::vector<NetworkInfo> all;
  for (const auto& [id, known] : impl_->networks) all.push_back(impl_->describe(known));
  return all;
}
Result<NetworkInfo> Networks::find(std::string_view name_or_id) const { return impl_->describe(*TRY(impl_->find(name_or_id))); }

std::optional<SandboxInfo> Networks::sandbox(std::string_view container_id) const {
  auto found = impl_->sandboxes.find(container_id);
  return found == impl_->sandboxes.end() ? std::nullopt : std::optional(impl_->describe(found->second));
}

}  // namespace estiba::network::bridge
