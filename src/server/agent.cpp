#include "server/agent.h"

#include <netdb.h>

#include "apiserver/ingress_secrets.h"
#include "base/log.h"
#include "base/strings.h"
#include "client/backoff.h"
#include "client/http_client.h"
#include "io/pool.h"
#include "io/tls_renewal.h"
#include "model/types/core_v1.h"
#include "os/file.h"
#include "server/address.h"
#include "server/agent_identity.h"
#include "server/agent_join.h"
#include "server/cluster_facts.h"
#include "server/node_range.h"
#include "server/node_runner.h"
#include "server/process_metrics.h"

namespace estiba::server {

using namespace std::chrono_literals;

namespace {

// Whether trying again may help without anybody doing anything here.
bool is_passing(const Error& error) {
  return error.code == Code::unavailable || error.code == Code::timeout || error.code == Code::exhausted;
}

// So long is a server waited for that is known already, before the node starts without it.
constexpr Duration first_answer = 5s;

// An address of a host name, of IPv4 if it has one, or the name itself.
std::string resolved(const std::string& host) {
  addrinfo hints{}, *list = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  for (const int family : {AF_INET, AF_INET6}) {
    hints.ai_family = family;
    if (getaddrinfo(host.c_str(), nullptr, &hints, &list) != 0) continue;
    char text[NI_MAXHOST];
    const bool known = list && getnameinfo(list->ai_addr, list->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0;
    freeaddrinfo(list);
    if (known) return text;
  }
  return host;
}

// Repeats `step` while its failures may pass; says once what it waits for.
template <class T>
Task<Result<T>> until_reached(UniqueFunction<Task<Result<T>>()> step, std::string server) {
  client::Backoff backoff(500ms, 10s);
  for (bool told = false;;) {
    auto done = co_await step();
    if (done) co_return done;
    Error error = explain(std::move(done.error()), server);
    if (!is_passing(error)) co_return std::unexpected(std::move(error));
    if (!told) log::warn("agent", "will try again and again", {{"error", error}});
    told = true;
    co_await sleep_for(backoff.next());
  }
}

}  // namespace

struct Agent::State {
  AgentOptions options;
  io::Loop& loop;
  io::Pool pool{8};
  Identity identity;
  io::TlsContextRef client_tls, serving_tls;
  std::string server_address;
  bool both_families = false;                                       // of pods
  std::vector<Prefix> ranges;                                       // of pods and services: none of the machine's own addresses
  std::shared_ptr<uint64_t> epoch = std::make_shared<uint64_t>(0);  // of the machine's address
  std::unique_ptr<client::Client> client;                           // for what the agent asks itself
  std::unique_ptr<NodeRunner> node;
  Event renew;
  WallTime client_due{}, serving_due{};
  Job renewing;  // last: ends first

  std::string dir() const { return options.identity_dir(); }
  /// By which the others know this node; of both families, the server's first, where pods have both.
  std::string address() const {
    if (!options.node_ip.empty()) return options.node_ip;
    std::string found = address_towards(server_address);
    if (found.empty() || !both_families) return found;
    const std::string other = own_address(!found.contains(':'), ranges);
    return other.empty() ? found : found + "," + other;
  }
  std::unique_ptr<client::Client> make_client(io::TlsContextRef tls, std::string token = {}) const {
    return client::make_http_client({.server = options.server,
                                     .tls = std::move(tls),
                                     .bearer_token = std::move(token),
                                     .user_agent = token.empty() ? "kubelet" : "estiba-agent",
                                     .epoch = epoch});
  }

