// What happens after a container has ended: by its policy and rules nothing, a start after the back-off, or a restart of the whole pod in
// its place (KEP 5532), which kills and removes all containers and begins with the init ones again.
#include <algorithm>

#include "base/log.h"
#include "node/pod_worker.h"
#include "node/restart_policy.h"

namespace estiba::node {

using namespace model::core_v1;
using namespace std::chrono_literals;
using client::EventType;

bool PodWorker::may_restart(const PodContainer& c, const engine::ContainerStatus& exited) const {
  if (c.kind == Kind::sidecar) return true;
  if (c.kind == Kind::ephemeral) return false;
  const Container* container = find_spec(c.name);
  return container && should_restart(*container, spec().spec, exited.exit_code);
}

// True while the container has to wait for its next start.
bool PodWorker::backed_off(PodContainer& c, const engine::ContainerStatus& exited) {
  const Instant now = context_.loop.now();
  if (c.counted_id != c.id) {
    c.counted_id = c.id;
    const bool ran = exited.started != WallTime{};
    if (ran && exited.finished - exited.started > Backoff::forget) c.restarts.reset();
    c.restarts.failed(now);
  }
  if (c.restarts.allowed(now)) return false;
  wait_in_back_off(c, c.restarts);
  return true;
}

void PodWorker::wait_in_back_off(PodContainer& c, const Backoff& backoff) {
  wake_at(backoff.next());
  if (c.waiting_reason != "CrashLoopBackOff") {
    const std::string about =
        "restarting failed container=" + c.name + " pod=" + pod_.meta().name + "_" + pod_.meta().ns + "(" + uid_ + ")";
    c.waiting_message = "back-off " + std::to_string(backoff.wait() / 1s) + "s " + about;
    event(EventType::warning, "BackOff",
          "Back-off restarting failed container " + c.name + " in pod " + pod_.meta().name + "_" + pod_.meta().ns + "(" + uid_ + ")",
          c.name);
  }
  c.waiting_reason = "CrashLoopBackOff";
}

// --- all at once -----------------------------------------------------------------------------------------------------

bool PodWorker::asks_for_all(const PodContainer& c) const {
  if (c.kind == Kind::ephemeral || c.id.empty()) return false;
  const auto status = current(c);
  const Container* container = find_spec(c.name);
  return container && status && status->state == engine::ContainerState::exited &&
         rule_for(*container, status->exit_code) == RestartAction::restart_all;
}

// Restarts the pod in its place when a container has ended so. A container that does so again and again is held back like one that crashes.
Task<void> PodWorker::sync_all_restarts() {
  if (!restarting_all_ && std::ranges::none_of(containers_, [&](const auto& c) { return asks_for_all(*c); })) co_return;
  const Instant now = context_.loop.now();
  if (!restarting_all_) {
    if (!all_restarts_counted_) all_restarts_.failed(now);
    all_restarts_counted_ = true;
    if (!all_restarts_.allowed(now)) {
      for (auto& c : containers_)
        if (asks_for_all(*c)) wait_in_back_off(*c, all_restarts_);
      co_return;
    }
  }
  restarting_all_ = true;
  status_changed();
  // Those that asked go last: a server that is killed meanwhile still leaves the next one the reason.
  std::vector<PodContainer*> order;
  for (const bool asking : {false, true})
    for (const bool init : {false, true})
      for (auto& c : containers_)
        if (c->kind != Kind::ephemeral && (c->kind != Kind::main) == init && asks_for_all(*c) == asking) order.push_back(c.get());
  for (PodContainer* c : order) {
    if (auto done = co_await reset_container(*c); !done) {
      log::warn("node", "container not removed", {{"pod", client::key_of(pod_)}, {"container", c->name}, {"error", done.error()}});
      wake_at(now + 1s);
      co_return;
    }
  }
  restarting_all_ = all_restarts_counted_ = false;
}

// Without grace, as the kubelet does it. Its logs stay.
Task<Result<void>> PodWorker::reset_container(PodContainer& c) {
  c.pull.cancel();
  if (c.id.empty()) co_return {};
  stop_probes(c);
  c.kill_why.clear();
  if (is_running(c)) {
    event(EventType::normal, "Killing", "Stopping container " + c.name, c.name);
    co_await kill_container(c, 0s);
  }
  for (std::string* id : {&c.previous_id, &c.id}) {
    if (id->empty()) continue;
    CO_TRY(co_await context_.engine.remove_container(*id));
    exit_messages_.erase(*id);
    id->clear();
  }
  ++c.attempt;
  c.reset = true;
  c.waiting_reason = "RestartingAllContainers";
  c.waiting_message = "The container is removed because RestartAllContainers in place";
  co_return {};
}

}  // namespace estiba::node
