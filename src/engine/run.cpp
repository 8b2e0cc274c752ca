// EngineImpl: sandbox and container in one go, and the shims that wait for it.
#include "base/strings.h"
#include "engine/bundle.h"
#include "engine/engine_impl.h"

namespace estiba::engine {

Task<Result<ContainerStatus>> EngineImpl::run(SandboxSpec sandbox, ContainerSpec spec) {
  if (sandbox.uid.empty() || sandbox.uid.find('/') != std::string::npos)
    co_return failed(reason::create_sandbox, Code::invalid, "a sandbox needs a uid without slashes");
  if (spec.id.empty()) spec.id = hex_encode(random_bytes(32));
  if (spec.id.find('/') != std::string::npos)
    co_return failed(reason::create_container, Code::invalid, "container id " + quoted(spec.id) + " has a slash");
  if (find_pod(sandbox.uid)) co_return failed(reason::create_sandbox, Code::conflict, "sandbox " + sandbox.uid + " is there already");
  if (find_container(spec.id).second) co_return failed(reason::create_container, Code::already_exists, "container " + spec.id + " exists");
  auto pod = std::make_shared<Pod>();
  pod->record = record_of(sandbox, executor_.wall_now());
  pods_.emplace(sandbox.uid, pod);
  ContainerRef container = enter(*pod, spec);
  container->starting = true;
  // As in run_sandbox: it goes on when the caller is dropped, and a removal waits for it.
  pod->launching = Job([](EngineImpl* engine, Pod* pod, ContainerRef container, SandboxSpec sandbox, ContainerSpec spec) -> Task<void> {
    auto launched = co_await engine->launch_running(pod, container, std::move(sandbox), std::move(spec));
    container->settle();
    // One that was not even made holds nothing that destroy() would have to give back.
    if (!launched && container->record.phase == ContainerRecord::Phase::created) container->record.phase = ContainerRecord::Phase::failed;
    pod->launched = std::move(launched);
  }(this, pod.get(), container, std::move(sandbox), std::move(spec)));
  co_await pod->launching.join();
  Result<void> launched = std::move(*pod->launched);
  if (launched) co_return container->status();
  (void)co_await destroy(pod);
  co_return within("container " + container->status().name, Result<ContainerStatus>(std::unexpected(std::move(launched.error()))));
}

Task<Result<void>> EngineImpl::launch_running(Pod* pod, ContainerRef container, SandboxSpec sandbox, ContainerSpec spec) {
  runtime::PodOptions options = pod_options(sandbox, paths_, options_.oci_program);
  struct Made {
    ContainerRecord record;
    Fd shim;
  };
  Fd waiting = take_waiting_shim();
  auto made = co_await pool_.run([store = store_, roots = roots_, paths = paths_, oci = options_.oci_program, cdi = options_.cdi_spec_dirs,
                                  sandbox = std::move(sandbox), spec = std::move(spec), pod = pod->record, record = container->record,
                                  waiting = std::move(waiting)]() mutable -> Result<Made> {
    TRY(reasoned(reason::create_sandbox, prepare_pod(paths, pod, sandbox)));
    record = TRY(reasoned(reason::create_container, prepare_container({paths, *store, *roots, oci, cdi}, pod, spec, std::move(record))));
    if (!waiting) waiting = TRY(reasoned(reason::create_sandbox, runtime::ShimClient::start_waiting(oci)));
    return Made{std::move(record), std::move(waiting)};
  });
  if (!made) co_return std::unexpected(std::move(made.error()));
  container->record = std::move(made->record);
  auto launched =
      reasoned(reason::create_sandbox, co_await runtime::ShimClient::launch(std::move(options), start_options(container->record),
                                                                            take_early(container), std::move(made->shim)));
  if (!launched) co_return std::unexpected(std::move(launched.error()));
  pod->shim = std::move(launched->client);
  pod->shim_pid = launched->shim_pid;
  if (!launched->container)
    co_return reasoned(reason::run_container, Result<void>(std::unexpected(std::move(launched->container.error()))));
  pod->ready = true;
  container->settle();
  set_running(*pod, container, *launched->container);
  // Events have waited until now.
  if (PodRef kept = find_pod(pod->record.uid)) watch(kept);
  co_return {};
}

Fd EngineImpl::take_waiting_shim() {
  Fd out;
  if (!waiting_shims_.empty()) {
    out = std::move(waiting_shims_.back());
    waiting_shims_.pop_back();
  }
  if (recovered_.is_set() && !filling_shims_) tasks_.start(fill_waiting_shims());
  return out;
}

Task<void> EngineImpl::fill_waiting_shims() {
  filling_shims_ = true;
  while (waiting_shims_.size() < options_.waiting_shims) {
    auto started = co_await pool_.run([program = options_.oci_program] { return runtime::ShimClient::start_waiting(program); });
    if (!started) {
      log::warn("engine", "a shim could not be started ahead of need", {{"error", started.error()}});
      break;
    }
    waiting_shims_.push_back(std::move(*started));
  }
  filling_shims_ = false;
}

}  // namespace estiba::engine
