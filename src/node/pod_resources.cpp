// The resources of a pod and its containers while they run: changes that the API has accepted are granted by the node
// (Node::retry_resizes), or wait for room, and are then taken up in place.
#include <algorithm>

#include "base/log.h"
#include "model/quantity.h"
#include "node/placement/placement.h"
#include "node/pod_worker.h"
#include "node/resize.h"
#include "node/resources.h"
#include "node/swap.h"

namespace estiba::node {

using namespace model::core_v1;
using client::EventType;

// What the status says that they have; a pod that has never run has what its spec says.
void PodWorker::adopt_resources() {
  for (auto& c : containers_)
    if (const Container* container = find_spec(c->name)) c->given = given_resources(*container);
  pod_given_ = given_resources(spec().spec.resources);
  const PodStatus& known = spec().status;
  for (auto& c : containers_)
    for (const auto* list : {&known.containerStatuses, &known.initContainerStatuses})
      for (const ContainerStatus& status : *list)
        if (status.name == c->name && status.resources && !status.containerID.empty()) c->given = *status.resources;
  // The pod's own are shown with its overhead.
  if (known.resources && known.phase == "Running") {
    const auto take = [&](std::map<std::string, std::string>& to, const std::map<std::string, std::string>& from) {
      for (auto& [name, amount] : to) {
        const auto shown = from.find(name);
        if (shown == from.end()) continue;
        auto quantity = model::Quantity::parse(shown->second).value_or({});
        if (const auto over = spec().spec.overhead.find(name); over != spec().spec.overhead.end())
          quantity -= model::Quantity::parse(over->second).value_or({});
        amount = quantity.print();
      }
    };
    take(pod_given_.requests, known.resources->requests);
    take(pod_given_.limits, known.resources->limits);
  }
  for (auto& c : containers_) c->granted = c->given;
  pod_granted_ = pod_given_;
  look_at_resize();
  count_resources();
}

// Whether the API asks for something else than has been granted.
void PodWorker::look_at_resize() {
  resize_wanted_ = !same_resources(pod_granted_, given_resources(spec().spec.resources));
  for (const auto& c : containers_)
    if (const Container* container = find_spec(c->name); container && c->kind != Kind::ephemeral)
      resize_wanted_ |= !same_resources(c->granted, given_resources(*container));
  if (!resize_wanted_) resize_deferred_.clear();
}

void PodWorker::count_resources() {
  const Pod granted = pod_with(true);
  granted_requests_ = whole_pod(granted, "requests");
  shown_resources_ = shown_resources(pod_with(false));
}

Pod PodWorker::pod_with(bool granted) const {
  Pod out;
  out.metadata = spec().metadata;
  out.spec = spec().spec;
  out.status.qosClass = spec().status.qosClass;
  for (auto* list : {&out.spec.containers, &out.spec.initContainers})
    for (Container& container : *list)
      for (const auto& c : containers_) {
        if (c->name != container.name) continue;
        const ResourceRequirements& has = granted ? c->granted : c->given;
        ResourceRequirements& resources = container.resources.ensure();
        resources.requests = has.requests;
        resources.limits = has.limits;
      }
  const ResourceRequirements& own = granted ? pod_granted_ : pod_given_;
  if (out.spec.resources || !own.requests.empty() || !own.limits.empty()) {
    out.spec.resources.ensure().requests = own.requests;
    out.spec.resources->limits = own.limits;
  }
  return out;
}

bool PodWorker::resize_grows() const {
  const model::ResourceList wanted = whole_pod(spec(), "requests");
  for (const char* name : {"cpu", "memory"}) {
    const auto now = wanted.find(name), before = granted_requests_.find(name);
    if (now != wanted.end() && (before == granted_requests_.end() || before->second < now->second)) return true;
  }
  return false;
}

void PodWorker::grant_resize() {
  for (auto& c : containers_)
    if (const Container* container = find_spec(c->name); container && c->kind != Kind::ephemeral) c->granted = given_resources(*container);
  pod_granted_ = given_resources(spec().spec.resources);
  resize_wanted_ = false;
  resize_deferred_.clear();
  resize_error_.clear();
  resize_backoff_.reset();
  resize_generation_ = spec().metadata.generation.value_or(0);
  count_resources();
  event(EventType::normal, "ResizeStarted", resize_message("started", spec(), resize_generation_));
  status_changed();
  wake();
}

bool PodWorker::resizes_swap() const { return context_.options.limited_swap && node::resizes_swap(pod_with(true), spec()); }

bool PodWorker::resizes_own_cpus() const {
  if (!context_.placement) return false;
  const Cpus& cpus = context_.placement->cpus();
  const auto cpu = [](const std::map<std::string, std::string>& list) {
    const auto found = list.find("cpu");
    return found == list.end() ? 0 : model::quantity_to_milli(found->second);
  };
  return std::ranges::any_of(containers_, [&](const auto& c) {
    const Container* container = find_spec(c->name);
    if (!container || c->kind == Kind::ephemeral) return false;
    const ResourceRequirements wanted = given_resources(*container);
    return (cpus.given(uid_, c->name) || cpus.wanted(spec(), *container)) &&
           (cpu(wanted.requests) != cpu(c->granted.requests) || cpu(wanted.limits) != cpu(c->granted.limits));
  });
}

void PodWorker::defer_resize(const std::string& why, bool infeasible) {
  const int64_t generation = spec().metadata.generation.value_or(0);
  const bool known = !resize_deferred_.empty() && deferred_generation_ == generation;
  if (resize_deferred_.empty()) deferred_since_ = context_.loop.now();
  deferred_generation_ = generation;
  resize_deferred_ = why;
  resize_infeasible_ = infeasible;
  const std::string_view what = infeasible ? "Infeasible" : "Deferred";
  if (!known) event(EventType::warning, "Resize" + std::string(what), resize_message(what, spec(), generation, why));
  status_changed();
}

bool PodWorker::resize_under_way() const {
  if (!same_resources(pod_given_, pod_granted_)) return true;
  for (const auto& c : containers_)
    if (c->kind != Kind::ephemeral && !same_resources(c->given, c->granted)) return true;
  return false;
}

Container PodWorker::to_start(const PodContainer& c) const {
  Container out = *find_spec(c.name);
  if (c.kind == Kind::ephemeral) return out;
  ResourceRequirements& resources = out.resources.ensure();
  resources.requests = c.granted.requests;
  resources.limits = c.granted.limits;
  return out;
}

Task<void> PodWorker::sync_resources() {
  if (!resize_under_way()) co_return;
  if (!resize_backoff_.allowed(context_.loop.now())) {
    wake_at(resize_backoff_.next());
    co_return;
  }
  auto done = co_await change_resources();
  if (done && !resize_under_way()) {
    resize_error_.clear();
    resize_backoff_.reset();
    event(EventType::normal, "ResizeCompleted", resize_message("completed", spec(), resize_generation_));
  } else if (!done) {
    if (resize_error_ != done.error().message)
      event(EventType::warning, "ResizeError", resize_message("error", spec(), resize_generation_, done.error().message));
    resize_error_ = done.error().message;
    log::warn("node", "pod not resized", {{"pod", client::key_of(pod_)}, {"error", done.error()}});
    resize_backoff_.failed_waiting(context_.loop.now());
    wake_at(resize_backoff_.next());
  }
  count_resources();
  status_changed();
}

// The pod's own group first grows to what holds both before and after, since a group may not have more than its parent.
Task<Result<void>> PodWorker::change_resources() {
  const Pod before = pod_with(false), after = pod_with(true);
  const ResourceRequirements of_pod = pod_granted_;
  engine::Resources old_limits = pod_resources(before), new_limits = pod_resources(after);
  for (engine::Resources* each : {&old_limits, &new_limits}) {
    limit_swap_of_pod(*each, context_.options);
    if (context_.placement) context_.placement->limit_pod(*each, uid_);
  }
  CO_TRY(co_await check_memory(before, after));
  CO_TRY_AS("pod", co_await context_.engine.update(uid_, larger(old_limits, new_limits)));
  const auto named = [](const Pod& pod, const std::string& name) -> const Container* {
    for (const auto* list : {&pod.spec.containers, &pod.spec.initContainers})
      for (const Container& container : *list)
        if (container.name == name) return &container;
    return nullptr;
  };
  for (auto& c : containers_) {
    const Container *from = named(before, c->name), *to = named(after, c->name);
    if (!from || !to) continue;
    engine::Resources limits = container_resources(after, *to), had = container_resources(before, *from);
    limit_swap(limits, context_.options, after, *to);
    if (context_.placement)
      for (engine::Resources* each : {&limits, &had}) context_.placement->limit(*each, uid_, c->name);
    limits = with_unlimited(std::move(limits));
    had = with_unlimited(std::move(had));
    const bool changed =
        limits.memory_bytes != had.memory_bytes || limits.cpu_quota_us != had.cpu_quota_us || limits.cpu_shares != had.cpu_shares;
    if (is_running(*c) && resize_restarts(*to, c->given)) c->kill_why = "Container " + c->name + " resize requires restart";
    else if (is_running(*c) && changed) CO_TRY_AS("container " + c->name, co_await context_.engine.update(c->id, limits));
    c->given = given_resources(*to);
  }
  CO_TRY_AS("pod", co_await context_.engine.update(uid_, with_unlimited(new_limits)));
  pod_given_ = of_pod;
  co_return {};
}

// A limit below what is used would have the kernel kill, or refuse: the pod keeps what it has, and the status says why.
Task<Result<void>> PodWorker::check_memory(const Pod& before, const Pod& after) {
  std::vector<MemoryChange> changes;
  const auto limit = [](const engine::Resources& resources) { return resources.memory_bytes.value_or(0); };
  changes.push_back({.limit = limit(pod_resources(after)), .before = limit(pod_resources(before))});
  bool sinks = changes[0].limit > 0 && (changes[0].before <= 0 || changes[0].limit < changes[0].before);
  for (const auto list : {&PodSpec::containers, &PodSpec::initContainers})
    for (size_t i = 0; i < (after.spec.*list).size(); ++i) {
      const Container &now = (after.spec.*list)[i], &then = (before.spec.*list)[i];
      changes.push_back(
          {.container = now.name, .limit = limit(container_resources(after, now)), .before = limit(container_resources(before, then))});
      sinks |= changes.back().limit > 0 && (changes.back().before <= 0 || changes.back().limit < changes.back().before);
    }
  if (!sinks) co_return {};
  for (const auto& c : containers_) {
    if (!is_running(*c)) continue;
    const auto stats = co_await context_.engine.stats(c->id, false);
    if (!stats) co_return fail(Code::unavailable, "unable to read memory usage for container " + c->name);
    changes[0].used += stats->memory_bytes;
    for (MemoryChange& change : changes)
      if (change.container == c->name) change.used = stats->memory_bytes;
  }
  // A container that is restarted for its memory begins anew.
  for (const Container& container : after.spec.containers)
    for (const auto& c : containers_)
      if (c->name == container.name && resize_restarts(container, c->given))
        std::erase_if(changes, [&](const MemoryChange& change) { return change.container == c->name; });
  if (std::string why = memory_in_the_way(changes); !why.empty()) co_return fail(Code::conflict, std::move(why));
  co_return {};
}

}  // namespace estiba::node
