#include "server/server.h"

#include <thread>

#include "apiserver/server.h"
#include "base/log.h"
#include "base/strings.h"
#include "cli/version.h"
#include "cri/server.h"
#include "docker/daemon.h"
#include "engine/engine.h"
#include "ingress/ingress.h"
#include "io/thread.h"
#include "network/network.h"
#include "node/api.h"
#include "node/node.h"
#include "os/cgroup.h"
#include "os/file.h"
#include "server/address.h"
#include "server/authentication.h"
#include "server/certificates.h"
#include "server/control.h"
#include "server/extension_api.h"
#include "server/local_client.h"
#include "server/node_proxy.h"

namespace estiba::server {

namespace {

// The node and all it works with; lives on the node's thread.
struct NodeParts {
  std::unique_ptr<client::Client> client;
  std::unique_ptr<engine::Engine> engine;
  std::unique_ptr<network::Network> network;
  std::unique_ptr<ingress::Ingress> ingress;
  std::unique_ptr<node::Node> node;
  std::unique_ptr<node::NodeApi> api;
  std::unique_ptr<docker::Daemon> docker;
  std::unique_ptr<cri::Server> cri;
};

// A group of our own for another data directory, so that servers side by side do not touch each other's.
std::string cgroup_root(const Options& options) {
  if (options.data_dir == "/var/lib/estiba") return "/estiba";
  const uint32_t hash = fnv1a32(options.data_dir + "|" + options.node_name);
  return "/estiba-" + hex_encode({reinterpret_cast<const char*>(&hash), 4});
}

// Where the API is reached from this machine.
std::string own_host(const Options& options) {
  const std::string& host = options.listen_host;
  return host == "0.0.0.0" || host == "::" || host.empty() ? "127.0.0.1" : host;
}

ingress::Options ingress_options(const Options& options) {
  ingress::Options made{.http_port = uint16_t(options.ingress_http_port), .https_port = uint16_t(options.ingress_https_port)};
  made.listeners.threads = std::clamp(std::thread::hardware_concurrency(), 1u, 8u);
  return made;
}

}  // namespace

struct Server::State {
  Options options;
  Certificates certificates;
  Datastore store;
  std::unique_ptr<HttpsNodeProxy> node_proxy;
  std::vector<std::unique_ptr<io::LoopThread>> api_threads;
  std::unique_ptr<apiserver::ApiServer> api;
  std::unique_ptr<io::LoopThread> node_thread;
  std::unique_ptr<Control> control;
  std::unique_ptr<io::Pool> pool;
  NodeParts node;

