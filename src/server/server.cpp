#include "server/server.h"

#include <thread>

#include "apiserver/ingress_secrets.h"
#include "apiserver/server.h"
#include "apiserver/service_catalog_schemas.h"
#include "base/log.h"
#include "client/join_token.h"
#include "io/thread.h"
#include "os/file.h"
#include "server/address.h"
#include "server/authentication.h"
#include "server/broker_http.h"
#include "server/certificates.h"
#include "server/control.h"
#include "server/extension_api.h"
#include "server/local_client.h"
#include "server/memory_keeper.h"
#include "server/node_proxy.h"
#include "server/node_range.h"
#include "server/node_runner.h"
#include "server/process_metrics.h"

namespace estiba::server {

namespace {

// Where the API is reached from this machine.
std::string own_host(const Options& options) {
  const std::string& host = options.listen_host;
  return host == "0.0.0.0" || host == "::" || host.empty() ? "127.0.0.1" : host;
}

// What is none of the machine's own addresses, but may be on links of ours.
std::vector<Prefix> own_ranges(const Options& options) {
  std::vector<Prefix> out = parse_ranges(options.pod_cidr).value_or({});
  std::ranges::copy(parse_ranges(options.service_cidr).value_or({}), std::back_inserter(out));
  return out;
}

Result<scheduler::Configuration> scheduler_configuration(const std::string& file) {
  if (file.empty()) return scheduler::Configuration{};
  const std::string text = TRY_AS("--scheduler-config", os::read_file(file));
  return TRY_AS("--scheduler-config " + file, scheduler::parse_configuration(text));
}

Result<std::optional<autoscale::NodeGroups>> node_groups(const std::string& file) {
  if (file.empty()) return std::nullopt;
  const std::string text = TRY_AS("--node-groups", os::read_file(file));
  return TRY_AS("--node-groups " + file, autoscale::parse_node_groups(text));
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
  std::unique_ptr<NodeRunner> node;  // lives on the node's thread
  std::unique_ptr<MemoryKeeper> memory;

  Result<void> open_store();
  Task<Result<void>> start_api();
  Result<std::unique_ptr<OwnExtensionApi>> extension_api() const;
  Result<apiserver::ClusterInfo> cluster_info() const;
  controllers::Options controllers_options() const;
  Task<Result<void>> start_node();
  static Task<Result<void>> make_node(State* self);
  NodeSettings node_settings() const;
  static Task<int> end_node(State* self);
};

Server::Server(Options options) : state_(std::make_unique<State>()) { state_->options = std::move(options); }
Server::~Server() = default;

Result<void> Server::State::open_store() {
  TRY(os::make_dirs(options.data_dir, 0711));
  store = TRY(open_datastore(options.datastore, options.data_dir));
  TRY(os::make_dirs(options.run_dir, 0711));
  const auto services = TRY_AS("--service-cidr", parse_ranges(options.service_cidr));
  const bool v6 = services.front().address.v6;
  if (options.advertise_address.empty()) options.advertise_address = own_address(v6, own_ranges(options));
  if (options.advertise_address.empty() && !v6) options.advertise_address = "127.0.0.1";
  if (options.advertise_address.empty())
    return fail(Code::unavailable, "this machine has no " + std::string(family_name(v6)) +
                                       " address by which clients and pods could reach the server: --advertise-address names one");
  for (const Address& address : machine_addresses())
    if (options.load_balancer_pool.contains(address))
      return fail(Code::invalid, "--load-balancer-pool has " + address.text() + ", an address of this machine: leave it out");
  const std::string first = TRY_AS("--service-cidr", services.front().nth(1)).text();
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
  api->api().hold_ready(options.node && !(options.node_flags.docker_socket.empty() && options.node_flags.cri_socket.empty()));
  CO_TRY(api->listen());
  // The kubeconfig is there before /readyz says so.
  CO_TRY(write_kubeconfig(options.write_kubeconfig, certificates, own_host(options), api->port()));
  CO_TRY(co_await api->api().bootstrap());
  if (options.service_catalog) CO_TRY_AS("--service-catalog", co_await apiserver::define_service_catalog(api->api().registry()));
  co_return {};
}

Result<std::unique_ptr<OwnExtensionApi>> Server::State::extension_api() const {
  io::TlsClientOptions tls;
  tls.ca_pem = certificates.ca.certificate_pem;
  tls.certificate_pem = certificates.admin.certificate_pem;
  tls.key_pem = certificates.admin.key_pem;
  return std::make_unique<OwnExtensionApi>("https://" + own_host(options) + ":" + std::to_string(api->port()),
                                           TRY(io::make_tls_client(tls)));
}

Result<apiserver::ClusterInfo> Server::State::cluster_info() const {
  const std::string& address = options.advertise_address;
  const std::string host = address.contains(':') ? "[" + address + "]" : address;
  apiserver::ClusterInfo out;
  out.server = "https://" + host + ":" + std::to_string(api->port());
  out.ca_pem = certificates.ca.certificate_pem;
  out.settings = {{"podCIDR", options.pod_cidr}, {"serviceCIDR", options.service_cidr}, {"clusterDomain", options.cluster_domain}};
  out.settings[std::string(apiserver::ingress_on_agents)] = options.ingress_on_agents ? "true" : "false";
  if (!options.token.empty())
    out.token_secret = client::token_secret(TRY(client::parse_join_token(options.token)), "estiba server --token", "");
  return out;
}

controllers::Options Server::State::controllers_options() const {
  controllers::Options out;
  out.pod_cidr = options.pod_cidr;
  out.node_cidr_mask = int(options.node_cidr_mask);
  out.node_cidr_mask_v6 = int(options.node_cidr_mask_v6);
  out.load_balancer_pool = options.load_balancer_pool;
  out.node_grace = options.node_grace_time;
  out.signing_duration = options.signing_time;
  return out;
}

Task<Result<void>> Server::State::start_node() {
  pool = std::make_unique<io::Pool>(8);
  node_thread = std::make_unique<io::LoopThread>("node");
  auto made = co_await io::run_on<Result<void>>(node_thread->loop(), [this] { return make_node(this); });
  if (!made) co_return fail(Code::internal, "the node's thread ended");
  co_return std::move(*made);
}

NodeSettings Server::State::node_settings() const {
  NodeSettings out;
  out.data_dir = options.data_dir;
  out.run_dir = options.run_dir;
  out.node_name = options.node_name;
  out.address = options.advertise_address;
  if (const bool v6 = options.advertise_address.contains(':'); options.pod_cidr.contains(','))
    if (std::string other = own_address(!v6, own_ranges(options)); !other.empty()) out.address += "," + other;
  out.cluster_cidr = options.pod_cidr;
  out.service_cidr = options.service_cidr;
  out.cluster_domain = options.cluster_domain;
  options.node_flags.fill(out);
  out.lease = options.node_lease_time;
  out.housekeeping = options.housekeeping;
  return out;
}

Task<Result<void>> Server::State::make_node(State* self) {
  auto tls = CO_TRY(io::make_tls_server({.certificate_pem = self->certificates.node.certificate_pem,
                                         .key_pem = self->certificates.node.key_pem,
                                         .client_ca_pem = self->certificates.ca.certificate_pem,
                                         .alpn = {"http/1.1"}}));
  auto client = make_local_client(self->api->api(), "system:node:" + self->options.node_name);
  self->node =
      std::make_unique<NodeRunner>(self->node_settings(), std::move(client), std::move(tls), self->node_thread->loop(), *self->pool);
  NodeSettings& settings = self->node->settings();
  settings.pod_cidr = CO_TRY(co_await node_range(self->node->client(), {.node_name = settings.node_name, .labels = settings.labels}));
  co_return co_await self->node->start();
}

Task<int> Server::State::end_node(State* self) {
  if (self->node) co_await self->node->stop();
  self->node.reset();
  co_return 0;
}

Task<Result<void>> Server::start() {
  State& s = *state_;
  for (const auto& [flag, socket] :
       {std::pair("--docker-socket", &s.options.node_flags.docker_socket), {"--cri-socket", &s.options.node_flags.cri_socket}})
    if (!s.options.node && !socket->empty())
      co_return fail(Code::invalid, std::string(flag) + " needs a node in this process: leave --node=false out, or run `estiba engine`");
  CO_TRY(s.open_store());
  tell_process_metrics();
  s.memory = std::make_unique<MemoryKeeper>(*s.store.store);
  CO_TRY(co_await s.start_api());
  auto extensions = CO_TRY(s.extension_api());
  s.control = std::make_unique<Control>(
      s.api->api(),
      ControlOptions{.ca = s.certificates.ca,
                     .extensions = std::move(extensions),
                     .brokers = s.options.service_catalog ? std::make_unique<HttpBrokers>() : nullptr,
                     .info = CO_TRY(s.cluster_info()),
                     .told = s.controllers_options(),
                     .scheduler = CO_TRY(scheduler_configuration(s.options.scheduler_config)),
                     .node_groups = CO_TRY(node_groups(s.options.node_groups)),
                     .elect = s.store.freshness != nullptr,
                     .ingress_ports = {uint16_t(s.options.node_flags.ingress_http_port), uint16_t(s.options.node_flags.ingress_https_port)},
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
  s.memory.reset();
  s.store.store.reset();
}

}  // namespace estiba::server
