// EngineImpl: containers.
#include <atomic>

#include "base/strings.h"
#include "engine/bundle.h"
#include "engine/engine_impl.h"
#include "image/overlay.h"
#include "runtime/pod_group.h"

namespace estiba::engine {

ContainerRef EngineImpl::enter(Pod& pod, const ContainerSpec& spec) {
  auto container = std::make_shared<Container>();
  ContainerRecord& record = container->record;
  record.tty = spec.tty;
  record.stdin_open = spec.stdin_open;
  record.stdin_once = spec.stdin_once;
  record.keep_root = spec.keep_root;
  record.log_max_bytes = spec.log_max_bytes;
  record.log_max_files = spec.log_max_files;
  ContainerStatus& status = record.status;
  status.id = spec.id;
  status.name = spec.name;
  status.pod_uid = pod.record.uid;
  status.attempt = spec.attempt;
  status.image = spec.image;
  status.created = executor_.wall_now();
  status.labels = spec.labels;
  status.annotations = spec.annotations;
  if (!spec.log_path.empty() && !pod.record.log_dir.empty()) status.log_path = pod.record.log_dir + "/" + spec.log_path;
  pod.containers.push_back(container);
  return container;
}

Task<Result<std::string>> EngineImpl::create_container(std::string pod_uid, ContainerSpec spec) {
  PodRef pod = find_pod(pod_uid);
  if (!pod || !pod->ready || pod->removing)
    co_return failed(reason::create_container, Code::not_found, "there is no running sandbox " + pod_uid);
  if (spec.id.empty()) spec.id = hex_encode(random_bytes(32));
  if (spec.id.find('/') != std::string::npos)
    co_return failed(reason::create_container, Code::invalid, "container id " + quoted(spec.id) + " has a slash");
  if (find_container(spec.id).second) co_return failed(reason::create_container, Code::already_exists, "container " + spec.id + " exists");
  ContainerRef container = enter(*pod, spec);
  const std::string what = "container " + spec.name + " of pod " + pod->record.ns + "/" + pod->record.name;
  auto prepared =
      co_await pool_.run([store = store_, roots = roots_, paths = paths_, oci = options_.oci_program, cdi = options_.cdi_spec_dirs,
                          sandbox = pod->record, spec = std::move(spec), record = container->record]() mutable {
        return prepare_container({paths, *store, *roots, oci, cdi}, sandbox, spec, std::move(record));
      });
  if (!prepared) {
    std::erase(pod->containers, container);
    co_return reasoned(reason::create_container, within(what, Result<std::string>(std::unexpected(std::move(prepared.error())))));
  }
  container->record = std::move(*prepared);
  if (pod->removing) {  // what was just made came too late for the removal to see it
    CO_TRY_AS(what, co_await pool_.run(
                        [paths = paths_, roots = roots_, record = container->record] { return clear_container(paths, *roots, record); }));
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
  container.settle();
  if (!started) {
    Error error = started.error();
    // Without its shim the container's state is not ours to tell: shim_lost() does.
    if (!found->shim->closed()) co_await start_failed(*found, error);
    co_return reasoned(reason::run_container, within(what, Result<void>(std::unexpected(std::move(error)))));
  }
  set_running(*found->pod, found->container, *started);
  if (container.early_exit) {
    auto exit = *std::exchange(container.early_exit, std::nullopt);
    set_exited(*found->pod, found->container, exit.exit_code, exit.signal, exit.oom_killed, exit.at);
  }
  co_return {};
}

void EngineImpl::set_running(const Pod& pod, const ContainerRef& container, const runtime::ContainerInfo& info) {
  ContainerStatus& status = container->status();
  if (status.state != ContainerState::created) return;
  status.state = ContainerState::running;
  container->shim = pod.shim;
  status.pid = info.pid;
  status.started = info.started_at == WallTime{} ? executor_.wall_now() : info.started_at;
  emit(Event::Type::container_started, pod, status.id);
}

runtime::ContainerOptions EngineImpl::start_options(const ContainerRecord& record) const {
  runtime::ContainerOptions options;
  options.id = record.status.id;
  options.bundle = paths_.bundle(record.status.pod_uid, record.status.id);
  options.log = {record.status.log_path, record.log_max_bytes, record.log_max_files};
  options.stdin_open = record.stdin_open;
  options.stdin_once = record.stdin_once;
  return options;
}

Task<Result<runtime::ContainerInfo>> EngineImpl::start_in_shim(Live live) {
  runtime::ContainerOptions options = start_options(live.container->record);
  auto started = co_await live.shim->run_container(options, take_early(live.container));
  if (started || started.error().code != Code::unsupported) co_return started;
  // A shim of an older program, which lives as long as its pod.
  CO_TRY(co_await live.shim->create_container(std::move(options)));
  started = co_await live.shim->start(live.container->status().id);
  if (!started) (void)co_await live.shim->remove(live.container->status().id, true);
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
    auto asked = co_await shim->stop(id, container->record.status.stop_signal, grace);
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
  CO_TRY_AS("remove container " + id, co_await pool_.run([paths = paths_, roots = roots_, record = container->record] {
    return clear_container(paths, *roots, record);
  }));
  std::erase(pod->containers, container);
  if (!container->streams_taken) drop_early(id);  // else who attached since then waits for the next start
  container->exited.set();                        // whoever waits for one that never ran
  co_return {};
}

Task<Result<ContainerStatus>> EngineImpl::wait(std::string id) {
  ContainerRef container = find_container(id).second;
  if (!container) co_return fail(Code::not_found, "container " + id + " does not exist");
  co_await container->exited.wait();
  if (container->status().state != ContainerState::exited)
    co_return fail(Code::cancelled, "container " + container->status().name + " was removed before it ran");
  co_return container->status();
}

Task<Result<ContainerStats>> EngineImpl::stats(std::string id, bool disk) {
  Live found = CO_TRY(live(id, true));
  auto seen = CO_TRY(co_await found.shim->stats(id));
  ContainerStats out;
  out.id = id;
  out.at = seen.at;
  out.cpu_ns = seen.cpu_usage_ns;
  out.cpu_user_ns = seen.cpu_user_ns;
  out.cpu_system_ns = seen.cpu_system_ns;
  out.cpu_each_ns = std::move(seen.cpu_each_ns);
  out.cpu_periods = seen.cpu_periods;
  out.cpu_throttled_periods = seen.cpu_throttled_periods;
  out.cpu_throttled_ns = seen.cpu_throttled_ns;
  out.memory_bytes = seen.memory_usage;
  out.working_set_bytes = seen.memory_working_set;
  out.rss_bytes = seen.memory_rss;
  out.memory_max_bytes = seen.memory_max;
  out.memory_limit_bytes = seen.memory_limit;
  out.memory_failures = seen.memory_failures;
  out.memory_stat = std::move(seen.memory_stat);
  out.oom_kills = seen.oom_kills;
  out.pids = seen.pids;
  out.pids_limit = seen.pids_limit;
  for (const auto& io : seen.io) {
    out.io.push_back({io.major, io.minor, "read", io.read_bytes, io.read_ops});
    out.io.push_back({io.major, io.minor, "write", io.write_bytes, io.write_ops});
  }
  if (!disk) co_return out;
  auto usage = co_await pool_.run([path = upper_dir(id)] { return image::disk_usage(path); });
  if (usage) {
    out.rootfs_bytes = usage->bytes;
    out.rootfs_inodes = usage->inodes;
  }
  co_return out;
}

Task<Result<void>> EngineImpl::kill(std::string id, int signal, bool all) {
  Live found = CO_TRY(live(id, true));
  co_return co_await found.shim->kill(id, signal, all);
}

Task<Result<void>> EngineImpl::pause(std::string id) {
  Live found = CO_TRY(live(id, true));
  if (found.container->status().paused)
    co_return fail(Code::conflict, "container " + found.container->status().name + " is already paused");
  CO_TRY(co_await found.shim->pause(id));
  if (found.container->status().state == ContainerState::running) found.container->status().paused = true;
  co_return {};
}

Task<Result<void>> EngineImpl::unpause(std::string id) {
  Live found = CO_TRY(live(id, true));
  if (!found.container->status().paused) co_return fail(Code::conflict, "container " + found.container->status().name + " is not paused");
  CO_TRY(co_await found.shim->resume(id));
  found.container->status().paused = false;
  co_return {};
}

Task<Result<void>> EngineImpl::update(std::string id, Resources resources) {
  if (PodRef pod = find_container(id).second ? nullptr : find_pod(id)) {
    if (pod->record.cgroup_parent.empty()) co_return fail(Code::unsupported, "sandbox " + id + " has no control group");
    co_return co_await pool_.run(
        [group = pod->record.cgroup_parent, limits = resources_json(resources)] { return runtime::update_pod_group(group, limits); });
  }
  Live found = CO_TRY(live(id, true));
  co_return co_await found.shim->update(id, resources_json(resources));
}

Task<Result<void>> EngineImpl::resize(std::string id, uint16_t columns, uint16_t rows) {
  Live found = CO_TRY(live(id, true));
  co_return co_await found.shim->resize_container(id, columns, rows);
}

Task<Result<std::vector<int>>> EngineImpl::top(std::string id) {
  Live found = CO_TRY(live(id, true));
  co_return co_await found.shim->pids(id);
}

Task<Result<void>> EngineImpl::make_root(std::string id, std::string image, bool passing) {
  co_return co_await pool_.run([roots = roots_, id, image, passing] { return roots->make(id, image, passing); });
}

namespace {

// Gives a mounted root back when nobody waits for it any more. Who comes second, the pool or the end of the waiting, does it.
class Waiting {
 public:
  Waiting(io::Pool& pool, std::shared_ptr<Roots> roots, std::string id) : pool_(pool), roots_(std::move(roots)), id_(std::move(id)) {}
  ~Waiting() {
    if (!taken_ && state_->exchange(2) == 1) pool_.submit([roots = roots_, id = id_] { roots->release(id); });
  }
  auto work() const {
    return [state = state_, roots = roots_, id = id_] {
      auto held = roots->hold(id);
      if (held && state->exchange(1) == 2) roots->release(id);
      return held;
    };
  }
  void taken() { taken_ = true; }

 private:
  io::Pool& pool_;
  std::shared_ptr<Roots> roots_;
  const std::string id_;
  std::shared_ptr<std::atomic<int>> state_ = std::make_shared<std::atomic<int>>(0);
  bool taken_ = false;
};

}  // namespace

Task<Result<std::string>> EngineImpl::mount_root(std::string id) {
  Waiting waiting(pool_, roots_, id);
  auto held = co_await pool_.run(waiting.work());
  waiting.taken();
  co_return held;
}

Task<Result<void>> EngineImpl::unmount_root(std::string id) {
  co_await pool_.run([roots = roots_, id] { roots->release(id); });
  co_return {};
}

Task<Result<void>> EngineImpl::remove_root(std::string id, bool unshared) {
  if (find_container(id).second) co_return fail(Code::conflict, "the root of container " + id + " is in use by it");
  drop_early(id);
  co_return co_await pool_.run([roots = roots_, id, unshared] { return roots->remove(id, unshared); });
}

Task<Result<void>> EngineImpl::reopen_log(std::string id) {
  Live found = CO_TRY(live(id, true));
  co_return co_await found.shim->reopen_log(id);
}

}  // namespace estiba::engine
