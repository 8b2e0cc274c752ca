#include "ingress/ingress.h"

#include "base/log.h"
#include "ingress/ingress_rules.h"

namespace estiba::ingress {

using model::ObjectRef;

// Changes come in bursts: a rollout writes slice after slice.
static constexpr Duration settle_time = std::chrono::milliseconds(5);

struct Ingress::State {
  Options options;
  client::Client& client;
  client::Informer ingresses, classes;
  std::unique_ptr<Sources> sources;  // only while something of our class is there
  Backends backends;
  TlsSecrets secrets;
  std::map<std::string, std::string> problems;  // what was last logged about an object
  Listeners listeners;
  Event changed;
  Job job;  // last: ends first

  State(Options made, client::Client& client)
      : options(std::move(made)),
        client(client),
        ingresses(client, ingress_resource),
        classes(client, ingress_class_resource),
        listeners(options.listeners) {
    for (client::Informer* informer : {&ingresses, &classes})
      informer->on_change([this](const ObjectRef&, const ObjectRef&) { changed.set(); });
  }

  std::vector<ObjectRef> ours() const {
    std::vector<ObjectRef> found;
    ingresses.each([&](const ObjectRef& ingress) {
      if (is_ours(ingress, classes)) found.push_back(ingress);
    });
    return found;
  }

  void watch_sources() {
    sources = std::make_unique<Sources>(client);
    sources->services.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      if (backends.used().contains(client::key_of(after ? after : before))) changed.set();
    });
    sources->slices.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      const model::Meta& meta = (after ? after : before).meta();
      if (backends.used().contains(client::key_of(meta.ns, meta.label("kubernetes.io/service-name")))) changed.set();
    });
    sources->secrets.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      if (secrets.used().contains(client::key_of(after ? after : before))) changed.set();
    });
  }

  ConfigPtr make_config(const std::vector<ObjectRef>& found) {
    auto config = std::make_shared<Config>();
    std::map<std::string, std::string> now;
    backends.begin();
    secrets.begin();
    add_ingresses(*config, found, {options.http_port, options.https_port},
                  {.sources = *sources,
                   .backends = backends,
                   .secrets = secrets,
                   .problem = [&](const std::string& object, const std::string& problem) {
                     now[object] += (now[object].empty() ? "" : "; ") + problem;
                   }});
    for (auto& [number, port] : config->ports) port.seal();
    for (const auto& [object, problem] : now)
      if (problems[object] != problem)
        log::info("ingress", "not all of an object can be served", {{"object", object}, {"problem", problem}});
    problems = std::move(now);
    return config;
  }

  static Task<void> run(State* self) {
    co_await self->ingresses.wait_synced();
    co_await self->classes.wait_synced();
    for (;;) {
      self->changed.reset();
      const auto found = self->ours();
      if (found.empty()) {
        if (self->sources) self->listeners.apply(std::make_shared<const Config>());
        self->sources.reset();
      } else {
        if (!self->sources) {
          self->watch_sources();
          co_await self->sources->wait_synced();
        }
        self->listeners.apply(self->make_config(found));
      }
      co_await self->changed.wait();
      co_await sleep_for(settle_time);
    }
  }
};

Ingress::Ingress(Options options, client::Client& client) : state_(std::make_unique<State>(std::move(options), client)) {}
Ingress::~Ingress() = default;

void Ingress::start() { state_->job = Job(State::run(state_.get())); }

Task<void> Ingress::stop() {
  state_->job.cancel();
  co_await state_->listeners.stop();
}

size_t Ingress::open_ports() const { return state_->listeners.open_ports(); }

}  // namespace estiba::ingress
