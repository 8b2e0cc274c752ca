// How a pod ends: its containers are stopped in order and within the grace, then everything of it is removed, and at last
// the object is deleted from the API.
#include <algorithm>

#include "base/log.h"
#include "node/container_spec.h"
#include "node/csi/volumes.h"
#include "node/pod_worker.h"

namespace estiba::node {

using namespace model::core_v1;
using namespace std::chrono_literals;

bool PodWorker::ending() const { return gone_ || !pod_.meta().deletion_timestamp.empty(); }

Duration PodWorker::grace() const {
  if (evict_grace_ && pod_.meta().deletion_grace_seconds != 0) return *evict_grace_;
  if (pod_.meta().deletion_grace_seconds >= 0) return std::chrono::seconds(pod_.meta().deletion_grace_seconds);
  return std::chrono::seconds(spec().spec.terminationGracePeriodSeconds.value_or(30));
}

Task<void> PodWorker::stop_one(PodWorker* self, PodContainer* c, Instant deadline) {
  if (!self->is_running(*c)) co_return;
  self->event(client::EventType::normal, "Killing", "Stopping container " + c->name, c->name);
  co_await self->kill_container(*c, std::max<Duration>(deadline - self->context_.loop.now(), 0s));
}

// Main containers together, then sidecars in reverse order, each before the one that was started before it.
Task<void> PodWorker::stop_all() {
  stopping_ = true;
  const Instant deadline = context_.loop.now() + grace();
  {
    TaskGroup stops;
    for (auto& c : containers_) {
      c->pull.cancel();
      c->kill_why.clear();
      if (c->kind != Kind::sidecar) stops.start(stop_one(this, c.get(), deadline));
    }
    co_await stops.join();
  }
  for (auto it = containers_.rbegin(); it != containers_.rend(); ++it)
    if ((*it)->kind == Kind::sidecar) co_await stop_one(this, it->get(), deadline);
  for (auto& c : containers_) {
    stop_probes(*c);
    c->waiting_reason.clear();
    if (auto exited = current(*c); exited && exited->state == engine::ContainerState::exited) take_exit_message(*exited);
  }
}

// Removes the sandbox, the network and the volumes; false when something would not go yet.
Task<bool> PodWorker::clean_up() {
  auto report = [&](std::string_view what, const Error& error) {
    log::warn("node", "pod not yet cleaned up", {{"pod", client::key_of(pod_)}, {"step", what}, {"error", error}});
    end_backoff_.failed_waiting(context_.loop.now());
    wake_at(end_backoff_.next());
  };
  if (auto removed = co_await context_.engine.remove_sandbox(uid_); !removed) {
    report("sandbox", removed.error());
    co_return false;
  }
  sandbox_ready_ = false;
  if (!co_await release_claims()) co_return false;
  if (auto detached = co_await context_.network.detach(uid_); !detached) {
    report("network", detached.error());
    co_return false;
  }
  if (auto removed = co_await volumes_.remove(); !removed) {
    if (!gone_) event(client::EventType::warning, "FailedUnMount", removed.error().message);
    report("volumes", removed.error());
    co_return false;
  }
  if (context_.user_ids) context_.user_ids->release(uid_);
  unlink_logs(context_.options, spec());
  co_return true;
}

Task<void> PodWorker::delete_object() {
  for (;;) {
    auto deleted = co_await context_.client.remove(client::pods, pod_.meta().ns, pod_.meta().name, {.grace_seconds = 0, .uid = uid_});
    if (deleted || deleted.error().code == Code::not_found || deleted.error().code == Code::conflict) co_return;
    log::warn("node", "pod not deleted from the API", {{"pod", client::key_of(pod_)}, {"error", deleted.error()}});
    co_await sleep_for(1s);
  }
}

Task<void> PodWorker::end() {
  if (!end_backoff_.allowed(context_.loop.now())) {
    wake_at(end_backoff_.next());
    co_return;
  }
  co_await stop_all();
  // The last status, with the exit codes: whoever watches the pod sees how it ended.
  if (!gone_ || static_) (void)co_await put_status(status());
  if (!co_await clean_up()) co_return;
  if (!gone_) co_await delete_object();
  finished_ = true;
}

// The pod has Succeeded or Failed: nothing runs any more, but its status and logs stay until it is deleted.
Task<void> PodWorker::rest() {
  co_await stop_all();
  stopping_ = false;
  if (!co_await release_claims()) co_return;  // its end is told then
  if (auto stopped = co_await context_.engine.stop_sandbox(uid_, 0s); !stopped)
    log::warn("node", "sandbox not stopped", {{"pod", client::key_of(pod_)}, {"error", stopped.error()}});
  sandbox_ready_ = false;
  (void)co_await context_.network.detach(uid_);
  if (evicted()) co_await drop_content();
  if (context_.csi) context_.csi->release_later(uid_);  // others may want what it had
  rested_ = true;
  if (context_.room_made) context_.room_made();
  status_changed();
}

}  // namespace estiba::node
