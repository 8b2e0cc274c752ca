#include "engine/engine.h"

#include <unistd.h>

#include "engine/engine_impl.h"

namespace estiba::engine {
namespace {

std::string beside_this_program(const char* name) {
  char path[4096];
  ssize_t n = ::readlink("/proc/self/exe", path, sizeof path);
  std::string_view self(path, n > 0 ? size_t(n) : 0);
  size_t slash = self.rfind('/');
  return slash == self.npos ? name : std::string(self.substr(0, slash + 1)) + name;
}

}  // namespace

std::string_view reason_of(const Error& error) { return error.details ? std::string_view(error.details->reason) : std::string_view(); }

Result<std::unique_ptr<Engine>> make_engine(Options options, Executor& executor, io::Pool& pool) {
  if (options.oci_program.empty()) options.oci_program = beside_this_program("estiba-oci");
  auto store = TRY(image::Store::open(options.data_dir));
  return std::make_unique<EngineImpl>(std::move(options), executor, pool, std::move(store));
}

EngineImpl::EngineImpl(Options options, Executor& executor, io::Pool& pool, std::shared_ptr<image::Store> store)
    : options_(std::move(options)),
      paths_{options_.data_dir, options_.run_dir},
      executor_(executor),
      pool_(pool),
      store_(std::move(store)),
      roots_(std::make_shared<Roots>(paths_, store_, [&pool](std::function<void()> work) { pool.submit(std::move(work)); })) {}

EngineImpl::~EngineImpl() {
  for (auto& [reference, pull] : pulls_) pull->stop->stop();
  // Sessions may outlive the engine and hold the clients; their events must not come here any more.
  for (auto& [uid, pod] : pods_)
    if (pod->shim) pod->shim->on_event(nullptr);
  roots_->settle();
}

PodRef EngineImpl::find_pod(std::string_view uid) const {
  auto it = pods_.find(uid);
  return it == pods_.end() ? nullptr : it->second;
}

std::pair<PodRef, ContainerRef> EngineImpl::find_container(std::string_view id) const {
  for (const auto& [uid, pod] : pods_)
    for (const auto& container : pod->containers)
      if (container->record.status.id == id) return {pod, container};
  return {};
}

Result<EngineImpl::Live> EngineImpl::live(std::string_view id, bool running) const {
  auto [pod, container] = find_container(id);
  if (!container) return fail(Code::not_found, "container " + std::string(id) + " does not exist");
  if (running && container->status().state != ContainerState::running)
    return fail(Code::conflict, "container " + container->status().name + " is not running");
  if (!pod->shim || pod->shim->closed())
    return fail(Code::unavailable, "the shim of pod " + pod->record.ns + "/" + pod->record.name + " does not answer");
  return Live{pod, container, pod->shim};
}

void EngineImpl::emit(Event::Type type, const Pod& pod, std::string_view container_id) {
  const Event event{type, pod.record.uid, std::string(container_id)};
  for (size_t i = 0; i < callbacks_.size(); ++i) callbacks_[i](event);
}

namespace {

SandboxStatus status_of(const Pod& pod) {
  const SandboxRecord& r = pod.record;
  SandboxStatus out{r.uid,        r.name,          r.ns,      r.owner,  pod.ready,     r.created, pod.shim_pid,
                    r.netns_path, r.cgroup_parent, r.log_dir, r.labels, r.annotations, {}};
  for (const auto& container : pod.containers) out.containers.push_back(container->record.status);
  return out;
}

}  // namespace

std::optional<SandboxStatus> EngineImpl::sandbox(std::string_view uid) const {
  PodRef pod = find_pod(uid);
  return pod ? std::optional(status_of(*pod)) : std::nullopt;
}

std::vector<SandboxStatus> EngineImpl::sandboxes() const {
  std::vector<SandboxStatus> out;
  for (const auto& [uid, pod] : pods_) out.push_back(status_of(*pod));
  return out;
}

std::optional<ContainerStatus> EngineImpl::container(std::string_view id) const {
  auto [pod, container] = find_container(id);
  return container ? std::optional(container->record.status) : std::nullopt;
}

}  // namespace estiba::engine
