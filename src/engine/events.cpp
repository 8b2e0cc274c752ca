// EngineImpl: what shims tell, and what to do when one is gone.
#include "engine/engine_impl.h"
#include "volume/shared_memory.h"

namespace estiba::engine {

void EngineImpl::watch(const PodRef& pod) {
  pod->shim->on_event([this, weak = std::weak_ptr<Pod>(pod)](const runtime::ShimEvent& event) {
    if (PodRef alive = weak.lock()) handle(alive, event);
  });
}

void EngineImpl::handle(const PodRef& pod, const runtime::ShimEvent& event) {
  if (event.kind == runtime::ShimEvent::Kind::disconnected) {
    if (!pod->removing) tasks_.start(shim_lost(pod));
    return;
  }
  ContainerRef container;
  for (const auto& c : pod->containers)
    if (c->status().id == event.container) container = c;
  if (!container) return;
  if (event.kind == runtime::ShimEvent::Kind::oom) emit(Event::Type::oom, *pod, event.container);
  if (event.kind != runtime::ShimEvent::Kind::container_exit) return;
  if (container->starting) container->early_exit = event;
  else set_exited(*pod, container, event.exit_code, event.signal, event.oom_killed, event.at);
}

void EngineImpl::set_exited(const Pod& pod, const ContainerRef& container, int code, int signal, bool oom, WallTime at) {
  ContainerStatus& status = container->status();
  if (status.state == ContainerState::exited) return;
  status.state = ContainerState::exited;
  status.pid = 0;
  status.paused = false;
  status.exit_code = code;
  status.signal = signal;
  status.oom_killed = oom;
  status.finished = at == WallTime{} ? executor_.wall_now() : at;
  status.reason = oom ? "OOMKilled" : code == 0 ? "Completed" : "Error";
  container->exited.set();
  emit(Event::Type::container_exited, pod, status.id);
}

Task<Result<void>> EngineImpl::adopt_state(PodRef pod) {
  ShimRef shim = pod->shim;
  runtime::PodInfo info = CO_TRY(co_await shim->state());
  pod->shim_pid = info.shim_pid;
  for (const auto& seen : info.containers) {
    ContainerRef container;
    for (const auto& c : pod->containers)
      if (c->status().id == seen.id) container = c;
    const bool ran = seen.status == runtime::ContainerStatus::running || seen.status == runtime::ContainerStatus::paused ||
                     seen.status == runtime::ContainerStatus::stopped;
    // Unknown to us: its removal was under way. Created only: its start was; it is made again from its bundle.
    if (!container || !ran) {
      CO_TRY(co_await shim->remove(seen.id, true));
      continue;
    }
    ContainerStatus& status = container->status();
    if (status.state == ContainerState::exited) continue;
    status.started = seen.started_at;
    if (seen.status == runtime::ContainerStatus::stopped) {
      set_exited(*pod, container, seen.exit_code, seen.signal, seen.oom_killed, seen.finished_at);
    } else {
      status.state = ContainerState::running;
      status.pid = seen.pid;
      status.paused = seen.status == runtime::ContainerStatus::paused;
    }
  }
  co_return {};
}

Task<void> EngineImpl::shim_lost(PodRef pod) {
  const std::string dir = paths_.pod(pod->record.uid);
  if (auto again = co_await runtime::ShimClient::connect(dir)) {
    pod->shim = std::move(*again);
    watch(pod);
    if (auto adopted = co_await adopt_state(pod)) co_return;
  }
  if (pod->removing) co_return;
  log::error("engine", "the shim of a pod is gone", {{"pod", pod->record.ns + "/" + pod->record.name}, {"uid", pod->record.uid}});
  pod->ready = false;
  auto last = co_await pool_.run([dir, shm = paths_.files(pod->record.uid) + "/shm"] {
    (void)volume::unmount_memory(shm);
    return runtime::cleanup_pod(dir);
  });
  if (!last) log::error("engine", "what a shim left could not be cleared", {{"pod", pod->record.uid}, {"error", last.error()}});
  for (const auto& container : pod->containers) {
    std::optional<runtime::ContainerInfo> known;
    if (last)
      for (const auto& seen : *last)
        if (seen.id == container->status().id) known = seen;
    // After a restart only the shim's own notes tell that a container has run.
    if (container->status().state != ContainerState::running && !container->starting && !known) continue;
    if (known && known->status == runtime::ContainerStatus::stopped) {
      container->status().started = known->started_at;
      set_exited(*pod, container, known->exit_code, known->signal, known->oom_killed, known->finished_at);
    } else {
      container->status().message = "the pod's shim ended unexpectedly";
      set_exited(*pod, container, 137, 9, false, {});
    }
  }
  emit(Event::Type::sandbox_died, *pod);
}

}  // namespace estiba::engine
