#include "ingress/ingress.h"

#include "base/log.h"
#include "ingress/objects.h"

namespace estiba::ingress {

// Changes come in bursts: a rollout writes slice after slice.
static constexpr Duration settle_time = std::chrono::milliseconds(5);

struct Ingress::State {
  Options options;
  Event changed;
  Objects objects;
  std::map<std::string, std::string> problems;  // what was last logged about an object
  Listeners listeners;
  Job job;  // last: ends first

  State(Options made, client::Client& client)
      : options(std::move(made)), objects(client, changed, options.all_secrets), listeners(options.listeners) {}

  void apply() {
    auto made = objects.make({options.http_port, options.https_port});
    for (const auto& [object, problem] : made.problems)
      if (problems[object] != problem)
        log::info("ingress", "not all of an object can be served", {{"object", object}, {"problem", problem}});
    problems = std::move(made.problems);
    listeners.apply(std::move(made.config));
  }

  static Task<void> run(State* self) {
    co_await self->objects.wait_synced();
    for (;;) {
      self->changed.reset();
      if (!self->objects.ingresses().empty() || !self->objects.gateways().empty()) {
        co_await self->objects.open();
        self->apply();
      } else if (self->objects.is_open()) {
        self->listeners.apply(std::make_shared<const Config>());
        self->objects.close();
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
