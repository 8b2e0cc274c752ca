// EngineImpl: containers.
#include "base/strings.h"
#include "engine/engine_impl.h"
#include "image/overlay.h"

namespace estiba::engine {

Task<Result<std::string>> EngineImpl::create_container(std::string pod_uid, ContainerSpec spec) {
  PodRef pod = find_pod(pod_uid);
  if (!pod || !pod->ready || pod->removing)
    co_return failed(reason::create_container, Code::not_found, "there is no running sandbox " + pod_uid);
  if (spec.id.empty()) spec.id = hex_encode(random_bytes(32));
  if (spec.id.find('/') != std::string::npos)
    co_return failed(reason::create_container, Code::invalid, "container id " + quoted(spec.id) + " has a slash");
  if (find_container(spec.id).second) co_return failed(reason::create_container, Code::already_exists, "container " + spec.id + " exists");
  auto container = std::make_shared<Container>();
  ContainerRecord& record = container->record;
  record.tty = spec.tty;
  record.stdin_open = spec.stdin_open;
  record.stdin_once = spec.stdin_once;
  ContainerStatus& status = record.status;
  status.id = spec.id;
  status.name = spec.name;
  status.pod_uid = pod_uid;
  status.attempt = spec.attempt;
  status.image = spec.image;
  status.created = executor_.wall_now();
  status.labels = spec.labels;
  status.annotations = spec.annotations;
  if (!spec.log_path.empty() && !pod->record.log_dir.empty()) status.log_path = pod->record.log_dir + "/" + spec.log_path;
  pod->containers.push_back(container);

  const std::string what = "container " + spec.name + " of pod " + pod->record.ns + "/" + pod->record.name;
  auto prepared = co_await pool_.run([store = store_, paths = paths_, sandbox = pod->record, spec = std::move(spec), record]() mutable {
    return prepare_container(*store, paths, sandbox, spec, std::move(record));
  });
  if (!prepared) {
    std::erase(pod->containers, container);
    co_return reasoned(reason::create_container, within(what, Result<std::string>(std::unexpected(std::move(prepared.error())))));
  }
  container->record = std::move(*prepared);
  if (pod->removing) {  // what was just made came too late for the removal to see it
    CO_TRY_AS(what, co_await pool_.run([paths = paths_, record = container->record] { return clear_container(paths, record); }));
    co_return failed(reason::create_container, Code::conflict, what + ": the sandbox is being removed");
  }
  co_return container->status().id;
}

Task<Result<void>> EngineImpl::start_container(std::string id) {
  auto found = live(id, false);
  if (!found) co_return reasoned(reason::run_container, Result<void>(std::unexpected(std::move(found.error()))));
  Container& container = *found->container;
  const std::string what = "container " + container.status().name + " of pod " + found->pod->record.ns + "/" + found->pod->record.name;
  if (container.starting || container.status().state != ContainerState::created ||
      container.record.phase != ContainerRecord::Phase::created)
    co_return failed(reason::run_container, Code::conflict, what + " has been started already");
  container.starting = true;
  auto started = co_await start_in_shim(*found);
  container.starting = false;
  if (!started) {
    Error error = started.error();
    // Without its shim the container's state is not ours to tell: shim_lost() does.
    if (!found->shim->closed()) co_await start_failed(*found, error);
    co_return reasoned(reason::run_container, within(what, Result<void>(std::unexpected(std::move(error)))));
  }
  ContainerStatus& status = container.status();
  if (status.state == ContainerState::created) {
    status.state = ContainerState::running;
    status.pid = started->pid;
    status.started = started->started_at == WallTime{} ? executor_.wall_now() : started->started_at;
    emit(Event::Type::container_started, *found->pod, id);
  }
  if (container.early_exit) {
    auto exit = *std::exchange(container.early_exit, std::nullopt);
    set_exited(*found->pod, found->container, exit.exit_code, exit.signal, exit.oom_killed, exit.at);
  }
  co_return {};
}

Task<Result<runtime::ContainerInfo>> EngineImpl::start_in_shim(Live live) {
  const ContainerRecord& record = live.container->record;
  runtime::ContainerOptions options;
  options.id = record.status.id;
  options.bundle = paths_.bundle(record.status.pod_uid, record.status.id);
  options.log.path = record.status.log_path;
  options.stdin_open = record.stdin_open;
  options.stdin_once = record.stdin_once;
  CO_TRY(co_await live.shim->create_container(std::move(options)));
  auto started = co_await live.shim->start(record.status.id);
  if (!started) (void)co_await live.shim->remove(record.status.id, true);
  co_return started;
}

/// The container counts as having run and failed at once, which is how Kubernetes shows it.
Task<void> EngineImpl::start_failed(Live live, Error error) {
  ContainerRecord& record = live.container->record;
  record.phase = ContainerRecord::Phase::failed;
  record.status.state = ContainerState::exited;
  record.status.exit_code = 128;
  record.status.reason = "StartError";
  record.status.message = error.message;
  record.status.finished = executor_.wall_now();
  live.container->early_exit.reset();
  live.container->exited.set();
  emit(Event::Type::container_exited, *live.pod, record.status.id);
  auto saved = co_await pool_.run([paths = paths_, record] { return save(paths, record); });
  if (!saved) log::warn("engine", "a failed start could not be noted", {{"container", record.status.id}, {"error", saved.error()}});
}

Task<Result<void>> EngineImpl::stop_container(std::string id, Duration grace) {
  auto [pod, container] = find_container(id);
  if (!container || container->status().state != ContainerState::running) co_return {};
  for (;;) {
    ShimRef shim = pod->shim;
    auto asked = co_await shim->stop(id, container->record.stop_signal, grace);
    // Not found: it ended meanwhile, and the event is on its way.
    if (asked || asked.error().code == Code::not_found) break;
    if (asked.error().code != Code::unavailable) co_return within("stop container " + id, std::move(asked));
    // shim_lost() either tells the container's end or connects again.
    if (co_await container->exited.wait_for(std::chrono::milliseconds(200))) co_return {};
  }
  co_await container->exited.wait();
  co_return {};
}

Task<Result<void>> EngineImpl::remove_container(std::string id) {
  auto [pod, container] = find_container(id);
  if (!container) co_return {};
  if (container->status().state == ContainerState::running || container->starting)
    co_return fail(Code::conflict, "container " + container->status().name + " (" + id + ") is running; stop it first");
  if (ShimRef shim = pod->shim; shim && !shim->closed()) CO_TRY_AS("remove container " + id, co_await shim->remove(id));
  CO_TRY_AS("remove container " + id,
            co_await pool_.run([paths = paths_, record = container->record] { return clear_container(paths, record); }));
  std::erase(pod->containers, container);
  co_return {};
}

Task<Result<ContainerStats>> EngineImpl::stats(std::string id) {
  Live found = CO_TRY(live(id, true));
  auto seen = CO_TRY(co_await found.shim->stats(id));
  ContainerStats out;
  out.id = id;
  out.cpu_ns = seen.cpu_usage_ns;
  out.memory_bytes = seen.memory_usage;
  out.working_set_bytes = seen.memory_working_set;
  out.rss_bytes = seen.memory_rss;
  out.pids = seen.pids;
  auto disk = co_await pool_.run([path = paths_.container(id) + "/upper"] { return image::disk_usage(path); });
  if (disk) {
    out.rootfs_bytes = disk->bytes;
    out.rootfs_inodes = disk->inodes;
  }
  co_return out;
}

Task<Result<void>> EngineImpl::kill(std::string id, int signal) {
  Live found = CO_TRY(live(id, true));
  co_return co_await found.shim->kill(id, signal);
}

Task<Result<void>> EngineImpl::reopen_log(std::string id) {
  Live found = CO_TRY(live(id, true));
  co_return co_await found.shim->reopen_log(id);
}

}  // namespace estiba::engine
