// Which pods this node takes (admission.h), and what it does to have room for one that it must take (preemption.h).
#include <algorithm>

#include "base/log.h"
#include "node/devices/devices.h"
#include "node/node.h"
#include "node/placement/placement.h"
#include "node/preemption.h"
#include "node/ranking.h"
#include "observe/metrics.h"

namespace estiba::node {

using namespace std::chrono_literals;

// A pod that has been here before is not judged again.
Node::Judgement Node::judge(const model::ObjectRef& pod) {
  const auto& typed = pod.as<model::core_v1::Pod>();
  if (!typed.status.startTime.empty() || !pod.meta().deletion_timestamp.empty() || context_.engine.sandbox(pod.meta().uid)) return {};
  if (is_critical(pod)) return judge_critical(pod);
  if (auto refusal = evictions_.refusal_of(pod)) return {std::move(refusal)};
  return {has_no_room(pod)};
}

// What no other pod's end would mend is looked at first, so that none ends in vain.
Node::Judgement Node::judge_critical(const model::ObjectRef& pod) {
  const std::vector<Present> others = others_than(pod);
  const model::ObjectRef node = own_node();
  if (auto refusal = refusal_beside_room(pod, node, others)) return {std::move(refusal)};
  const std::vector<Shortage> shortages = shortages_of(pod, node, others);
  if (shortages.empty()) return {};
  const auto victims = victims_of(pod, others, shortages);
  if (!victims) {
    std::string needs;
    for (const Shortage& shortage : shortages) needs += "(res: " + shortage.resource + ", q: " + std::to_string(shortage.missing()) + "), ";
    return {Refusal{"UnexpectedAdmissionError",
                    "Unexpected error while attempting to recover from admission failure: preemption: error finding a set of pods to "
                    "preempt: no set of running pods found to reclaim resources: [" +
                        needs + "]"}};
  }
  Judgement out{.short_of = shortages.front().resource};
  for (const size_t i : *victims) out.victims.push_back(others[i].pod.meta().uid);
  return out;
}

std::vector<Present> Node::others_than(const model::ObjectRef& pod) const {
  std::vector<Present> out;
  for (const auto& [uid, worker] : workers_)
    if (uid != pod.meta().uid && !worker->ended()) out.push_back({worker->pod(), worker->requests()});
  return out;
}

model::ObjectRef Node::own_node() {
  const std::string& name = context_.options.node_name;
  return informers_.of(client::nodes, "", {.field_selector = "metadata.name=" + name}).get(name);
}

std::optional<Refusal> Node::has_no_room(const model::ObjectRef& pod) { return refusal_of(pod, own_node(), others_than(pod)); }

void Node::start_worker(const model::ObjectRef& pod) {
  const std::string uid = pod.meta().uid;
  Judgement judgement = judge(pod);
  if (PodCertificates::wants(pod.as<model::core_v1::Pod>())) watch_certificates();
  workers_[uid] = std::make_unique<PodWorker>(context_, pod, [this, uid] {
    // Called from the worker's own code: it is destroyed when that has returned.
    finished_.start([](Node* self, std::string uid) -> Task<void> {
      co_await yield_now();
      self->worker_finished(uid);
    }(this, uid));
  });
  if (judgement.refusal) {
    workers_[uid]->refuse(judgement.refusal->reason, judgement.refusal->message);
  } else if (!judgement.victims.empty()) {
    workers_[uid]->hold();
    preemptions_.start(preempt(this, uid, std::move(judgement)));
  } else if (wants_place(pod)) {
    workers_[uid]->hold();
    preemptions_.start(give_place_to(this, uid));
  }
}

bool Node::wants_place(const model::ObjectRef& pod) const {
  if (!pod.meta().deletion_timestamp.empty()) return false;
  return (context_.devices && context_.devices->wanted_by(pod)) ||
         (context_.placement && context_.placement->wanted_by(pod.as<model::core_v1::Pod>()));
}

Node::Living Node::living() const {
  Living out;
  for (const auto& [uid, worker] : workers_) {
    const bool runs = !worker->at_rest() && context_.engine.sandbox(uid);
    if (!worker->ended() || runs) out.pods.insert(uid);
    out.leaving |= worker->ended() && runs;
  }
  return out;
}

Task<Result<void>> Node::give_place(model::ObjectRef pod, std::set<std::string> living) {
  const auto& typed = pod.as<model::core_v1::Pod>();
  Placement* placement = context_.placement;
  if (placement && running_) placement->keep_only(living);
  const Devices::Place place = [&](const model::core_v1::Container& container,
                                   const DeviceHints& hints) -> Result<std::optional<NumaNodes>> {
    if (!placement) return std::nullopt;
    return placement->place(typed, container, hints);
  };
  Result<void> done;
  if (context_.devices) {
    done = co_await context_.devices->give(pod, std::move(living), place);
  } else {
    for (const auto list : {&model::core_v1::PodSpec::initContainers, &model::core_v1::PodSpec::containers})
      for (const model::core_v1::Container& container : typed.spec.*list)
        if (done) done = place(container, [](const NumaNodes&, bool) { return Hints{}; }).transform([](const auto&) {});
  }
  if (!placement) co_return done;
  if (done) done = placement->keep(pod.meta().uid);
  else placement->release(pod.meta().uid);
  co_return done;
}

// Nothing of the pod starts before its devices and CPUs are known: without them it fails, as with the kubelet. A pod that the API has let
// go of at once may still have those that are to be given: its end is waited for.
Task<void> Node::give_place_to(Node* self, std::string uid) {
  const auto worker = [&]() -> PodWorker* {
    const auto found = self->workers_.find(uid);
    return found == self->workers_.end() ? nullptr : found->second.get();
  };
  for (const Instant end = self->context_.loop.now() + 2min;;) {
    PodWorker* held = worker();
    if (!held) co_return;
    auto [living, leaving] = self->living();
    self->room_made_.reset();
    auto given = co_await self->give_place(held->pod(), std::move(living));
    if (!given && given.error().code == Code::exhausted && leaving && co_await self->room_made_.wait_until(end)) continue;
    held = worker();
    if (!held) co_return;
    if (!given) {
      const std::string_view reason = engine::reason_of(given.error());
      held->refuse(reason.empty() ? "UnexpectedAdmissionError" : std::string(reason), given.error().message);
    }
    co_return held->admit();  // a refused pod goes on, too: to its end
  }
}

// The victims end together, each within its own grace; the pod starts when they have. One that does not end in half as long again is not
// waited for: what is left of it is its worker's to deal with.
Task<void> Node::preempt(Node* self, std::string uid, Judgement judgement) {
  static auto& preemptions = observe::metrics().counters(
      "kubelet_preemptions", "Cumulative number of pod preemptions by preemption resource", {"preemption_signal"});
  Duration longest = 10s;
  for (const std::string& victim : judgement.victims) {
    const auto found = self->workers_.find(victim);
    if (found == self->workers_.end()) continue;
    PodWorker& worker = *found->second;
    const Duration grace = std::chrono::seconds(worker.pod().as<model::core_v1::Pod>().spec.terminationGracePeriodSeconds.value_or(30));
    longest = std::max(longest, grace + grace / 2);
    if (worker.ending() || worker.ended()) continue;
    log::warn("node", "a pod goes for a critical one",
              {{"pod", client::key_of(worker.pod())}, {"for", uid}, {"resource", judgement.short_of}});
    worker.evict({.reason = preempting, .message = preempted_message, .grace = grace, .disruption = preempted_condition});
    preemptions.with({judgement.short_of}).add();
  }
  const auto runs = [&](const std::string& victim) {
    const auto found = self->workers_.find(victim);
    return found != self->workers_.end() && !found->second->at_rest();
  };
  const Instant end = self->context_.loop.now() + longest;
  while (std::ranges::any_of(judgement.victims, runs)) {
    self->room_made_.reset();
    if (co_await self->room_made_.wait_until(end)) continue;
    log::warn("node", "pods that go for a critical one take long to end", {{"for", uid}});
    break;
  }
  const auto found = self->workers_.find(uid);
  if (found == self->workers_.end()) co_return;
  if (self->wants_place(found->second->pod())) co_await give_place_to(self, uid);
  else found->second->admit();
}

void Node::room_made() {
  room_made_.set();
  if (context_.placement && running_ && context_.placement->in_use()) context_.placement->keep_only(living().pods);
  retry_resizes();
}

}  // namespace estiba::node