  Result<void> open_store();
  Task<Result<void>> start_api();
  Result<std::unique_ptr<OwnExtensionApi>> extension_api() const;
  Task<Result<void>> start_node();
  static Task<Result<void>> make_node(State* self);
  static Task<int> end_node(State* self);
};

Server::Server(Options options) : state_(std::make_unique<State>()) { state_->options = std::move(options); }
Server::~Server() = default;

Result<void> Server::State::open_store() {
  TRY(os::make_dirs(options.data_dir, 0711));
  store = TRY(open_datastore(options.datastore, options.data_dir));
  TRY(os::make_dirs(options.run_dir, 0711));
  if (options.advertise_address.empty()) options.advertise_address = own_address();
  const std::string first = TRY_AS("--service-cidr " + options.service_cidr, nth_address(options.service_cidr, 1));
  certificates = TRY_AS("certificates", prepare_certificates(options.pki_dir(), server_names(options, first), options.node_name,
                                                             std::chrono::system_clock::now()));
  return {};
}

Task<Result<void>> Server::State::start_api() {
  node_proxy = CO_TRY(HttpsNodeProxy::make(certificates));
  const unsigned loops = std::clamp(std::thread::hardware_concurrency(), 1u, 16u);
  std::vector<io::Loop*> pointers;
  for (unsigned i = 0; i < loops; ++i)
    pointers.push_back(&api_threads.emplace_back(std::make_unique<io::LoopThread>("api-" + std::to_string(i)))->loop());
  apiserver::ServerOptions made;
  made.cluster = {.service_cidr = options.service_cidr,
                  .cluster_domain = options.cluster_domain,
                  .advertise_address = options.advertise_address,
                  .port = options.listen_port};
  made.listen_host = options.listen_host == "0.0.0.0" ? "" : options.listen_host;
  made.listen_port = options.listen_port;
  made.certificate_pem = certificates.server.certificate_pem;
  made.key_pem = certificates.server.key_pem;
  made.client_ca_pem = certificates.ca.certificate_pem;
  made.authn = CO_TRY(authentication_options(options, certificates));
  made.front_proxy = {certificates.front_proxy_client.certificate_pem, certificates.front_proxy_client.key_pem,
                      certificates.front_proxy_ca.certificate_pem};
  made.node_proxy = node_proxy.get();
  made.request_timeout = options.request_limit;
  made.freshness = store.freshness;
  api = CO_TRY(apiserver::ApiServer::make(*store.store, std::move(pointers), made));
  // /readyz waits for the Docker API and the CRI, where they are.
  api->api().hold_ready(options.node && !(options.docker_socket.empty() && options.cri_socket.empty()));
  CO_TRY(api->listen());
  // The kubeconfig is there before /readyz says so.
  CO_TRY(write_kubeconfig(options.write_kubeconfig, certificates, own_host(options), api->port()));
  co_return co_await api->api().bootstrap();
}

Result<std::unique_ptr<OwnExtensionApi>> Server::State::extension_api() const {
  io::TlsClientOptions tls;
  tls.ca_pem = certificates.ca.certificate_pem;
  tls.certificate_pem = certificates.admin.certificate_pem;
  tls.key_pem = certificates.admin.key_pem;
  return std::make_unique<OwnExtensionApi>("https://" + own_host(options) + ":" + std::to_string(api->port()),
                                           TRY(io::make_tls_client(tls)));
}

Task<Result<void>> Server::State::start_node() {
  pool = std::make_unique<io::Pool>(8);
  node_thread = std::make_unique<io::LoopThread>("node");
  auto made = co_await io::run_on<Result<void>>(node_thread->loop(), [this] { return make_node(this); });
  if (!made) co_return fail(Code::internal, "the node's thread ended");
  co_return std::move(*made);
}

Task<Result<void>> Server::State::make_node(State* self) {
  const Options& options = self->options;
  NodeParts& parts = self->node;
  io::Loop& loop = self->node_thread->loop();
  parts.client = make_local_client(self->api->api(), "system:node:" + options.node_name);
  parts.engine =
      CO_TRY(engine::make_engine({.data_dir = options.data_dir, .run_dir = options.run_dir, .oci_program = {}}, loop, *self->pool));
  const std::string range = CO_TRY(first_node_range(options.pod_cidr));
  network::Options net;
  net.run_dir = options.run_dir;
  net.data_dir = options.data_dir;
  net.pod_cidr = range;
  net.cluster_cidr = options.pod_cidr;
  net.service_cidr = options.service_cidr;
  net.cluster_domain = options.cluster_domain;
  net.node_name = options.node_name;
  parts.network = std::make_unique<network::Network>(net, *parts.client, loop);
  CO_TRY_AS("network", co_await parts.network->start());
  parts.ingress = std::make_unique<ingress::Ingress>(ingress_options(options), *parts.client);
  parts.ingress->start();
  node::Options made;
  made.node_name = options.node_name;
  made.node_ips = {options.advertise_address};
  made.data_dir = options.data_dir;
  made.run_dir = options.run_dir;
  made.cgroup_root = cgroup_root(options);
  made.cluster_domain = options.cluster_domain;
  made.pod_cidr = range;
  made.api_port = uint16_t(options.node_port);
  parts.node = std::make_unique<node::Node>(std::move(made), loop, *parts.client, *parts.engine, *parts.network, *self->pool);
  parts.api = std::make_unique<node::NodeApi>(*parts.node, loop);
  auto tls = CO_TRY(io::make_tls_server({.certificate_pem = self->certificates.node.certificate_pem,
                                         .key_pem = self->certificates.node.key_pem,
                                         .client_ca_pem = self->certificates.ca.certificate_pem,
                                         .alpn = {"http/1.1"}}));
  CO_TRY_AS("the node's API", parts.api->listen("", uint16_t(options.node_port), std::move(tls)));
  CO_TRY(co_await parts.node->start());
  if (!options.cri_socket.empty()) {
    cri::Options cri;
    cri.data_dir = options.data_dir;
    cri.run_dir = options.run_dir;
    cri.socket = options.cri_socket;
    cri.version = cli::program_version();
    cri.cgroup_root = cgroup_root(options) + "/cri";
    parts.cri = std::make_unique<cri::Server>(std::move(cri), loop, cri::Parts{loop, *parts.engine, *parts.network, *self->pool});
    CO_TRY_AS("--cri-socket " + options.cri_socket, co_await parts.cri->start());
  }
  if (options.docker_socket.empty()) co_return {};
  docker::DaemonOptions docker;
  docker.data_dir = options.data_dir;
  docker.run_dir = options.run_dir;
  docker.docker_socket = options.docker_socket;
  docker.avoid_subnets = {options.pod_cidr, options.service_cidr};
  parts.docker = std::make_unique<docker::Daemon>(std::move(docker), loop, parts.engine.get());
  co_return within("--docker-socket " + options.docker_socket, co_await parts.docker->start());
}

Task<int> Server::State::end_node(State* self) {
  NodeParts& parts = self->node;
  if (parts.ingress) co_await parts.ingress->stop();
  parts.ingress.reset();
  if (parts.docker) co_await parts.docker->stop();
  parts.docker.reset();
  if (parts.cri) co_await parts.cri->stop();
  parts.cri.reset();
  if (parts.api) co_await parts.api->stop();
  // Pods that are being deleted are let go of whole; the others go on without us.
  if (parts.node) co_await parts.node->settle(std::chrono::seconds(5));
  const bool empty = parts.engine && parts.engine->sandboxes().empty();
  parts.api.reset();
  parts.node.reset();
  if (parts.network)
    if (auto stopped = co_await parts.network->stop(); !stopped)
      log::warn("server", "network not stopped cleanly", {{"error", stopped.error()}});
  parts.network.reset();
  parts.engine.reset();
  parts.client.reset();
  if (auto group = os::Cgroup::at(cgroup_root(self->options)); empty && group)
    if (auto removed = group->remove(); !removed) log::warn("server", "control group not removed", {{"error", removed.error()}});
  co_return 0;
}

Task<Result<void>> Server::start() {
  State& s = *state_;
  for (const auto& [flag, socket] : {std::pair("--docker-socket", &s.options.docker_socket), {"--cri-socket", &s.options.cri_socket}})
    if (!s.options.node && !socket->empty())
      co_return fail(Code::invalid, std::string(flag) + " needs a node in this process: leave --node=false out, or run `estiba engine`");
  CO_TRY(s.open_store());
  CO_TRY(co_await s.start_api());
  auto extensions = CO_TRY(s.extension_api());
  s.control = std::make_unique<Control>(
      s.api->api(), ControlOptions{.ca = s.certificates.ca,
                                   .extensions = std::move(extensions),
                                   .elect = s.store.freshness != nullptr,
                                   .ingress_ports = {uint16_t(s.options.ingress_http_port), uint16_t(s.options.ingress_https_port)},
                                   .identity = s.options.node_name});
  s.control->start();
  log::info("server", "the API answers", {{"address", s.options.listen}, {"kubeconfig", s.options.write_kubeconfig}});
  if (s.options.node) CO_TRY_AS("node " + s.options.node_name, co_await s.start_node());
  s.api->api().hold_ready(false);
  co_return {};
}

Task<void> Server::stop() {
  State& s = *state_;
  if (s.node_thread) (void)co_await io::run_on<int>(s.node_thread->loop(), [&s] { return State::end_node(&s); });
  if (s.control) co_await s.control->stop();
  s.node_thread.reset();
  s.control.reset();
  s.pool.reset();
  if (s.api && !s.api_threads.empty()) {
    io::HttpServer* http = &s.api->http();
    (void)co_await io::run_on<int>(s.api_threads[0]->loop(), [http] {
      return [](io::HttpServer* http) -> Task<int> {
        co_await http->drain(std::chrono::milliseconds(500));
        co_return 0;
      }(http);
    });
  }
  s.api_threads.clear();
  s.api.reset();
  s.store.store.reset();
}

}  // namespace estiba::server
