#include "server/node_runner.h"

#include "base/log.h"
#include "base/strings.h"
#include "cli/version.h"
#include "cri/server.h"
#include "docker/daemon.h"
#include "engine/engine.h"
#include "network/network.h"
#include "node/api.h"
#include "node/csi/volumes.h"
#include "node/devices/devices.h"
#include "node/dra/device_claims.h"
#include "node/node.h"
#include "node/plugins/registry.h"
#include "node/pod_resources_api.h"
#include "os/cgroup.h"
#include "os/file.h"
#include "server/serving_label.h"

namespace estiba::server {

struct NodeRunner::State {
  NodeSettings settings;
  io::TlsContextRef tls;
  io::Loop& loop;
  io::Pool& pool;
  std::function<void(const std::string&)> on_address;

  std::unique_ptr<client::Client> client;
  std::unique_ptr<engine::Engine> engine;
  std::unique_ptr<network::Network> network;
  std::unique_ptr<ingress::Ingress> ingress;
  std::unique_ptr<node::Placement> placement;
  std::unique_ptr<node::Devices> devices;
  std::unique_ptr<node::DeviceClaims> claims;
  std::unique_ptr<node::PodResourcesApi> pod_resources;
  std::unique_ptr<node::Node> node;
  std::unique_ptr<node::PluginRegistry> plugins;
  std::unique_ptr<node::NodeApi> api;
  std::unique_ptr<docker::Daemon> docker;
  std::unique_ptr<cri::Server> cri;
  Job labelling;  // last: ends first

