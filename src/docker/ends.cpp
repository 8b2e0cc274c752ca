// Lives: ends, and what follows them.
#include <csignal>

#include "base/log.h"
#include "docker/background.h"
#include "docker/daemon.h"
#include "docker/errors.h"
#include "docker/events.h"
#include "docker/lives.h"
#include "docker/signals.h"
#include "engine/engine.h"
#include "io/loop.h"

namespace estiba::docker {

using namespace std::chrono_literals;

namespace {

constexpr Duration first_delay = 100ms, longest_delay = 60s, settled_after = 10s;

}  // namespace

void Lives::tell(const Container& c, std::string action, std::vector<std::pair<std::string, std::string>> more) {
  std::vector<std::pair<std::string, std::string>> attributes = std::move(more);
  attributes.emplace_back("image", c.image);
  attributes.emplace_back("name", c.name);
  for (const auto& [key, value] : c.facts.labels) attributes.emplace_back(key, value);
  std::sort(attributes.begin(), attributes.end());
  daemon_.events().publish("container", std::move(action), c.id, std::move(attributes));
}

void Lives::on_engine_event(const engine::Event& event) {
  const std::string& id = event.container_id.empty() ? event.pod_uid : event.container_id;
  auto found = daemon_.containers().find(id);
  if (!found || (*found)->id != id) return;
  switch (event.type) {
    case engine::Event::Type::oom:
      (*found)->oom_killed = true;
      tell(**found, "oom");
      break;
    case engine::Event::Type::container_exited:
    case engine::Event::Type::sandbox_died: daemon_.tasks().start(ended(*found)); break;
    case engine::Event::Type::container_started: break;
  }
}

bool Lives::wants_restart(const Container& c) const {
  if (c.stop_restarts) return false;
  const std::string& policy = c.facts.restart_policy;
  if (policy == "always") return true;
  if (policy == "unless-stopped") return !c.manually_stopped;
  if (policy == "on-failure" || policy == "on-unhealthy")
    return c.exit_code != 0 && (c.facts.max_retries == 0 || c.restart_count < c.facts.max_retries);
  return false;
}

bool Lives::removed_at_end(const Container& c) const { return c.facts.auto_remove && !c.keep_once && c.status == Status::exited; }
bool Lives::restore_removes(const Container& c) const { return removed_at_end(c) && c.start_noted; }

Task<void> Lives::settle_end(ContainerRef container) {
  // The network and the volumes go while the record is written. The shim knows how it ended: it may go once the record knows too.
  TaskGroup giving_back;
  giving_back.start(let_go(container));
  if (!restore_removes(*container)) {
    if (auto noted = co_await daemon_.containers().note(container); !noted)
      log::error("docker", "the end of a container could not be noted", {{"container", container->id}, {"error", noted.error()}});
  }
  if (auto removed = co_await daemon_.engine().remove_sandbox(container->id); !removed)
    log::warn("docker", "what is left of a container's run could not be removed",
              {{"container", container->id}, {"error", removed.error()}});
  co_await giving_back.join();
}

Task<void> Lives::ended(ContainerRef container) {
  Container& c = *container;
  auto held = co_await c.lifecycle.lock();
  if (!c.running()) co_return;
  auto status = daemon_.engine().container(c.id);
  if (status && status->state != engine::ContainerState::exited) co_return;
  c.exit_code = status ? status->exit_code : 137;
  c.oom_killed |= status && status->oom_killed;
  c.finished = status && status->finished != WallTime{} ? status->finished : daemon_.loop().wall_now();
  if (status && !status->message.empty()) c.error = status->message;
  const Duration ran = c.finished - c.started;
  const bool again = wants_restart(c);
  c.pid = 0;
  c.status = again ? Status::restarting : Status::exited;
  if (c.health) c.health->failing_streak = 0;
  ++c.exits;
  tell(c, "die",
       {{"execDuration", std::to_string(std::chrono::duration_cast<std::chrono::seconds>(ran).count())},
        {"exitCode", std::to_string(c.exit_code)}});
  daemon_.containers().touch(c);
  co_await settle_end(container);
  if (!removed_at_end(c)) daemon_.containers().save_soon(container);
  if (again && !c.stop_restarts) {
    if (ran >= settled_after) c.restart_delay = {};
    c.restart_delay = c.restart_delay == Duration{} ? first_delay : std::min(c.restart_delay * 2, longest_delay);
    c.restart_cut.reset();
    daemon_.tasks().start(restart_later(container, c.generation));
    co_return;
  }
  if (c.status == Status::restarting) {
    c.status = Status::exited;
    daemon_.containers().touch(c);
  }
  if (!removed_at_end(c)) co_return;
  if (auto removed = co_await clear(container, true); !removed)
    log::error("docker", "a container was not removed", {{"container", c.id}, {"error", removed.error()}});
}

Task<void> Lives::restart_later(ContainerRef container, uint64_t generation) {
  Container& c = *container;
  (void)co_await c.restart_cut.wait_for(c.restart_delay);
  auto held = co_await c.lifecycle.lock();
  if (c.removed || c.generation != generation || c.status != Status::restarting) co_return;
  if (c.stop_restarts) {
    c.status = Status::exited;
    daemon_.containers().touch(c);
    daemon_.containers().save_soon(container);
    if (c.facts.auto_remove && !c.keep_once) (void)co_await clear(container, true);
    co_return;
  }
  ++c.restart_count;
  if (auto started = co_await launch(container); !started)
    log::error("docker", "a container could not be restarted", {{"container", c.name}, {"error", started.error()}});
}

// --- stop, kill ------------------------------------------------------------------------------------------------------------------------

Task<void> Lives::wait_end(ContainerRef container, uint64_t exits) {
  while (container->exits == exits && !container->removed) {
    container->changed.reset();
    co_await container->changed.wait();
  }
  // What the run had is given back when the lifecycle is free again.
  auto held = co_await container->lifecycle.lock();
}

Task<Result<void>> Lives::send_signal(ContainerRef container, int signal) {
  Container& c = *container;
  const bool paused = c.status == Status::paused;
  auto sent = co_await daemon_.engine().kill(c.id, signal);
  if (!sent && sent.error().code != Code::conflict && sent.error().code != Code::not_found) co_return sent;
  if (!sent && c.running()) co_return sent;
  tell(c, "kill", {{"signal", std::to_string(signal)}});
  // What is frozen cannot die.
  if (paused && signal == SIGKILL) (void)co_await daemon_.engine().unpause(c.id);
  co_return {};
}

Task<Result<bool>> Lives::stop(ContainerRef container, std::optional<int64_t> seconds, std::string signal) {
  return background(daemon_.tasks(), do_stop(std::move(container), seconds, std::move(signal)));
}

Task<Result<bool>> Lives::do_stop(ContainerRef container, std::optional<int64_t> seconds, std::string signal) {
  Container& c = *container;
  const int number = CO_TRY(parse_signal(signal.empty() ? c.facts.stop_signal : signal));
  // One that is between two runs may be started and have ended again before we see it run: each time anew it is told not to go on.
  bool waited = false;
  while (!c.running()) {
    if (c.status == Status::restarting) {
      waited = true;
      c.manually_stopped = c.stop_restarts = true;
      c.restart_cut.set();
      c.changed.reset();
      co_await c.changed.wait();
    } else if (c.lifecycle.locked() && !c.removed) {
      auto held = co_await c.lifecycle.lock();  // a start under way counts: it is stopped once it has come up
    } else {
      if (waited) tell(c, "stop");
      co_return waited;
    }
  }
  c.manually_stopped = c.stop_restarts = true;
  const uint64_t exits = c.exits;
  const int64_t limit = seconds.value_or(c.facts.stop_timeout.value_or(10));
  const Instant deadline = limit < 0 ? Instant::max() : daemon_.loop().now() + std::chrono::seconds(limit);
  auto sent = co_await send_signal(container, number);
  if (sent && c.status == Status::paused) (void)co_await daemon_.engine().unpause(c.id);
  while (sent && c.exits == exits && !c.removed) {
    c.changed.reset();
    if (limit < 0) co_await c.changed.wait();
    else if (!co_await c.changed.wait_until(deadline)) break;
  }
  if (c.exits == exits && !c.removed) {
    auto killed = co_await send_signal(container, SIGKILL);
    // A conflict: it has ended by itself, and its end is about to be seen here.
    if (!killed && c.running() && killed.error().code != Code::conflict)
      co_return fail(killed.error().code, "cannot stop container: " + c.name + ": " + killed.error().message);
  }
  co_await wait_end(container, exits);
  tell(c, "stop");
  daemon_.containers().save_soon(container);
  co_return true;
}

Task<Result<void>> Lives::restart(ContainerRef container, std::optional<int64_t> seconds, std::string signal) {
  return background(daemon_.tasks(), do_restart(std::move(container), seconds, std::move(signal)));
}

Task<Result<void>> Lives::do_restart(ContainerRef container, std::optional<int64_t> seconds, std::string signal) {
  Container& c = *container;
  c.keep_once = true;
  auto stopped = co_await do_stop(container, seconds, std::move(signal));
  c.keep_once = false;
  CO_TRY(stopped);
  if (c.removed) co_return no_such_container(c.id);
  CO_TRY(co_await do_start(container));
  tell(c, "restart");
  co_return {};
}

static Task<Result<void>> kill_now(Lives* lives, ContainerRef container, int signal, Task<Result<void>> sending) {
  const uint64_t exits = container->exits;
  CO_TRY(co_await std::move(sending));
  if (signal == SIGKILL) co_await lives->wait_end(container, exits);
  co_return {};
}

Task<Result<void>> Lives::kill(ContainerRef container, std::string signal) {
  Container& c = *container;
  const int number = CO_TRY(parse_signal(signal.empty() ? "SIGKILL" : signal));
  if (c.status == Status::restarting) {
    CO_TRY(co_await stop(container, 0, "SIGKILL"));
    co_return {};
  }
  if (!c.running()) co_return fail(Code::conflict, "cannot kill container: " + c.name + ": container " + c.id + " is not running");
  if (number == SIGKILL || number == SIGTERM || Result<int>(parse_signal(c.facts.stop_signal)).value_or(0) == number)
    c.manually_stopped = c.stop_restarts = true;
  auto done = co_await background(daemon_.tasks(), kill_now(this, container, number, send_signal(container, number)));
  if (!done) co_return fail(done.error().code, "cannot kill container: " + c.name + ": " + done.error().message);
  co_return {};
}

}  // namespace estiba::docker
