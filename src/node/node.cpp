#include "node/node.h"

#include <algorithm>

#include "base/log.h"
#include "node/csi/volumes.h"
#include "node/devices/devices.h"
#include "node/dra/device_claims.h"
#include "node/placement/placement.h"
#include "node/placement/shared_cpus.h"
#include "node/resources.h"
#include "node/streams.h"
#include "node/swap.h"

namespace estiba::node {

Node::Node(Options options, Executor& loop, client::Client& client, engine::Engine& engine, network::Network& network, io::Pool& pool)
    : informers_(client),
      events_(client, loop, "kubelet", options.node_name),
      user_ids_(options.data_dir, options.user_ids_per_pod),
      context_{.options = std::move(options),
               .loop = loop,
               .client = client,
               .informers = informers_,
               .engine = engine,
               .network = network,
               .pool = pool,
               .events = events_,
               .probes = &probes_,
               .user_ids = &user_ids_,
               .room_made = [this] { room_made(); }},
      csi_(context_.options.kubelet_dir.empty() ? nullptr : new CsiVolumes(context_)),
      registration_(context_),
      static_pods_(
          context_, [this](const model::ObjectRef& pod) { start_worker(pod); },
          [this](const std::string& uid) {
            const auto found = workers_.find(uid);
            return found == workers_.end() ? nullptr : found->second.get();
          }),
      evictions_(context_, eviction_parts()) {
  context_.csi = csi_.get();
  if (csi_)
    csi_->on_driver([this](const std::string&) {
      for (auto& [uid, worker] : workers_) worker->driver_registered();
    });
}

Evictions::Parts Node::eviction_parts() {
  return {.workers =
              [this] {
                std::vector<PodWorker*> out;
                for (auto& [uid, worker] : workers_) out.push_back(worker.get());
                return out;
              },
          .worker =
              [this](const std::string& uid) {
                const auto found = workers_.find(uid);
                return found == workers_.end() ? nullptr : found->second.get();
              },
          .images = &images_,
          .tell = [this](const std::vector<std::string_view>& conditions) { registration_.set_pressure(conditions); }};
}

Node::~Node() { *alive_ = false; }

void Node::use(Devices& devices) {
  context_.devices = &devices;
  devices.on_change([this] { registration_.changed(); });
}

void Node::use(DeviceClaims& claims) {
  context_.claims = &claims;
  claims.on_living([this]() -> std::optional<std::set<std::string>> {
    if (!running_) return std::nullopt;
    std::set<std::string> living;
    for (const auto& [uid, worker] : workers_) living.insert(uid);
    return living;
  });
  claims.on_driver([this] {
    for (auto& [uid, worker] : workers_) worker->claims_driver_here();
  });
  claims.on_health([this](const std::string& uid) {
    if (const auto found = workers_.find(uid); found != workers_.end()) found->second->devices_changed();
  });
}

void Node::use(Placement& placement) {
  context_.placement = &placement;
  shared_cpus_ = std::make_unique<SharedCpus>(placement, context_.engine);
}

Task<Result<void>> Node::start() {
  context_.engine.on_event([this, alive = alive_](const engine::Event& event) {
    if (!*alive) return;
    if (event.type == engine::Event::Type::container_exited)
      for (ExitWatch* watch : exit_watches_)
        if (watch->id_ == event.container_id) watch->event_.set();
    if (shared_cpus_ && event.type == engine::Event::Type::container_started) shared_cpus_->look();
    if (auto found = workers_.find(event.pod_uid); found != workers_.end()) found->second->engine_event(event);
  });
  CO_TRY(co_await context_.engine.recover());
  std::vector<std::string> uids;
  for (const auto& sandbox : context_.engine.sandboxes()) uids.push_back(sandbox.uid);
  CO_TRY(co_await context_.network.recover(std::move(uids)));
  co_await context_.pool.run([options = &context_.options] { prepare_for_swap(*options); });
  auto users = co_await context_.pool.run([this] { return user_ids_.open(context_.options.run_dir); });
  if (!users) log::info("node", "no user namespaces: pods with hostUsers: false will not start", {{"error", users.error()}});
  context_.options.user_namespaces = user_ids_.offered();
  if (csi_) co_await csi_->recover();
  registration_.on_address([this] { address_changed(); });
  co_await static_pods_.start();
  evictions_.start();  // before the first word to the server: it is to know how things are
  for (bool told = false;;) {
    auto registered = co_await registration_.start();
    if (registered) break;
    // The server may have gone since it was found.
    if (registered.error().code != Code::unavailable && registered.error().code != Code::timeout) co_return registered;
    if (!std::exchange(told, true)) log::warn("node", "will try again and again to register", {{"error", registered.error()}});
    co_await sleep_for(std::chrono::seconds(1));
  }

  auto& pods = informers_.of(client::pods, "", {.field_selector = "spec.nodeName=" + context_.options.node_name});
  auto& claims = informers_.of({"", "v1", "persistentvolumeclaims"});
  auto& services = informers_.of(client::services);
  co_await watch_sources();
  co_await services.wait_synced();
  co_await pods.wait_synced();
  claims.on_change([this](const model::ObjectRef&, const model::ObjectRef& after) {
    if (after) claim_changed(after);
  });
  pods.on_change([this](const model::ObjectRef& before, const model::ObjectRef& after) { pod_changed(before, after); });
  local_volumes_.start();
  images_.start();
  running_ = true;
  known_.set();
  static_pods_.registered();
  co_await remove_orphans();
  if (shared_cpus_) shared_cpus_->start();
  co_return {};
}

Task<void> Node::watch_sources() {
  if (!context_.options.reads_all) {
    named_sources_ = std::make_unique<NamedSources>(
        context_.client, [this](bool secret, const model::ObjectRef& object) { source_changed(secret, object); });
    co_return;
  }
  client::Informer* all[] = {&informers_.of(client::configmaps), &informers_.of(client::secrets)};
  for (bool secret : {false, true}) {
    co_await all[secret]->wait_synced();
    all[secret]->on_change(
        [this, secret](const model::ObjectRef& before, const model::ObjectRef& after) { source_changed(secret, after ? after : before); });
  }
}

// From the first pod on that has any.
void Node::watch_certificates() {
  if (std::exchange(watches_certificates_, true)) return;
  auto& requests = informers_.of(pod_certificate_requests, "", {.field_selector = "spec.nodeName=" + context_.options.node_name});
  requests.on_change([this](const model::ObjectRef& before, const model::ObjectRef& after) {
    const auto request = json::Document::parse((after ? after : before).object->json());
    if (!request) return;
    const json::Node* conditions = request->root().at("status", "conditions");
    if (after && (!conditions || conditions->empty())) return;
    const auto found = workers_.find(std::string(request->root().string_at("spec", "podUID")));
    if (found != workers_.end()) found->second->certificate_answered();
  });
}

void Node::address_changed() {
  for (auto& [uid, worker] : workers_) worker->address_changed();
  if (on_address_) on_address_();
}

void Node::source_changed(bool secret, const model::ObjectRef& object) {
  if (!running_) return;
  for (auto& [uid, worker] : workers_)
    if (worker->pod().meta().ns == object.meta().ns) worker->source_changed(secret, object.meta().name);
}

void Node::claim_changed(const model::ObjectRef& claim) {
  if (!running_) return;
  for (auto& [uid, worker] : workers_)
    if (worker->pod().meta().ns == claim.meta().ns) worker->claim_changed(claim.meta().name);
}

void Node::pod_changed(const model::ObjectRef& before, const model::ObjectRef& after) {
  if (is_mirror((after ? after : before).meta())) return static_pods_.mirror_changed(before, after);
  if (before && (!after || after.meta().uid != before.meta().uid)) {
    if (auto found = workers_.find(before.meta().uid); found != workers_.end()) found->second->gone();
  }
  if (!after) return;
  if (named_sources_) named_sources_->set(after.meta().uid, sources_of(after.meta().ns, after.as<model::core_v1::Pod>().spec));
  auto found = workers_.find(after.meta().uid);
  if (found != workers_.end()) found->second->update(after);
  else start_worker(after);
  retry_resizes();
}

// Changes of resources that wait, in the kubelet's order: first what needs no more, then by priority and class of service, then who has
// waited longest.
void Node::retry_resizes() {
  std::vector<PodWorker*> pending;
  for (const auto& [uid, worker] : workers_)
    if (worker->wants_resize() && !worker->ended() && !worker->ending()) pending.push_back(worker.get());
  if (pending.empty()) return;
  const auto rank = [](const PodWorker* worker) {
    const auto& pod = worker->pod().as<model::core_v1::Pod>();
    return std::tuple(worker->resize_grows(), -int64_t(pod.spec.priority.value_or(0)), qos_class(pod) != "Guaranteed",
                      worker->deferred_since());
  };
  std::ranges::stable_sort(pending, [&](const PodWorker* a, const PodWorker* b) { return rank(a) < rank(b); });
  for (PodWorker* worker : pending) {
    if (worker->resizes_own_cpus())
      worker->defer_resize("Resize is infeasible for Guaranteed Pods alongside CPU Manager static policy", true);
    else if (worker->resizes_swap()) worker->defer_resize("In-place resize of containers with swap is not supported.", true);
    else if (const auto refusal = has_no_room(worker->pod())) worker->defer_resize(refusal->message);
    else worker->grant_resize();
  }
}

void Node::worker_finished(const std::string& uid) {
  workers_.erase(uid);
  probes_.forget(uid);
  if (named_sources_) named_sources_->drop(uid);
  static_pods_.finished(uid);
  worker_gone_.set();
  room_made();
}

Task<void> Node::settle(Duration limit) {
  const Instant end = context_.loop.now() + limit;
  auto ending = [this] { return std::any_of(workers_.begin(), workers_.end(), [](const auto& entry) { return entry.second->ending(); }); };
  while (ending()) {
    worker_gone_.reset();
    if (!co_await worker_gone_.wait_until(end)) co_return;
  }
}

Task<void> Node::wait_known(Duration limit) {
  if (!running_) (void)co_await known_.wait_until(context_.loop.now() + limit);
}

PodWorker* Node::find(std::string_view ns, std::string_view name) {
  // One that the API has let go of at once may still be ending when another has its name.
  PodWorker* best = nullptr;
  for (auto& [uid, worker] : workers_)
    if (worker->pod().meta().name == name && worker->pod().meta().ns == ns && (!best || !worker->ending())) best = worker.get();
  return best;
}

// Sandboxes whose pods were deleted while no server ran.
Task<void> Node::remove_orphans() {
  for (const auto& sandbox : context_.engine.sandboxes()) {
    if (workers_.contains(sandbox.uid) || !sandbox.owner.empty()) continue;
    log::info("node", "removing a pod that is no longer in the API", {{"pod", sandbox.ns + "/" + sandbox.name}, {"uid", sandbox.uid}});
    if (auto removed = co_await context_.engine.remove_sandbox(sandbox.uid); !removed)
      log::warn("node", "orphan not removed", {{"error", removed.error()}});
    (void)co_await context_.network.detach(sandbox.uid);
    PodVolumes volumes(context_, sandbox.uid);
    if (auto removed = co_await volumes.remove(); removed) user_ids_.release(sandbox.uid);
  }
  if (csi_)
    for (const std::string& uid : csi_->pods())
      if (!workers_.contains(uid)) csi_->release_later(uid);
}

}  // namespace estiba::node
