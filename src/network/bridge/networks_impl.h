// The inside of Networks: what is known on the executor's thread, and what belongs to the worker's. Internal to bridge/.
#pragma once
#include <map>
#include <set>

#include "base/turns.h"
#include "network/bridge/filter.h"
#include "network/bridge/kernel.h"
#include "network/bridge/networks.h"
#include "network/bridge/ports.h"
#include "network/bridge/record.h"
#include "network/bridge/resolver.h"
#include "network/worker.h"

namespace estiba::network::bridge {

struct Built {
  Sandbox box;
  NameSockets names;
};

struct Networks::Impl {
  struct Known {
    Network network;
    Addresses v4, v6;
  };
  // Of a container that has ended: what sweep() takes away, and gives back then.
  struct Dead {
    std::string sandbox_id;
    std::vector<Endpoint> endpoints;
  };
  // Where a container's published ports lead.
  struct Targets {
    std::optional<Address> v4, v6;
    std::string host_ip;      // the network's own choice of where to publish
    std::string endpoint_id;  // for messages
  };

  Impl(Options options, Executor& executor);

  // Networks (networks.cpp).
  Task<Result<void>> start();
  Task<Result<void>> stop();
  Task<Result<NetworkInfo>> create(NetworkSpec spec);
  Task<Result<void>> remove(std::string name);
  Result<Known*> find(std::string_view name_or_id);
  NetworkInfo describe(const Known& known) const;
  Result<void> add_predefined(const std::vector<Prefix>& taken);
  std::vector<Filter::Bridge> bridges() const;
  std::vector<Prefix> avoided(std::vector<Prefix> routes) const;
  std::vector<std::string> bridge_names() const;
  std::string network_path(const std::string& id) const { return options.data_dir + "/docker/networks/" + id + ".json"; }

  // Containers (sandboxes.cpp).
  Task<Result<void>> recover(std::vector<std::string> running);
  Task<Result<SandboxInfo>> attach(SandboxSpec spec);
  Task<Result<EndpointInfo>> connect(std::string container_id, EndpointSpec spec);
  Task<Result<void>> disconnect(std::string container_id, std::string network);
  Task<Result<void>> release(std::string container_id);
  Task<Result<void>> rename(std::string container_id, std::string name);
  Result<Sandbox> plan(const SandboxSpec& spec);
  Result<Endpoint> plan_endpoint(const EndpointSpec& spec, const std::vector<Endpoint>& others);
  Wire wire_of(const Endpoint& endpoint) const;
  DefaultRoute route_of(const Sandbox& box) const;
  Targets targets_of(const Sandbox& box) const;
  const Endpoint* way_out(const Sandbox& box, bool v6) const;
  std::vector<Filter::Port> filter_ports(const Sandbox& box) const;
  std::vector<Filter::Port> all_ports() const;
  void give_back(const Endpoint& endpoint);
  void take_again(const Endpoint& endpoint);
  void publish_names(const Sandbox& box);
  void update_names(const std::string& network_id);
  bool asks_names(const Endpoint& endpoint) const;
  EndpointInfo describe(const Sandbox& box, const Endpoint& endpoint) const;
  SandboxInfo describe(const Sandbox& box) const;
  std::vector<std::string> names_of(const Sandbox& box, const Endpoint& endpoint) const;
  Task<void> sweep();
  Task<void> maintain();
  Task<void> quiet(Duration still, Duration at_most);
  Task<void> mend_filter();
  static Task<bool> swept(Impl* self);
  static Task<bool> mended(Impl* self);

  // On the worker's thread (build.cpp).
  Result<Built> build(Sandbox box, std::vector<Wire> wires, DefaultRoute route, Targets targets);
  Result<void> fill(Kernel::Slot& slot, Sandbox& box, const std::vector<Wire>& wires, const DefaultRoute& route, const Targets& targets);
  Result<void> bind_ports(Sandbox& box, const Targets& targets);
  Result<void> move_ports(Sandbox& box, const Targets& before, const Targets& after);
  void free_ports(const Sandbox& box, const std::vector<Filter::Port>& led);
  Result<void> write_record(const Sandbox& box);
  std::string record_path(const std::string& sandbox_id) const {
    return options.run_dir + "/docker/sandboxes/" + sandbox_id.substr(0, 12) + ".json";
  }

  Options options;
  Executor& executor;
  std::map<std::string, Known, std::less<>> networks;     // by id
  std::map<std::string, Sandbox, std::less<>> sandboxes;  // by container
  std::vector<Dead> dead;
  std::unique_ptr<Resolver> resolver;
  Event work;  // something was attached or released: the pool wants filling, or something wants sweeping

  Kernel kernel;               // used by the worker's thread only
  os::netlink::Socket filter;  // as well
  Ports ports;                 // as well
  Worker worker;
  bool started = false;
  Job maintenance, mending;
  Turns turns;  // last: ends first
};

/// Where ports lead whose wishes are `ports`.
std::vector<Filter::Port> led_ports(const std::vector<BoundPort>& ports, const Networks::Impl::Targets& targets);

}  // namespace estiba::network::bridge