  static Task<Result<bool>> join(State* self);
  static Task<Result<ClusterFacts>> ask_facts(State* self);
  static Task<Result<ClusterFacts>> facts(State* self);
  NodeSettings settings(const ClusterFacts& facts);
  static Task<Result<bool>> ensure_serving(State* self);
  static Task<Result<void>> renew_client(State* self);
  static Task<void> keep_certificates(State* self);
  Result<void> use_identity();
};

// The first time, or when the certificate has expired.
Task<Result<bool>> Agent::State::join(State* self) {
  const AgentOptions& options = self->options;
  const std::string ca = CO_TRY(co_await discover_ca(options.server, *options.join));
  CO_TRY(store_ca(self->dir(), ca));
  auto tls = CO_TRY(io::make_tls_client({.ca_pem = ca}));
  auto client = self->make_client(std::move(tls), options.join->bearer());
  CO_TRY(co_await check_name_free(*client, options.node_name));
  io::KeyPair pair = CO_TRY(co_await request_certificate(*client, client_certificate(options.node_name)));
  CO_TRY(store_client(self->dir(), pair));
  self->identity.ca_pem = ca;
  self->identity.client = std::move(pair);
  log::info("agent", "joined", {{"server", options.server}, {"node", options.node_name}});
  co_return true;
}

Result<void> Agent::State::use_identity() {
  client_tls = TRY(io::make_tls_client(
      {.ca_pem = identity.ca_pem, .certificate_pem = identity.client->certificate_pem, .key_pem = identity.client->key_pem}));
  client = make_client(client_tls);
  client_due = renewal_of(*identity.client, loop.wall_now());
  return {};
}

// What the cluster says of itself, and this node's part of its addresses.
Task<Result<ClusterFacts>> Agent::State::ask_facts(State* self) {
  const AgentOptions& options = self->options;
  auto map = co_await self->client->get(client::configmaps, "kube-system", "estiba-cluster");
  if (!map && map.error().code == Code::not_found)
    co_return fail(Code::unavailable, options.server + " has not yet said what nodes must know (configmap kube-system/estiba-cluster)");
  if (!map) co_return std::unexpected(std::move(map.error()));
  const auto& data = map->as<model::core_v1::ConfigMap>().data;
  const auto value = [&](std::string_view key) {
    const auto found = data.find(std::string(key));
    return found == data.end() ? std::string() : found->second;
  };
  if (self->address().empty())
    co_return fail(Code::unavailable, "this machine has no address towards " + options.server + "; --node-ip names one");
  ClusterFacts out{.cluster_cidr = value("podCIDR"), .service_cidr = value("serviceCIDR"), .cluster_domain = value("clusterDomain")};
  out.ingress_on_agents = value(apiserver::ingress_on_agents) == "true";
  out.pod_cidr =
      CO_TRY(co_await node_range(*self->client, {.node_name = options.node_name, .labels = options.labels, .taints = options.taints}));
  CO_TRY(store_cluster_facts(self->dir(), out));
  co_return out;
}

// A server that is away holds nobody up who knows its cluster already: static pods start, and the others' containers go on.
Task<Result<ClusterFacts>> Agent::State::facts(State* self) {
  const auto known = load_cluster_facts(self->dir());
  if (known && !self->address().empty()) {
    auto asked = co_await with_timeout(first_answer, ask_facts(self));
    if (asked && *asked) co_return std::move(*asked);
    if (asked)
      if (Error error = explain(std::move(asked->error()), self->options.server); !is_passing(error))
        co_return std::unexpected(std::move(error));
    log::warn("agent", "the server does not answer; starting with what is known of its cluster", {{"server", self->options.server}});
    co_return *known;
  }
  co_return co_await until_reached<ClusterFacts>([self] { return ask_facts(self); }, self->options.server);
}

NodeSettings Agent::State::settings(const ClusterFacts& facts) {
  NodeSettings out;
  out.data_dir = options.data_dir;
  out.run_dir = options.run_dir;
  out.node_name = options.node_name;
  ranges = parse_ranges(facts.cluster_cidr).value_or({});
  both_families = ranges.size() == 2;
  std::ranges::copy(parse_ranges(facts.service_cidr).value_or({}), std::back_inserter(ranges));
  out.address = address();
  if (options.node_ip.empty()) out.find_address = [this] { return address(); };
  out.cluster_cidr = facts.cluster_cidr;
  out.service_cidr = facts.service_cidr;
  out.cluster_domain = facts.cluster_domain;
  out.pod_cidr = facts.pod_cidr;
  options.node_flags.fill(out);
  if (!facts.ingress_on_agents) out.ingress.reset();
  if (out.ingress) out.ingress->all_secrets = false;
  out.lease = options.lease;
  out.labels = options.labels;
  out.taints = options.taints;
  out.reads_all = false;
  out.housekeeping = options.housekeeping;
  return out;
}

Task<Result<bool>> Agent::State::ensure_serving(State* self) {
  auto& pair = self->identity.serving;
  // The API server asks for the first.
  const std::string all = self->node ? self->node->settings().address : self->address(), address = all.substr(0, all.find(','));
  if (!pair || !covers(*pair, address) || (self->serving_due != WallTime{} && self->serving_due <= self->loop.wall_now())) {
    pair = CO_TRY(co_await request_certificate(*self->client, serving_certificate(self->options.node_name, address)));
    CO_TRY(store_serving(self->dir(), *pair));
    if (self->serving_tls) CO_TRY(io::replace_certificate(self->serving_tls, pair->certificate_pem, pair->key_pem));
  }
  if (!self->serving_tls)
    self->serving_tls = CO_TRY(io::make_tls_server({.certificate_pem = pair->certificate_pem,
                                                    .key_pem = pair->key_pem,
                                                    .client_ca_pem = self->identity.ca_pem,
                                                    .alpn = {"http/1.1"}}));
  self->serving_due = renewal_of(*pair, self->loop.wall_now());
  co_return true;
}

Task<Result<void>> Agent::State::renew_client(State* self) {
  if (self->client_due > self->loop.wall_now()) co_return {};
  auto& pair = *self->identity.client;
  pair = CO_TRY(co_await request_certificate(*self->client, client_certificate(self->options.node_name)));
  CO_TRY(store_client(self->dir(), pair));
  CO_TRY(io::replace_certificate(self->client_tls, pair.certificate_pem, pair.key_pem));
  self->client_due = renewal_of(pair, self->loop.wall_now());
  log::info("agent", "the node's certificate was renewed");
  co_return {};
}

Task<void> Agent::State::keep_certificates(State* self) {
  client::Backoff backoff(1s, 5min);
  for (;;) {
    const Duration wait = std::min(self->client_due, self->serving_due) - self->loop.wall_now();
    co_await self->renew.wait_for(std::max<Duration>(wait, 0s));
    self->renew.reset();
    Result<void> done = co_await renew_client(self);
    if (done)
      if (auto serving = co_await ensure_serving(self); !serving) done = std::unexpected(std::move(serving.error()));
    if (done) {
      backoff.reset();
      continue;
    }
    log::warn("agent", "a certificate was not renewed; will try again", {{"error", done.error()}});
    co_await sleep_for(backoff.next());
    self->renew.set();
  }
}

Agent::Agent(AgentOptions options, io::Loop& loop) : state_(new State{.options = std::move(options), .loop = loop}) {}
Agent::~Agent() = default;

Task<Result<void>> Agent::start() {
  tell_process_metrics();
  State* s = state_.get();
  CO_TRY(os::make_dirs(s->options.data_dir, 0711));
  CO_TRY(os::make_dirs(s->options.run_dir, 0711));
  s->identity = CO_TRY(load_identity(s->dir(), s->options.node_name, s->loop.wall_now()));
  s->server_address = resolved(s->options.server_host);
  if (!s->identity.client) {
    if (!s->options.join)
      co_return fail(Code::invalid,
                     "--token is needed the first time (and when the node's certificate has expired): `estiba token create` on " +
                         s->options.server + " prints one");
    CO_TRY(co_await until_reached<bool>([s] { return State::join(s); }, s->options.server));
  }
  CO_TRY(s->use_identity());
  const auto facts = co_await State::facts(s);
  if (!facts && facts.error().code == Code::unauthorized)
    co_return fail(Code::unauthorized, s->options.server +
                                           " does not accept the certificate of this node (it has another CA?): to join it anew, remove " +
                                           s->dir() + " and start with --token");
  if (!facts) co_return std::unexpected(facts.error());
  CO_TRY(co_await until_reached<bool>([s] { return State::ensure_serving(s); }, s->options.server));
  s->node = std::make_unique<NodeRunner>(s->settings(*facts), s->make_client(s->client_tls), s->serving_tls, s->loop, s->pool);
  s->node->on_address([s](const std::string& address) {
    s->node->settings().address = address;
    ++*s->epoch;  // what comes from the old address reaches nobody
    s->renew.set();
  });
  s->renewing = Job(State::keep_certificates(s));
  co_return within("node " + s->options.node_name, co_await s->node->start());
}

Task<void> Agent::stop() {
  state_->renewing.cancel();
  if (state_->node) co_await state_->node->stop();
  state_->node.reset();
}

}  // namespace estiba::server
