#include "autoscale/autoscaler.h"

#include <algorithm>
#include <set>

#include "autoscale/estimate.h"
#include "autoscale/metrics.h"
#include "autoscale/removal.h"
#include "autoscale/scale_down.h"
#include "autoscale/status.h"
#include "base/log.h"

namespace estiba::autoscale {

using client::EventType;
using model::ObjectRef;
using scheduler::DemandPtr;

// Pods of one workload come one after another: so long after the first of them all are looked at.
static constexpr Duration settling = std::chrono::milliseconds(200);

struct Autoscaler::Running {
  client::Client& client;
  Executor& executor;
  const Options& options;
  client::EventRecorder events{client, executor, "cluster-autoscaler"};
  bool knows_all = false;  // before, changes mean nothing
  Instant due = Instant::max();
  Event woken{};
  World world{client, [this](bool urgent) { changed(urgent); }};
  Fleet fleet;
  StatusWriter status{client, executor};
  const RemovalParts removal{client, executor, world, fleet, options.groups.scale_down, events, status_target};
  std::map<std::string, Instant> unneeded{};  // nodes, and since when
  std::map<std::string, std::string> told{};  // what pods that are not helped were told, by UID
  std::set<std::string> reasons_told{};       // why nodes stay, as the metric has it
  bool draining = false;                      // a node with pods is going
  TaskGroup tasks{};
  Job job{};

  Running(client::Client& client, Executor& executor, Provider& provider, const Options& options)
      : client(client),
        executor(executor),
        options(options),
        fleet({client, executor, provider, options.groups, world, events, options.ca_hash, status_target}, [this] { changed(true); }) {}

  // --- when -----------------------------------------------------------------------------------------------------------------

  void wake_at(Instant when) {
    if (when >= due) return;
    due = when;
    woken.set();
  }
  // What makes nodes come, at once; what makes them go can wait, and where none can go it makes no difference.
  void changed(bool urgent) {
    if (!knows_all) return;
    if (urgent) wake_at(executor.now() + settling);
    else if (may_shrink()) wake_at(executor.now() + options.groups.scan);
  }
  bool may_shrink() const {
    return options.groups.scale_down.enabled &&
           std::ranges::any_of(options.groups.groups, [this](const NodeGroup& group) { return fleet.size(group) > group.min; });
  }

  static Task<void> run(Running* self) {
    co_await self->world.wait_synced();
    co_await self->fleet.refresh();
    co_await self->forget_marks();
    self->knows_all = true;
    self->wake_at(self->executor.now());
    for (;;) {
      if (self->due == Instant::max()) co_await self->woken.wait();
      else co_await self->woken.wait_until(self->due);
      self->woken.reset();
      if (self->executor.now() < self->due) continue;
      self->due = Instant::max();
      const Instant begin = self->executor.now();
      co_await self->round();
      round_seconds().observe(std::chrono::duration<double>(self->executor.now() - begin).count());
    }
  }

  // An earlier server was about to remove these when it ended. They are looked at like all others.
  Task<void> forget_marks() {
    for (const Member* member : fleet.members()) {
      const ObjectRef node = world.node(member->name);
      if (!node || !is_marked_going(node)) continue;
      auto done = co_await unmark_going(&removal, node.meta().name);
      if (!done) log::warn("autoscaler", "a node keeps its taint", {{"node", node.meta().name}, {"error", done.error()}});
    }
  }

  // --- one look at the cluster ----------------------------------------------------------------------------------------------

  Task<void> round() {
    co_await fleet.refresh();
    decide();
    for (const NodeGroup& group : options.groups.groups) group_sizes().with({group.name}).set(double(fleet.size(group)));
    auto written = co_await status.write(status_text(fleet, world, options.groups, {unneeded, fleet.is_complete()}));
    if (!written) log::warn("autoscaler", "the status was not written", {{"error", written.error()}});
    arm(bool(written));
  }

