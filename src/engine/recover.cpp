// EngineImpl: finding again what an earlier engine left.
#include <algorithm>
#include <set>

#include "engine/engine_impl.h"
#include "engine/files.h"
#include "image/overlay.h"
#include "volume/shared_memory.h"

namespace estiba::engine {
namespace {

struct Found {
  std::optional<SandboxRecord> sandbox;  ///< none: killed before it was written
  bool removing = false;
  std::vector<ContainerRecord> containers;
};

Found read_pod(const Paths& paths, Roots& roots, const std::string& uid) {
  Found out;
  const std::string files = paths.files(uid);
  if (auto text = read_file(files + "/sandbox.json")) {
    if (auto record = parse_sandbox_record(*text)) out.sandbox = std::move(*record);
    else log::warn("engine", "a sandbox's record cannot be read", {{"pod", uid}, {"error", record.error()}});
  }
  out.removing = read_file(files + "/removing").has_value();
  auto ids = list_names(files + "/containers");
  for (const auto& id : ids ? *ids : std::vector<std::string>()) {
    auto text = read_file(paths.bundle(uid, id) + "/container.json");
    auto record = text ? parse_container_record(*text) : Result<ContainerRecord>(std::unexpected(text.error()));
    if (!record) {
      ContainerRecord broken;
      broken.status.id = id;
      broken.status.pod_uid = uid;
      broken.keep_root = roots.kept(id);
      (void)clear_container(paths, roots, std::move(broken));
      continue;
    }
    if (record->phase == ContainerRecord::Phase::creating) (void)clear_container(paths, roots, std::move(*record));
    else out.containers.push_back(std::move(*record));
  }
  std::sort(out.containers.begin(), out.containers.end(), [](const auto& a, const auto& b) { return a.status.created < b.status.created; });
  return out;
}

/// Roots that belong to no container any more. Those that are kept are unmounted.
Result<void> clear_orphans(const Paths& paths, Roots& roots, const std::set<std::string>& known) {
  for (const auto& id : TRY(list_names(paths.data_dir + "/containers"))) {
    if (known.contains(std::string(Roots::owner_of(id))) || id.starts_with('.')) continue;
    if (roots.kept(id)) roots.release(id);
    else if (auto done = roots.discard(id); !done)
      log::warn("engine", "an orphaned container root stays", {{"container", id}, {"error", done.error()}});
  }
  roots.settle();
  return {};
}

}  // namespace

Task<Result<void>> EngineImpl::recover() {
  if (std::exchange(recovering_, true)) {
    co_await recovered_.wait();
    co_return recovery_;
  }
  recovery_ = co_await recover_all();
  recovered_.set();
  if (recovery_ && !filling_shims_) tasks_.start(fill_waiting_shims());
  co_return recovery_;
}

Task<Result<void>> EngineImpl::recover_all() {
  auto uids = CO_TRY(co_await pool_.run([path = paths_.pods()] { return list_names(path); }));
  TaskGroup group;
  for (auto& uid : uids) group.start(recover_pod(std::move(uid)));
  co_await group.join();
  std::set<std::string> known;
  for (const auto& [uid, pod] : pods_)
    for (const auto& container : pod->containers) {
      known.insert(container->status().id);
      if (container->record.keep_root) roots_->adopt(container->status().id);
    }
  CO_TRY(co_await pool_.run([paths = paths_, roots = roots_, known = std::move(known), store = store_]() -> Result<void> {
    TRY(clear_orphans(paths, *roots, known));
    if (auto freed = store->collect(); !freed) log::warn("engine", "images could not be collected", {{"error", freed.error()}});
    return {};
  }));
  co_return {};
}

Task<void> EngineImpl::recover_pod(std::string uid) {
  Found found = co_await pool_.run([paths = paths_, roots = roots_, uid] { return read_pod(paths, *roots, uid); });
  auto pod = std::make_shared<Pod>();
  pod->record.uid = uid;
  if (found.sandbox) pod->record = std::move(*found.sandbox);
  for (auto& record : found.containers) {
    auto container = std::make_shared<Container>();
    container->record = std::move(record);
    if (container->status().state == ContainerState::exited) container->exited.set();
    pod->containers.push_back(std::move(container));
  }
  pods_.insert_or_assign(uid, pod);
  auto shim = co_await runtime::ShimClient::connect(paths_.pod(uid));
  if (shim) {
    pod->shim = std::move(*shim);
    watch(pod);
    if (found.sandbox && !found.removing) {
      auto adopted = co_await adopt_state(pod);
      pod->ready = adopted.has_value() && !pod->record.stopped;
      if (adopted) co_return;
      log::error("engine", "a shim that was found does not answer", {{"pod", uid}, {"error", adopted.error()}});
    }
  } else if (found.sandbox && !found.removing && !pod->containers.empty()) {
    // Its shim died while nobody looked: what is known of its containers is kept until the node removes the sandbox.
    co_await shim_lost(pod);
    co_return;
  }
  if (auto cleared = co_await destroy(pod); !cleared)
    log::error("engine", "what is left of a sandbox could not be removed", {{"pod", uid}, {"error", cleared.error()}});
}

}  // namespace estiba::engine
