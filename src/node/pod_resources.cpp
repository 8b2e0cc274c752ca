// The resources of a pod's containers while they run: changes that the API has accepted are taken up in place.
#include <unistd.h>

#include "base/log.h"
#include "node/container_spec.h"
#include "node/pod_worker.h"
#include "node/resize.h"

namespace estiba::node {

using namespace model::core_v1;

Container PodWorker::to_start(const PodContainer& c) const {
  Container out = *find_spec(c.name);
  if (!c.given) return out;
  ResourceRequirements& resources = out.resources.ensure();
  resources.requests = c.given->requests;
  resources.limits = c.given->limits;
  return out;
}

Pod PodWorker::pod_as_given() const {
  Pod out = spec();
  for (auto* list : {&out.spec.containers, &out.spec.initContainers})
    for (Container& container : *list)
      for (const auto& c : containers_)
        if (c->name == container.name) container = to_start(*c);
  return out;
}

bool PodWorker::resize_wanted() const {
  for (const auto& c : containers_)
    if (const Container* container = find_spec(c->name); container && c->given && !same_resources(*c->given, given_resources(*container)))
      return true;
  return false;
}

Task<void> PodWorker::sync_resources() {
  std::vector<PodContainer*> changed;
  for (auto& c : containers_) {
    const Container* container = find_spec(c->name);
    if (!container || c->kind == Kind::ephemeral) continue;
    if (!c->given) c->given = given_resources(*container);
    else if (!same_resources(*c->given, given_resources(*container))) changed.push_back(c.get());
  }
  resize_infeasible_.clear();
  if (changed.empty()) {
    resize_error_.clear();
    resize_backoff_.reset();
    co_return;
  }
  resize_infeasible_ = infeasible(spec(), sysconf(_SC_NPROCESSORS_ONLN) * 1000, int64_t(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE));
  if (!resize_infeasible_.empty()) co_return;
  if (!resize_backoff_.allowed(context_.loop.now())) {
    wake_at(resize_backoff_.next());
    co_return;
  }
  auto done = co_await change_resources(std::move(changed));
  if (done) {
    resize_error_.clear();
    resize_backoff_.reset();
    event(client::EventType::normal, "ResizeCompleted", "Pod resize completed");
    co_return;
  }
  resize_error_ = done.error().message;
  retry_later(resize_backoff_, "ResizeError", done.error());
}

// The pod's own group first grows to what holds both before and after, since a group may not have more than its parent.
Task<Result<void>> PodWorker::change_resources(std::vector<PodContainer*> changed) {
  const model::ObjectRef ref = pod_;  // update() may put another in its place meanwhile
  const engine::Resources before = pod_resources(pod_as_given()), after = pod_resources(ref.as<Pod>());
  CO_TRY_AS("pod", co_await context_.engine.update(uid_, larger(before, after)));
  for (PodContainer* c : changed) {
    const Container container = *find_spec(c->name);
    if (is_running(*c) && resize_restarts(container, *c->given)) c->kill_why = "Container " + c->name + " resize requires restart";
    else if (is_running(*c))
      CO_TRY_AS("container " + c->name,
                co_await context_.engine.update(c->id, with_unlimited(container_resources(ref.as<Pod>(), container))));
    c->given = given_resources(container);
  }
  co_return co_await context_.engine.update(uid_, with_unlimited(after));
}

}  // namespace estiba::node
