// EngineImpl: sandboxes.
#include "engine/bundle.h"
#include "engine/engine_impl.h"
#include "engine/files.h"
#include "volume/shared_memory.h"

namespace estiba::engine {

Task<Result<void>> EngineImpl::run_sandbox(SandboxSpec spec) {
  if (spec.uid.empty() || spec.uid.find('/') != std::string::npos)
    co_return failed(reason::create_sandbox, Code::invalid, "a sandbox needs a uid without slashes");
  if (PodRef there = find_pod(spec.uid)) {
    if (there->ready && !there->removing) co_return {};
    co_return failed(reason::create_sandbox, Code::conflict, "sandbox " + spec.uid + " has ended and is not yet removed");
  }
  auto pod = std::make_shared<Pod>();
  pod->record = record_of(spec, executor_.wall_now());
  pods_.emplace(spec.uid, pod);
  pod->launching = Job([](EngineImpl* engine, Pod* pod, SandboxSpec spec) -> Task<void> {
    auto launched = co_await engine->launch(pod, std::move(spec));
    pod->launched = std::move(launched);
  }(this, pod.get(), std::move(spec)));
  co_await pod->launching.join();
  Result<void> launched = std::move(*pod->launched);
  if (!launched) {
    co_await destroy(pod);
    co_return reasoned(reason::create_sandbox, within("sandbox of pod " + pod->record.ns + "/" + pod->record.name, std::move(launched)));
  }
  co_return {};
}

SandboxRecord record_of(const SandboxSpec& spec, WallTime now) {
  SandboxRecord out;
  out.uid = spec.uid;
  out.name = spec.name;
  out.ns = spec.ns;
  out.owner = spec.owner;
  out.hostname = spec.hostname;
  out.netns_path = spec.netns_path;
  out.users = spec.users;
  out.cgroup_parent = spec.cgroup_parent;
  out.log_dir = spec.log_dir;
  out.host_pid = spec.host_pid;
  out.host_ipc = spec.host_ipc;
  out.share_process_namespace = spec.share_process_namespace;
  out.created = now;
  out.labels = spec.labels;
  out.annotations = spec.annotations;
  return out;
}

runtime::PodOptions pod_options(const SandboxSpec& spec, const Paths& paths, const std::string& shim) {
  runtime::PodOptions options;
  options.id = spec.uid;
  options.dir = paths.pod(spec.uid);
  options.shim = shim;
  options.network_namespace = spec.netns_path;
  options.user_namespace = spec.users.path;
  options.hostname = spec.hostname;
  options.domainname = spec.domainname;
  options.host_ipc = spec.host_ipc;
  options.share_pid = spec.share_process_namespace;
  options.host_pid = spec.host_pid;
  options.cgroup = spec.cgroup_parent;
  if (std::string limits = resources_json(spec.resources); limits != "{}") options.resources = std::move(limits);
  options.sysctls.assign(spec.sysctls.begin(), spec.sysctls.end());
  return options;
}

Task<Result<void>> EngineImpl::launch(Pod* pod, SandboxSpec spec) {
  runtime::PodOptions options = pod_options(spec, paths_, options_.oci_program);
  CO_TRY(co_await pool_.run([paths = paths_, record = pod->record, spec = std::move(spec)] { return prepare_pod(paths, record, spec); }));
  pod->shim = CO_TRY(co_await runtime::ShimClient::launch(std::move(options)));
  if (PodRef kept = find_pod(pod->record.uid)) watch(kept);
  pod->shim_pid = CO_TRY(co_await pod->shim->state()).shim_pid;
  pod->ready = true;
  co_return {};
}

Task<Result<void>> EngineImpl::stop_sandbox(std::string uid, Duration grace) {
  PodRef pod = find_pod(uid);
  if (!pod) co_return {};
  pod->ready = false;
  pod->record.stopped = true;
  auto saved = co_await pool_.run([paths = paths_, record = pod->record] { return save(paths, record); });
  if (!saved) log::warn("engine", "the stop of a sandbox could not be noted", {{"pod", uid}, {"error", saved.error()}});
  TaskGroup group;
  Result<void> error;
  std::vector<std::string> running;
  for (const auto& container : pod->containers) running.push_back(container->status().id);
  for (auto& id : running) group.start(stop_one(std::move(id), grace, &error));
  co_await group.join();
  co_return error;
}

Task<void> EngineImpl::stop_one(std::string id, Duration grace, Result<void>* first_error) {
  auto done = co_await stop_container(std::move(id), grace);
  if (!done && *first_error) *first_error = std::move(done);
}

Task<Result<void>> EngineImpl::remove_sandbox(std::string uid) {
  PodRef pod = find_pod(uid);
  if (!pod) co_return {};
  pod->removing = true;
  pod->ready = false;
  pod->note_removal = true;
  co_return within("remove sandbox " + uid, co_await destroy(std::move(pod)));
}

Task<Result<void>> EngineImpl::destroy(PodRef pod) {
  pod->removing = true;
  co_await pod->launching.join();
  pod->ready = false;
  const std::string uid = pod->record.uid, dir = paths_.pod(uid);
  // What is mounted below the directory would keep the shim from deleting it.
  auto noted = co_await pool_.run([files = paths_.files(uid), note = std::exchange(pod->note_removal, false)] {
    Result<void> noted;
    if (note) noted = write_file(files + "/removing", "");
    (void)volume::unmount_memory(files + "/shm");
    return noted;
  });
  if (!noted && pod->shim && !pod->shim->closed())
    log::warn("engine", "the removal of a sandbox could not be noted", {{"pod", uid}, {"error", noted.error()}});
  bool gone = false;
  // A shim that we do not talk to may live all the same: its launch was dropped half way, or the connection broke.
  if (!pod->shim || pod->shim->closed())
    if (auto alive = co_await runtime::ShimClient::connect(dir)) pod->shim = std::move(*alive);
  if (pod->shim && !pod->shim->closed()) {
    auto ended = co_await pod->shim->shutdown();
    gone = ended.has_value();
    if (!ended) log::warn("engine", "a shim did not shut down", {{"pod", uid}, {"error", ended.error()}});
  }
  std::vector<std::string> containers;
  for (const auto& container : pod->containers) {
    // One that is being made is cleared by who makes it.
    if (!container->record.keep_root || container->record.phase != ContainerRecord::Phase::creating)
      containers.push_back(container->status().id);
    if (container->status().state == ContainerState::running) set_exited(*pod, container, 137, 9, false, executor_.wall_now());
  }
  auto cleared = co_await pool_.run([paths = paths_, roots = roots_, uid, dir, gone, containers]() -> Result<void> {
    if (!gone) {
      if (auto killed = runtime::cleanup_pod(dir); !killed && killed.error().code != Code::not_found)
        return std::unexpected(std::move(killed.error()));
    }
    return clear_pod(paths, *roots, uid, containers);
  });
  if (!cleared) co_return cleared;
  for (const auto& container : pod->containers) container->exited.set();  // whoever waits for one that never ran
  if (auto it = pods_.find(uid); it != pods_.end() && it->second == pod) pods_.erase(it);
  co_return {};
}

}  // namespace estiba::engine
