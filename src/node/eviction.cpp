#include "node/eviction.h"

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "client/tolerations.h"
#include "image/overlay.h"
#include "model/quantity.h"
#include "model/quota.h"
#include "model/types/core_v1.h"
#include "node/image_collector.h"
#include "node/node_events.h"
#include "node/node_signals.h"
#include "node/pod_worker.h"
#include "node/resources.h"
#include "node/sandbox_spec.h"
#include "observe/metrics.h"

namespace estiba::node {

using model::ObjectRef;
using namespace model::core_v1;
using namespace std::chrono_literals;

namespace {

constexpr Duration period = 10s, end_limit = 30s, reclaim_limit = 10s;
constexpr Duration immediate = 1s;  // the grace of pods that must go at once

int64_t amount(const std::map<std::string, std::string>& list, const std::string& name) {
  const auto found = list.find(name);
  return found == list.end() ? 0 : model::quantity_to_int64(found->second);
}

std::string text_of(const std::map<std::string, std::string>& list, const std::string& name) {
  const auto found = list.find(name);
  return found == list.end() ? std::string() : model::canonical_quantity(found->second);
}

int64_t request(const Container& container, const std::string& name) {
  return container.resources ? amount(container.resources->requests, name) : 0;
}

model::ResourceList resources(const ObjectRef& pod, std::string_view which) {
  const auto parsed = json::Document::parse(pod.object->json());
  const json::Node* spec = parsed ? parsed->root().find("spec") : nullptr;
  return spec ? model::pod_resources(*spec, which, true) : model::ResourceList{};
}

bool is_limited(const Volume& volume) { return volume.emptyDir && !volume.emptyDir->sizeLimit.empty() && volume.emptyDir->medium.empty(); }

bool is_limited(const Container& container) { return container.resources && container.resources->limits.contains("ephemeral-storage"); }

// Whether anything of the pod's local storage is limited.
bool has_limits(const Pod& pod) {
  const auto limited = [](const auto& each) { return is_limited(each); };
  return std::ranges::any_of(pod.spec.volumes, limited) || std::ranges::any_of(pod.spec.containers, limited) ||
         std::ranges::any_of(pod.spec.initContainers, limited);
}

void count_eviction(std::string_view signal) {
  static auto& evictions =
      observe::metrics().counters("kubelet_evictions", "Cumulative number of pod evictions by eviction signal", {"eviction_signal"});
  evictions.with({std::string(signal)}).add();
}

// How old what was seen is by the time that a pod goes for it.
void observe_age(const std::vector<Threshold>& acting, Duration age) {
  static auto& ages = observe::metrics().histograms(
      "kubelet_eviction_stats_age_seconds",
      "Time between when stats are collected, and when pod is evicted based on those stats by eviction signal", {"eviction_signal"},
      {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10});
  for (const Threshold& threshold : acting)
    ages.with({std::string(name_of(threshold.signal))}).observe(std::chrono::duration<double>(age).count());
}

}  // namespace

Evictions::Evictions(const Context& context, Parts parts)
    : context_(context),
      parts_(std::move(parts)),
      pressure_(context.options.housekeeping.thresholds, context.options.housekeeping.pressure_transition),
      sizes_(context.loop,
             [pool = &context.pool](std::string path) -> Task<image::Usage> {
               auto size = co_await pool->run([path] { return image::disk_usage(path); });
               co_return size ? *size : image::Usage{};
             }),
      limited_(context.loop, context.pool) {}

void Evictions::start() { job_ = Job(run(this)); }

Task<void> Evictions::run(Evictions* self) {
  for (;;) {
    const auto evicted = co_await self->look();
    if (evicted) {
      co_await self->wait_for_end(*evicted);
      continue;
    }
    const Instant now = self->context_.loop.now();
    co_await sleep_for(std::clamp<Duration>(self->pressure_.next_change(now) - now, 1ms, period));
  }
}

// Until what the pod had is free again, so that nobody else goes for its sake.
Task<void> Evictions::wait_for_end(std::string uid) {
  const Instant end = context_.loop.now() + end_limit;
  while (context_.loop.now() < end) {
    const PodWorker* worker = parts_.worker(uid);
    if (!worker || worker->cleared()) co_return;
    co_await sleep_for(100ms);
  }
  log::warn("node", "an evicted pod takes long to end", {{"uid", uid}});
}

std::optional<Refusal> Evictions::refusal_of(const ObjectRef& pod) const {
  const auto& conditions = pressure_.conditions();
  if (conditions.empty() || is_critical(pod)) return std::nullopt;
  if (conditions.size() == 1 && pressure_.has("MemoryPressure")) {
    const Pod& typed = pod.as<Pod>();
    Taint taint;
    taint.key = "node.kubernetes.io/memory-pressure";
    taint.effect = "NoSchedule";
    if (qos_class(typed) != "BestEffort" || client::tolerates(typed.spec.tolerations, taint)) return std::nullopt;
  }
  std::vector<std::string> names(conditions.begin(), conditions.end());
  return Refusal{"Evicted", "The node had condition: [" + join(names, " ") + "]. "};
}

// The uid of a pod that had to go.
Task<std::optional<std::string>> Evictions::look() {
  const Observations seen = read_signals(context_.options);
  const Instant seen_at = context_.loop.now();
  std::vector<Threshold> acting = pressure_.look(seen, context_.loop.now());
  if (pressure_.conditions() != told_) parts_.tell(told_ = pressure_.conditions());
  if (auto over = co_await over_limits()) co_return over;
  if (acting.empty()) {
    acted_.clear();
    co_return std::nullopt;
  }
  co_return co_await make_room(std::move(acting), seen, seen_at);
}

// --- what is short ---------------------------------------------------------------------------------------------------

Task<std::optional<std::string>> Evictions::make_room(std::vector<Threshold> acting, Observations seen, Instant seen_at) {
  const Threshold& first = acting.front();
  const std::string resource(resource_of(first.signal));
  // Pressure that nobody can be blamed for is told once, not every ten seconds.
  const bool fresh = std::exchange(acted_, resource) != resource;
  if (fresh) {
    log::warn("node", "the node is short of a resource", {{"resource", resource}, {"signal", name_of(first.signal)}});
    record_of_node(context_, client::EventType::warning, "EvictionThresholdMet", "Attempting to reclaim " + resource);
  }
  const std::string_view condition = condition_of(first.signal);
  const bool own_disk =
      images_apart(context_.options) && first.signal != Signal::imagefs_available && first.signal != Signal::imagefs_inodes_free;
  if (condition == "DiskPressure" && !own_disk) {
    co_await reclaim(first.signal);
    if (pressure_.relieved(read_signals(context_.options))) co_return std::nullopt;
  }
  std::vector<PodUse> pods = co_await read_pods(first.signal);
  rank(pods, first.signal);
  for (const PodUse& pod : pods) {
    if (is_critical(pod.pod)) continue;
    PodWorker* worker = parts_.worker(pod.pod.meta().uid);
    if (!worker || worker->ended() || worker->ending()) continue;
    Duration grace = immediate;
    if (!first.hard()) {
      const Duration own = std::chrono::seconds(pod.pod.as<Pod>().spec.terminationGracePeriodSeconds.value_or(30));
      grace = std::min(own, context_.options.housekeeping.eviction_most_grace);
    }
    const std::string message = eviction_message(pod, first.signal, acting, seen);
    log::warn("node", "evicting a pod", {{"pod", client::key_of(pod.pod)}, {"resource", resource}});
    worker->evict({.message = message, .grace = grace, .disruption = message});
    count_eviction(name_of(first.signal));
    observe_age(acting, context_.loop.now() - seen_at);
    co_return pod.pod.meta().uid;
  }
  if (fresh) log::warn("node", "no pod can be evicted", {{"resource", resource}, {"pods", pods.size()}});
  co_return std::nullopt;
}

// What nobody misses: what ended containers have written, and images that nothing uses.
Task<void> Evictions::reclaim(Signal) {
  auto cleared = std::make_shared<estiba::Event>();
  {
    // The last of those that have it sets the event.
    const std::shared_ptr<void> token(nullptr, [cleared](void*) { cleared->set(); });
    for (PodWorker* worker : parts_.workers()) worker->drop_ended(token);
  }
  co_await cleared->wait_for(reclaim_limit);
  if (auto deleted = co_await parts_.images->delete_unused(); !deleted)
    log::warn("node", "unused images not deleted", {{"error", deleted.error()}});
}

std::vector<std::string> Evictions::active() const {
  std::vector<std::string> out;
  for (const PodWorker* worker : parts_.workers())
    if (!worker->ended() && !worker->ending()) out.push_back(worker->uid());
  std::ranges::sort(out);
  return out;
}

Task<std::vector<PodUse>> Evictions::read_pods(Signal signal) {
  std::vector<PodUse> out;
  for (const std::string& uid : active()) {
    PodUse pod = co_await read_pod(uid, signal);
    if (pod.pod) out.push_back(std::move(pod));
  }
  co_return out;
}

// A worker may go while something is awaited: it is looked up anew each time.
Task<PodUse> Evictions::read_pod(std::string uid, Signal signal) {
  PodUse out;
  const PodWorker* worker = parts_.worker(uid);
  if (!worker) co_return out;
  out.pod = worker->pod();
  const Pod& pod = out.pod.as<Pod>();
  const model::ResourceList requests = resources(out.pod, "requests");
  if (const auto found = requests.find("memory"); found != requests.end()) out.memory_request = found->second.to_int64();
  if (const auto found = requests.find("ephemeral-storage"); found != requests.end()) out.disk_request = found->second.to_int64();
  const bool disk = condition_of(signal) == "DiskPressure", apart = disk && images_apart(context_.options);
  const bool layers = !apart || signal == Signal::imagefs_available || signal == Signal::imagefs_inodes_free, rest = !apart || !layers;
  std::vector<const Container*> containers;
  for (const auto* list : {&pod.spec.containers, &pod.spec.initContainers})
    for (const Container& container : *list) containers.push_back(&container);
  const std::string logs = log_directory(context_.options, pod);
  for (const Container* container : containers) {
    worker = parts_.worker(uid);
    const auto status = worker ? worker->container(container->name) : std::nullopt;
    if (!status) continue;
    ContainerUse use{
        .name = container->name, .memory_request = request(*container, "memory"), .disk_request = request(*container, "ephemeral-storage")};
    if (disk) {
      image::Usage size = co_await size_of(logs + "/" + container->name), layer = co_await size_of(context_.engine.upper_dir(status->id));
      use.disk = int64_t(size.bytes + layer.bytes);
      if (layers) out.disk += int64_t(layer.bytes), out.inodes += int64_t(layer.inodes);
      if (rest) out.disk += int64_t(size.bytes), out.inodes += int64_t(size.inodes);
      out.known = true;
    } else if (status->state == engine::ContainerState::running) {
      auto stats = co_await context_.engine.stats(status->id, false);
      if (!stats) continue;
      use.memory = int64_t(stats->working_set_bytes);
      out.memory += use.memory;
      out.processes += int64_t(stats->pids);
      out.known = true;
    }
    out.containers.push_back(std::move(use));
  }
  if (disk && rest) {
    const image::Usage volumes = co_await size_of(context_.options.data_dir + "/pods/" + uid);
    out.disk += int64_t(volumes.bytes);
    out.inodes += int64_t(volumes.inodes);
  }
  co_return out;
}

// --- limits of local storage -----------------------------------------------------------------------------------------

Task<std::optional<std::string>> Evictions::over_limits() {
  std::optional<std::string> first;
  std::vector<std::string> limited;
  std::set<std::string> paths;
  for (const std::string& uid : active()) {
    const PodWorker* worker = parts_.worker(uid);
    if (!worker || !has_limits(worker->pod().as<Pod>())) continue;
    limited.push_back(uid);
    paths.merge(paths_of(*worker));
  }
  co_await limited_.look(std::move(paths));
  for (const std::string& uid : limited) {
    PodWorker* worker = parts_.worker(uid);
    if (!worker || worker->ended() || worker->ending() || is_critical(worker->pod())) continue;
    const auto excess = excess_of(*worker);
    if (!excess) continue;
    log::warn("node", "evicting a pod", {{"pod", client::key_of(worker->pod())}, {"why", excess->message}});
    worker->evict({.message = excess->message, .grace = immediate});
    count_eviction(excess->signal);
    if (!first) first = uid;
  }
  co_return first;
}

// What is to be walked for a pod's limits.
std::set<std::string> Evictions::paths_of(const PodWorker& worker) const {
  std::set<std::string> out;
  const Pod& pod = worker.pod().as<Pod>();
  const std::string dir = context_.options.data_dir + "/pods/" + worker.uid(), logs = log_directory(context_.options, pod);
  bool whole = false;
  for (const Volume& volume : pod.spec.volumes)
    if (is_limited(volume)) out.insert(dir + "/volumes/" + volume.name);
  for (const auto* list : {&pod.spec.containers, &pod.spec.initContainers})
    for (const Container& container : *list) whole |= is_limited(container);
  if (!whole) return out;
  out.insert(dir);
  for (const auto* list : {&pod.spec.containers, &pod.spec.initContainers})
    for (const Container& container : *list) {
      out.insert(logs + "/" + container.name);
      if (const auto status = worker.container(container.name)) out.insert(context_.engine.upper_dir(status->id));
    }
  return out;
}

// What the pod has too much of, as Kubernetes words it: a volume, all together, or a container, in that order.
std::optional<Evictions::Excess> Evictions::excess_of(const PodWorker& worker) const {
  const ObjectRef ref = worker.pod();
  const Pod& pod = ref.as<Pod>();
  const std::string dir = context_.options.data_dir + "/pods/" + worker.uid(), logs = log_directory(context_.options, pod);
  for (const Volume& volume : pod.spec.volumes) {
    if (!is_limited(volume)) continue;
    const int64_t limit = model::quantity_to_int64(volume.emptyDir->sizeLimit);
    if (limit > 0 && int64_t(limited_.of(dir + "/volumes/" + volume.name).bytes) > limit)
      return Excess{"emptydirfs.limit", "Usage of EmptyDir volume " + quoted(volume.name) + " exceeds the limit " +
                                            quoted(model::canonical_quantity(volume.emptyDir->sizeLimit)) + ". "};
  }
  const model::ResourceList limits = resources(ref, "limits");
  const auto whole = limits.find("ephemeral-storage");
  if (whole == limits.end()) return std::nullopt;
  uint64_t total = limited_.of(dir).bytes;
  std::optional<Excess> single;
  const bool apart = images_apart(context_.options);
  for (const auto* list : {&pod.spec.containers, &pod.spec.initContainers})
    for (const Container& container : *list) {
      const auto status = worker.container(container.name);
      if (!status) continue;
      const uint64_t log = limited_.of(logs + "/" + container.name).bytes, layer = limited_.of(context_.engine.upper_dir(status->id)).bytes;
      total += log + layer;
      if (single || !is_limited(container) || list == &pod.spec.initContainers) continue;
      const int64_t most = amount(container.resources->limits, "ephemeral-storage");
      if (most > 0 && int64_t(log + (apart ? 0 : layer)) > most)
        single = Excess{"ephemeralcontainerfs.limit", "Container " + container.name + " exceeded its local ephemeral storage limit " +
                                                          quoted(text_of(container.resources->limits, "ephemeral-storage")) + ". "};
    }
  if (int64_t(total) > whole->second.to_int64())
    return Excess{"ephemeralpodfs.limit",
                  "Pod ephemeral local storage usage exceeds the total limit of containers " + whole->second.print() + ". "};
  return single;
}

}  // namespace estiba::node
