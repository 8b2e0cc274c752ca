#include "server/control.h"

#include "apiserver/bootstrap_tokens.h"
#include "apiserver/service_repair.h"
#include "autoscale/autoscaler.h"
#include "base/log.h"
#include "base/strings.h"
#include "client/leader_election.h"
#include "controllers/controllers.h"
#include "ingress/status.h"
#include "io/thread.h"
#include "os/file.h"
#include "scheduler/scheduler.h"
#include "server/certificate_authority.h"
#include "server/exec_nodes.h"
#include "server/local_client.h"

namespace estiba::server {

namespace {

// Where the lease lies and what it is called, as with kube-controller-manager: tools look for it there.
constexpr std::string_view lease_name = "kube-controller-manager";

// Destroys `object` on its loop's thread.
template <class T>
Task<void> end_on(io::LoopThread& thread, std::unique_ptr<T>& object) {
  (void)co_await io::run_on<int>(thread.loop(), [&object] {
    return [](std::unique_ptr<T>* object) -> Task<int> {
      object->reset();
      co_return 0;
    }(&object);
  });
}

// The autoscaler of nodes with what it needs, where there are groups of nodes.
struct NodeScaling {
  io::LoopThread thread{"autoscaler"};
  std::unique_ptr<client::Client> client;
  ExecNodes provider;
  std::unique_ptr<autoscale::Autoscaler> autoscaler;

  NodeScaling(apiserver::Api& api, const ControlOptions& options)
      : client(make_local_client(api, "system:serviceaccount:kube-system:cluster-autoscaler")),
        provider(options.info.server, os::read_link("/proc/self/exe").value_or("estiba")) {
    autoscale::Options made{.groups = *options.node_groups, .scheduler = options.scheduler};
    made.ca_hash = io::public_key_hash(options.ca.certificate_pem).value_or("");
    autoscaler = std::make_unique<autoscale::Autoscaler>(*client, thread.loop(), provider, std::move(made));
    thread.loop().post([this] {
      if (autoscaler) autoscaler->start();
    });
  }
};

}  // namespace

struct Control::State {
  apiserver::Api& api;
  ControlOptions options;
  ClusterAuthority authority{options.ca};
  io::LoopThread controllers_thread{"controllers"}, scheduler_thread{"scheduler"};
  std::unique_ptr<client::Client> controllers_client, scheduler_client;
  std::unique_ptr<controllers::Controllers> controllers;
  std::unique_ptr<ingress::StatusWriter> ingress;
  std::unique_ptr<scheduler::Scheduler> scheduler;
  std::unique_ptr<NodeScaling> scaling;
  // On the controllers' thread.
  std::unique_ptr<client::Client> election_client;
  std::unique_ptr<client::LeaderElector> elector;
  std::unique_ptr<Job> election;
  TaskGroup publishing;
  TaskGroup leading;  // what the server that leads does beside the controllers
  TaskGroup always;   // what every server does for itself, whoever leads

  State(apiserver::Api& api, ControlOptions made) : api(api), options(std::move(made)) {
    controllers_client = make_local_client(api, "system:kube-controller-manager");
    scheduler_client = make_local_client(api, "system:kube-scheduler");
  }

  void begin() {
    controllers::Options all = options.told;
    all.root_ca_pem = options.ca.certificate_pem;
    all.authority = &authority;
    all.brokers = options.brokers.get();
    all.extensions = options.extensions.get();
    controllers = std::make_unique<controllers::Controllers>(*controllers_client, controllers_thread.loop(), std::move(all));
    ingress = std::make_unique<ingress::StatusWriter>(*controllers_client, options.ingress_ports);
    scheduler = std::make_unique<scheduler::Scheduler>(*scheduler_client, scheduler_thread.loop(), options.scheduler);
    if (options.node_groups) scaling = std::make_unique<NodeScaling>(api, options);
    controllers_thread.loop().post([this] {
      if (!controllers) return;
      controllers->start();
      if (ingress) ingress->start();
      leading.start(apiserver::publish_cluster_info(api.registry(), options.info));
    });
    scheduler_thread.loop().post([this] {
      if (scheduler) scheduler->start();
    });
  }
  static Task<int> end_leading(State* self) {
    self->leading.cancel();
    co_return 0;
  }
  static Task<void> end(State* self) {
    if (self->scaling) co_await end_on(self->scaling->thread, self->scaling->autoscaler);
    self->scaling.reset();
    co_await end_on(self->scheduler_thread, self->scheduler);
    (void)co_await io::run_on<int>(self->controllers_thread.loop(), [self] { return end_leading(self); });
    co_await end_on(self->controllers_thread, self->ingress);
    co_await end_on(self->controllers_thread, self->controllers);
  }

  // Service default/kubernetes leads to the server that leads: the one before may be gone.
  void lead() {
    begin();
    publishing.start(publish(this));
  }
  static Task<void> publish(State* self) {
    auto done = co_await self->api.publish_service();
    if (!done) log::warn("leader", "Service default/kubernetes still leads to another server", {{"error", done.error()}});
  }
  void elect() {
    election_client = make_local_client(api, "system:kube-controller-manager");
    elector = std::make_unique<client::LeaderElector>(
        *election_client, client::LeaderOptions{.name = std::string(lease_name), .identity = options.identity + "_" + random_uuid()});
    election = std::make_unique<Job>(elector->run([this] { lead(); }, [this] { return end(this); }));
  }
  static Task<int> stop_electing(State* self) {
    self->election.reset();
    self->always.cancel();
    self->publishing.cancel();
    co_return 0;
  }
  static Task<int> release(State* self) {
    if (self->elector) co_await with_timeout(std::chrono::seconds(3), self->elector->release());
    self->elector.reset();
    self->election_client.reset();
    co_return 0;
  }
};

Control::Control(apiserver::Api& api, ControlOptions options) : state_(std::make_unique<State>(api, std::move(options))) {}
Control::~Control() = default;

void Control::start() {
  State* state = state_.get();
  state->controllers_thread.loop().post([state] {
    state->always.start(state->api.aggregator().run());
    state->always.start(state->api.fairness().run());
    state->always.start(apiserver::clean_bootstrap_tokens(state->api.registry()));
    state->always.start(apiserver::keep_reservations(state->api.registry()));
  });
  if (!state->options.elect) return state->begin();
  state->controllers_thread.loop().post([state] { state->elect(); });
}

Task<void> Control::stop() {
  State* state = state_.get();
  io::Loop& loop = state->controllers_thread.loop();
  (void)co_await io::run_on<int>(loop, [state] { return State::stop_electing(state); });
  co_await State::end(state);
  (void)co_await io::run_on<int>(loop, [state] { return State::release(state); });
}

}  // namespace estiba::server