  void arm(bool written) {
    const Instant now = executor.now();
    if (fleet.coming() > 0 || fleet.going() > 0 || !fleet.is_complete() || !written) wake_at(now + options.groups.scan);
    if (const auto next = fleet.next_change()) wake_at(*next);
    const ScaleDown& settings = options.groups.scale_down;
    for (const auto& [name, since] : unneeded) {
      const ObjectRef node = world.node(name);
      Instant when = since + (node && is_ready(node) ? settings.unneeded : settings.unready);
      if (fleet.last_growth()) when = std::max(when, *fleet.last_growth() + settings.after_add);
      wake_at(when > now ? when : now + options.groups.scan);  // one that is due waits for another node's drain
    }
  }

  void decide() {
    Simulation simulation(world.cluster, options.scheduler);
    const std::vector<ObjectRef> daemon_sets = world.daemon_sets();
    for (const Member* member : fleet.members()) {
      const bool there = simulation.cluster().find(member->name);
      if (member->going && there) simulation.take_node(member->name);
      if (member->going || member->given_up || member->up) continue;
      if (there) simulation.take_node(member->name);  // it has a Node already, which takes no pods yet
      simulation.add_node(template_node(effective(*member->group), member->name), daemon_sets);
    }
    const bool filled = fill_to_minimum(simulation, daemon_sets), helped = help_pods(simulation, daemon_sets);
    if (!filled && !helped) shrink(simulation);
  }

  // What a group's nodes really offer is known once there is one: a template that promises more must not bring nodes without end.
  NodeGroup effective(const NodeGroup& group) {
    NodeGroup out = group;
    for (const Member* member : fleet.members()) {
      if (member->group != &group || !member->up) continue;
      const ObjectRef node = world.node(member->name);
      if (!node || node.as<model::core_v1::Node>().status.allocatable.empty()) continue;
      out.node.allocatable = node.as<model::core_v1::Node>().status.allocatable;
      break;
    }
    return out;
  }

  void grow(Simulation& simulation, const NodeGroup& group, int64_t count, const std::vector<ObjectRef>& daemon_sets) {
    const int64_t before = fleet.size(group);
    for (const std::string& name : fleet.grow(group, count)) simulation.add_node(template_node(effective(group), name), daemon_sets);
    const std::string message = "Scale-up: setting group " + group.name + " size to " + std::to_string(before + count) + " instead of " +
                                std::to_string(before) + " (max: " + std::to_string(group.max) + ")";
    log::info("autoscaler", "a group grows", {{"group", group.name}, {"from", before}, {"to", before + count}, {"max", group.max}});
    events.record(status_target, EventType::normal, "ScaledUpGroup", message);
  }

  bool fill_to_minimum(Simulation& simulation, const std::vector<ObjectRef>& daemon_sets) {
    bool grown = false;
    for (const NodeGroup& group : options.groups.groups) {
      const int64_t missing = group.min - fleet.size(group);
      if (missing <= 0 || !fleet.refusal(group).empty()) continue;
      grow(simulation, group, missing, daemon_sets);
      grown = true;
    }
    return grown;
  }