  // A group of our own for another data directory, so that servers side by side do not touch each other's.
  std::string cgroup_root() const {
    if (settings.data_dir == "/var/lib/estiba") return "/estiba";
    const uint32_t hash = fnv1a32(settings.data_dir + "|" + settings.node_name);
    return "/estiba-" + hex_encode({reinterpret_cast<const char*>(&hash), 4});
  }
  network::Options network_options() const;
  node::Options node_options() const;
  Result<void> start_placement();
  void start_devices();
  void load_claims();
  void start_pod_resources();
  void start_plugins();
  Task<Result<void>> start_docker();
  Task<Result<void>> start_cri();
};

NodeRunner::NodeRunner(NodeSettings settings, std::unique_ptr<client::Client> client, io::TlsContextRef tls, io::Loop& loop, io::Pool& pool)
    : state_(new State{.settings = std::move(settings), .tls = std::move(tls), .loop = loop, .pool = pool, .client = std::move(client)}) {}
NodeRunner::~NodeRunner() = default;

client::Client& NodeRunner::client() { return *state_->client; }
NodeSettings& NodeRunner::settings() { return state_->settings; }
void NodeRunner::on_address(std::function<void(const std::string&)> handler) { state_->on_address = std::move(handler); }

network::Options NodeRunner::State::network_options() const {
  network::Options out;
  out.run_dir = settings.run_dir;
  out.data_dir = settings.data_dir;
  out.pod_cidr = settings.pod_cidr;
  out.cluster_cidr = settings.cluster_cidr;
  out.service_cidr = settings.service_cidr;
  out.cluster_domain = settings.cluster_domain;
  out.node_name = settings.node_name;
  out.cni_configurations = settings.cni_conf_dir;
  out.cni_plugins = settings.cni_plugins;
  return out;
}

node::Options NodeRunner::State::node_options() const {
  node::Options out;
  out.node_name = settings.node_name;
  for (std::string_view ip : split(settings.address, ',')) out.node_ips.emplace_back(ip);
  out.data_dir = settings.data_dir;
  out.run_dir = settings.run_dir;
  out.kubelet_dir = settings.kubelet_dir;
  out.cgroup_root = cgroup_root();
  out.cluster_domain = settings.cluster_domain;
  out.pod_cidr = settings.pod_cidr;
  out.api_port = settings.api_port;
  out.labels = settings.labels;
  if (settings.ingress) out.labels[std::string(ingress::serving_label)] = "true";
  out.taints = settings.taints;
  out.lease = settings.lease;
  out.find_address = settings.find_address;
  out.reads_all = settings.reads_all;
  out.max_pods = settings.max_pods;
  out.pod_max_pids = settings.pod_max_pids;
  out.limited_swap = settings.limited_swap;
  out.system_reserved = settings.system_reserved;
  out.kube_reserved = settings.kube_reserved;
  out.housekeeping = settings.housekeeping;
  out.user_ids_per_pod = uint32_t(settings.user_ids_per_pod);
  return out;
}

Task<Result<void>> NodeRunner::start() {
  State& s = *state_;
  s.engine = CO_TRY(engine::make_engine(
      {.data_dir = s.settings.data_dir, .run_dir = s.settings.run_dir, .oci_program = {}, .cdi_spec_dirs = s.settings.cdi_spec_dirs},
      s.loop, s.pool));
  s.network = std::make_unique<network::Network>(s.network_options(), *s.client, s.loop);
  CO_TRY_AS("network", co_await s.network->start());
  if (s.settings.ingress) {
    s.ingress = std::make_unique<ingress::Ingress>(*s.settings.ingress, *s.client);
    s.ingress->start();
  }
  s.node = std::make_unique<node::Node>(s.node_options(), s.loop, *s.client, *s.engine, *s.network, s.pool);
  CO_TRY(s.start_placement());
  s.start_devices();
  s.load_claims();
  s.node->on_address([state = &s] {
    if (state->on_address) state->on_address(join(state->node->context().options.node_ips, ","));
  });
  s.api = std::make_unique<node::NodeApi>(*s.node, s.loop);
  CO_TRY_AS("the node's API", s.api->listen("", s.settings.api_port, s.tls));
  CO_TRY(co_await s.node->start());
  s.start_plugins();  // there is a Node now, of which they may say things
  s.start_pod_resources();
  s.labelling = Job(keep_serving_label(*s.client, s.settings.node_name, s.settings.ingress.has_value()));
  if (!s.settings.cri_socket.empty()) CO_TRY_AS("--cri-socket " + s.settings.cri_socket, co_await s.start_cri());
  if (s.settings.docker_socket.empty()) co_return {};
  co_return within("--docker-socket " + s.settings.docker_socket, co_await s.start_docker());
}

// Without any policy it is nobody's business, unless an earlier one has left what must be told of.
Result<void> NodeRunner::State::start_placement() {
  const std::string file = settings.data_dir + "/placement.json";
  if (!settings.placement.any() && !os::exists(file)) return {};
  placement = TRY(node::Placement::open(settings.placement, file));
  node->use(*placement);
  return {};
}

// Who asks what pods have been given does without, as with plugins.
void NodeRunner::State::start_pod_resources() {
  if (settings.kubelet_dir.empty()) return;
  pod_resources = std::make_unique<node::PodResourcesApi>(*node, loop);
  if (auto listening = pod_resources->listen(settings.kubelet_dir + "/pod-resources"); !listening)
    log::warn("node", "the API of pods' resources is not served", {{"flag", "--kubelet-dir"}, {"error", listening.error()}});
}

// A node is a node without device plugins.
void NodeRunner::State::start_devices() {
  if (settings.device_plugin_dir.empty()) return;
  devices = std::make_unique<node::Devices>(settings.device_plugin_dir, settings.data_dir + "/devices.json", loop);
  node->use(*devices);
  if (auto started = devices->start(); !started)
    log::warn("node", "device plugins are not served", {{"flag", "--device-plugin-dir"}, {"error", started.error()}});
}

// Before the node looks at any pod: those of an earlier run have devices that they are to keep, or to give back.
void NodeRunner::State::load_claims() {
  if (settings.kubelet_dir.empty()) return;
  claims = std::make_unique<node::DeviceClaims>(settings.data_dir + "/claims.json", settings.node_name, *client, loop);
  node->use(*claims);
  if (auto loaded = claims->load(); !loaded)
    log::warn("node", "which devices pods have by claims is not known any more", {{"error", loaded.error()}});
}

// Nor does it need drivers.
void NodeRunner::State::start_plugins() {
  if (settings.kubelet_dir.empty()) return;
  plugins = std::make_unique<node::PluginRegistry>(settings.kubelet_dir + "/plugins_registry", pool);
  if (devices) plugins->serve(node::device_plugin_type, devices->registry_handler());
  if (node->csi()) plugins->serve(node::csi_plugin_type, node->csi()->drivers().registry_handler());
  claims->start();
  plugins->serve(node::dra_plugin_type, claims->registry_handler());
  if (auto started = plugins->start(); !started)
    log::warn("node", "plugins are not served", {{"flag", "--kubelet-dir"}, {"error", started.error()}});
}

Task<Result<void>> NodeRunner::State::start_docker() {
  docker::DaemonOptions options;
  options.data_dir = settings.data_dir;
  options.run_dir = settings.run_dir;
  options.docker_socket = settings.docker_socket;
  options.cdi_spec_dirs = settings.cdi_spec_dirs;
  for (const std::string& ranges : {settings.cluster_cidr, settings.service_cidr})
    for (std::string_view range : split(ranges, ',')) options.avoid_subnets.emplace_back(range);
  docker = std::make_unique<docker::Daemon>(std::move(options), loop, engine.get());
  return docker->start();
}

Task<Result<void>> NodeRunner::State::start_cri() {
  cri::Options options;
  options.data_dir = settings.data_dir;
  options.run_dir = settings.run_dir;
  options.socket = settings.cri_socket;
  options.version = cli::program_version();
  options.cgroup_root = cgroup_root() + "/cri";
  cri = std::make_unique<cri::Server>(std::move(options), loop, cri::Parts{loop, *engine, *network, pool});
  return cri->start();
}

Task<void> NodeRunner::stop() {
  State& s = *state_;
  s.labelling.cancel();
  if (s.ingress) co_await s.ingress->stop();
  s.ingress.reset();
  if (s.docker) co_await s.docker->stop();
  s.docker.reset();
  if (s.cri) co_await s.cri->stop();
  s.cri.reset();
  if (s.api) co_await s.api->stop();
  // Pods that are being deleted are let go of whole; the others go on without us.
  if (s.node) co_await s.node->settle(std::chrono::seconds(5));
  const bool empty = s.engine && s.engine->sandboxes().empty();
  s.api.reset();
  if (s.pod_resources) co_await s.pod_resources->stop();
  s.pod_resources.reset();
  s.plugins.reset();
  if (s.claims) s.claims->stop();
  if (s.devices) co_await s.devices->stop();
  s.node.reset();
  s.claims.reset();
  s.devices.reset();
  s.placement.reset();
  if (s.network)
    if (auto stopped = co_await s.network->stop(); !stopped) log::warn("node", "network not stopped cleanly", {{"error", stopped.error()}});
  s.network.reset();
  s.engine.reset();
  s.client.reset();
  if (auto group = os::Cgroup::at(s.cgroup_root()); empty && group)
    if (auto removed = group->remove(); !removed) log::warn("node", "control group not removed", {{"error", removed.error()}});
}

}  // namespace estiba::server
