// Lives: health checks.
#include "base/log.h"
#include "docker/background.h"
#include "docker/config.h"
#include "docker/daemon.h"
#include "docker/execs.h"
#include "docker/lives.h"
#include "engine/engine.h"
#include "io/loop.h"

namespace estiba::docker {

using namespace std::chrono_literals;
using json::Node;

namespace {

constexpr size_t kept_probes = 5, kept_output = 4096;

struct Check {
  std::vector<std::string> command;
  Duration interval = 30s, timeout = 30s, start_period{}, start_interval = 5s;
  int64_t retries = 3;
};

/// Nullopt without a check.
std::optional<Check> check_of(const Node& config) {
  const Node* health = config.find("Healthcheck");
  const Node* test = health ? health->find("Test") : nullptr;
  if (!test || test->size() < 2) return std::nullopt;  // ["NONE"] and [] too
  Check out;
  auto words = strings_of(test);
  if (words[0] == "CMD-SHELL") {
    const auto shell = strings_of(config.find("Shell"));
    out.command = shell.empty() ? std::vector<std::string>{"/bin/sh", "-c"} : shell;
    out.command.push_back(words[1]);
  } else if (words[0] == "CMD") {
    out.command.assign(words.begin() + 1, words.end());
  } else {
    return std::nullopt;
  }
  auto set = [&](const char* key, Duration& place) {
    if (const int64_t value = int_at(*health, key)) place = Duration(value);
  };
  set("Interval", out.interval);
  set("Timeout", out.timeout);
  set("StartPeriod", out.start_period);
  set("StartInterval", out.start_interval);
  if (const int64_t retries = int_at(*health, "Retries")) out.retries = retries;
  return out;
}

}  // namespace

void Lives::watch_health(const ContainerRef& container) {
  if (!check_of(container->config.root())) {
    container->health.reset();
    return;
  }
  container->health.emplace();
  daemon_.containers().touch(*container);
  daemon_.tasks().start(run_health(container, container->generation));
}

Task<void> Lives::run_health(ContainerRef container, uint64_t generation) {
  Container& c = *container;
  const Check check = *check_of(c.config.root());
  auto current = [&] { return c.generation == generation && c.running() && !c.removed; };
  const Instant started = daemon_.loop().now();
  Instant next = started;
  for (;;) {
    const bool early = daemon_.loop().now() - started < check.start_period && c.health->status == "starting";
    next = daemon_.loop().now() + (early ? std::min(check.start_interval, check.interval) : check.interval);
    while (current() && daemon_.loop().now() < next) {
      c.changed.reset();
      (void)co_await c.changed.wait_until(next);
    }
    if (!current()) co_return;
    if (c.status == Status::paused) continue;
    HealthProbe probe;
    probe.start = daemon_.loop().wall_now();
    const bool in_start_period = daemon_.loop().now() - started < check.start_period;
    auto exec = daemon_.execs().begin(container, check.command);
    auto result = co_await daemon_.engine().exec_sync(c.id, check.command, check.timeout);
    // What overran its time was killed.
    daemon_.execs().end(*exec, result ? result->exit_code : result.error().code == Code::timeout ? 137 : 126);
    if (!current()) co_return;
    probe.end = daemon_.loop().wall_now();
    if (result) {
      probe.exit_code = result->exit_code;
      probe.output = result->output + result->error;
      if (probe.output.size() > kept_output) probe.output.resize(kept_output);
    } else if (result.error().code == Code::timeout) {
      probe.exit_code = -1;
      probe.output = "Health check exceeded timeout (" +
                     std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(check.timeout).count()) + "ms)";
    } else {
      probe.exit_code = -1;
      probe.output = result.error().message;
    }
    note_health(c, std::move(probe), in_start_period, check.retries);
    if (c.health->status != "unhealthy" || c.facts.restart_policy != "on-unhealthy" || c.stop_restarts) continue;
    if (c.facts.max_retries != 0 && c.restart_count >= c.facts.max_retries) continue;
    // What follows ends this run, and so this watch.
    log::info("docker", "an unhealthy container is restarted by its policy", {{"container", c.name}});
    daemon_.tasks().start([](Lives* lives, ContainerRef container) -> Task<void> {
      const int64_t count = container->restart_count;
      if (auto restarted = co_await lives->restart(container, std::nullopt, ""); !restarted)
        log::error("docker", "an unhealthy container was not restarted", {{"container", container->name}, {"error", restarted.error()}});
      container->restart_count = count + 1;
    }(this, container));
    co_return;
  }
}

void Lives::note_health(Container& c, HealthProbe probe, bool in_start_period, int64_t retries) {
  Health& health = *c.health;
  const std::string before = health.status;
  if (probe.exit_code == 0) {
    health.failing_streak = 0;
    health.status = "healthy";
  } else if (!in_start_period || before != "starting") {
    ++health.failing_streak;
    if (health.failing_streak >= retries) health.status = "unhealthy";
  }
  health.log.push_back(std::move(probe));
  if (health.log.size() > kept_probes) health.log.erase(health.log.begin());
  daemon_.containers().touch(c);
  if (health.status != before) tell(c, "health_status: " + health.status);
}

}  // namespace estiba::docker