  bool help_pods(Simulation& simulation, const std::vector<ObjectRef>& daemon_sets) {
    std::vector<DemandPtr> pods = world.unschedulable();
    unschedulable_pods().set(double(pods.size()));
    sort_for_packing(pods);
    place_all(simulation, pods);  // those that nodes take which are there or coming are helped already
    bool grown = false;
    Refusals refusals;
    while (!pods.empty()) {
      refusals.clear();
      std::vector<Option> possible;
      std::vector<NodeGroup> groups;  // as they really are; what Option names
      groups.reserve(options.groups.groups.size());
      for (const NodeGroup& group : options.groups.groups) {
        groups.push_back(effective(group));
        std::string refusal = fleet.refusal(group);
        const int64_t room = group.max - fleet.size(group);
        if (refusal.empty() && room <= 0) refusal = "max node group size reached";
        if (!refusal.empty()) {
          for (const DemandPtr& pod : pods) refusals[pod->pod.meta().uid].push_back(refusal);
          continue;
        }
        if (auto option = estimate(simulation, groups.back(), room, pods, daemon_sets, refusals)) possible.push_back(std::move(*option));
      }
      if (possible.empty()) break;
      const Option& best = best_of(possible);
      const NodeGroup& group = *options.groups.find(best.group->name);
      const int64_t before = fleet.size(group);
      grow(simulation, group, best.nodes, daemon_sets);
      grown = true;
      const std::string message = "pod triggered scale-up: [{" + group.name + " " + std::to_string(before) + "->" +
                                  std::to_string(before + best.nodes) + " (max: " + std::to_string(group.max) + ")}]";
      for (const DemandPtr& pod : best.pods) {
        told.erase(pod->pod.meta().uid);
        events.record(pod->pod, EventType::normal, "TriggeredScaleUp", message);
      }
      const std::set<DemandPtr> helped(best.pods.begin(), best.pods.end());
      place_all(simulation, pods);
      std::erase_if(pods, [&](const DemandPtr& pod) { return helped.contains(pod); });
    }
    tell_in_vain(pods, refusals);
    return grown;
  }

  void tell_in_vain(const std::vector<DemandPtr>& pods, const Refusals& refusals) {
    std::map<std::string, std::string> now;
    for (const DemandPtr& pod : pods) {
      const std::string& uid = pod->pod.meta().uid;
      const auto why = refusals.find(uid);
      const std::string message = "pod didn't trigger scale-up: " + (why == refusals.end() ? std::string() : count_reasons(why->second));
      const auto before = told.find(uid);
      if (before == told.end() || before->second != message) events.record(pod->pod, EventType::normal, "NotTriggerScaleUp", message);
      now[uid] = message;
    }
    told = std::move(now);
  }

  // --- going ------------------------------------------------------------------------------------------------------------------

  void shrink(Simulation& simulation) {
    const ScaleDown& settings = options.groups.scale_down;
    if (!settings.enabled) return;
    const Instant now = executor.now();
    const DownPlan plan = plan_scale_down(simulation, world, fleet, settings, unneeded, now);
    std::map<std::string, Instant> since;
    for (const Unneeded& node : plan.unneeded) {
      const auto known = unneeded.find(node.node);
      since[node.node] = known == unneeded.end() ? now : known->second;
    }
    unneeded = std::move(since);
    unneeded_nodes().set(double(unneeded.size()));
    for (const std::string& reason : reasons_told) unremovable_nodes().with({reason}).set(0);
    for (const auto& [reason, count] : plan.staying) {
      reasons_told.insert(reason);
      unremovable_nodes().with({reason}).set(double(count));
    }
    if (fleet.last_growth() && now < *fleet.last_growth() + settings.after_add) return;
    // Empty nodes go at once, others one after another: each takes the places that the next one's pods would go to.
    for (const Unneeded& node : plan.unneeded) {
      if (now < unneeded[node.node] + (node.ready ? settings.unneeded : settings.unready)) continue;
      if (!node.empty && draining) continue;
      const char* reason = !node.ready ? "unready" : node.empty ? "empty" : "underutilized";
      fleet.find(node.node)->going = true;
      unneeded.erase(node.node);
      draining |= !node.empty;
      tasks.start(remove(this, node.node, reason, !node.empty));
    }
  }

  static Task<void> remove(Running* self, std::string name, std::string reason, bool drains) {
    co_await yield_now();  // the simulation is over
    co_await remove_node(&self->removal, std::move(name), std::move(reason));
    if (drains) self->draining = false;
    self->changed(true);
  }
};

Autoscaler::Autoscaler(client::Client& client, Executor& executor, Provider& provider, Options options)
    : client_(client), executor_(executor), provider_(provider), options_(std::move(options)) {}

Autoscaler::~Autoscaler() = default;

void Autoscaler::start() {
  running_ = std::make_unique<Running>(client_, executor_, provider_, options_);
  running_->job = Job(Running::run(running_.get()));
}

}  // namespace estiba::autoscale
