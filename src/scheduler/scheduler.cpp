#include "scheduler/scheduler.h"

#include <map>

#include "base/log.h"
#include "base/time.h"
#include "client/events.h"
#include "client/informer.h"
#include "client/json_writer.h"
#include "client/resource_claims.h"
#include "client/tolerations.h"
#include "scheduler/bind_claims.h"
#include "scheduler/bind_volumes.h"
#include "scheduler/cluster.h"
#include "scheduler/decide.h"
#include "scheduler/devices/devices.h"
#include "scheduler/preempt.h"
#include "scheduler/queue.h"
#include "scheduler/verdicts.h"

namespace estiba::scheduler {

using client::EventType;
using model::ObjectRef;
using model::core_v1::Node;
using model::core_v1::Pod;

struct Scheduler::State {
  client::Client& client;
  Executor& executor;
  const Configuration configuration;
  client::Informers informers{client};
  std::map<std::string_view, client::EventRecorder> recorders{};  // by profile
  client::Informer* pods = nullptr;
  client::Informer* nodes = nullptr;
  client::Informer* namespaces = nullptr;
  client::Informer* budgets = nullptr;
  Cluster cluster;
  VerdictCache verdicts{};
  Queue queue{executor, configuration.first_rest, configuration.longest_rest};
  VolumeWriter volumes{client, executor, cluster};
  std::optional<devices::Devices> devices{};  // from the start on
  std::optional<ClaimWriter> claims{};
  client::Informer::Index pods_by_claim{};
  uint64_t turn = 0;
  TaskGroup writes;
  Job job;

  static bool is_finished(const Pod& pod) { return pod.status.phase == "Succeeded" || pod.status.phase == "Failed"; }

  /// Null when the pod is for somebody else.
  const Profile* profile_of(const Pod& pod) const {
    const std::string& name = pod.spec.schedulerName.empty() ? default_profile().name : pod.spec.schedulerName;
    const auto found = std::ranges::find(configuration.profiles, name, &Profile::name);
    return found == configuration.profiles.end() ? nullptr : &*found;
  }
  client::EventRecorder& events(const Profile& profile) {
    return recorders.try_emplace(profile.name, client, executor, profile.name).first->second;
  }

  bool waits_for_us(const ObjectRef& object) const {
    const Pod& pod = object.as<Pod>();
    return pod.spec.nodeName.empty() && object.meta().deletion_timestamp.empty() && pod.spec.schedulingGates.empty() && !is_finished(pod) &&
           profile_of(pod);
  }

  // A status change of a waiting pod (often our own writing) is no reason to try it again.
  static bool asks_the_same(const ObjectRef& before, const ObjectRef& after) {
    const auto &a = before.as<Pod>().spec, &b = after.as<Pod>().spec;
    return before.meta().generation == after.meta().generation && before.meta().labels == after.meta().labels &&
           a.schedulingGates.size() == b.schedulingGates.size() && a.tolerations.size() == b.tolerations.size() &&
           a.nodeSelector == b.nodeSelector;
  }

  /// Claims that are made of templates for the pod are not there yet: until then it is not looked at.
  bool lacks_claims(const ObjectRef& pod) const {
    return std::ranges::any_of(client::pod_claims(pod.as<Pod>()), [&](const client::PodClaim& each) {
      return each.pending || (each.made && !devices->claim(client::key_of(pod.meta().ns, each.claim)));
    });
  }

  /// A claim is there, or not as it was: those that use it may be placed now.
  void claim_changed(const std::string& claim) {
    pods->each(pods_by_claim, claim, [&](const ObjectRef& pod) {
      const std::string key = client::key_of(pod);
      if (queue.contains(key)) queue.wake(key);
      else pod_changed(pod, pod);
    });
  }

  void pod_changed(const ObjectRef& before, const ObjectRef& after) {
    const std::string key = client::key_of(after ? after : before);
    if (!after || is_finished(after.as<Pod>())) {
      queue.remove(key);
      const std::string& uid = (after ? after : before).meta().uid;
      if (cluster.knows(uid)) {
        cluster.remove_pod(uid);
        queue.wake_all();
      }
      cluster.drop_nomination(uid);
      volumes.changed();
      return;
    }
    if (!after.as<Pod>().spec.nodeName.empty()) {
      queue.remove(key);
      if (cluster.confirm(after)) return;  // as the echo of our own binding says
      return cluster.set_pod(after) ? queue.wake_all() : queue.wake(Awaited::neighbours);
    }
    if (!waits_for_us(after) || lacks_claims(after)) return queue.remove(key);
    if (cluster.knows(after.meta().uid)) return;  // being bound
    note_promise(after);
    if (before && queue.contains(key) && asks_the_same(before, after)) return;
    queue.add(key, after.as<Pod>().spec.priority.value_or(0));
  }

  /// Room that a pod was promised on a node is kept for it.
  void note_promise(const ObjectRef& pod) {
    const std::string& node = pod.as<Pod>().status.nominatedNodeName;
    if (node.empty()) cluster.drop_nomination(pod.meta().uid);
    else cluster.nominate(demand_of(pod), node);
  }

  static bool offers_the_same(const ObjectRef& before, const ObjectRef& after) {
    const Node &a = before.as<Node>(), &b = after.as<Node>();
    return before.meta().labels == after.meta().labels && a.status.allocatable == b.status.allocatable &&
           a.status.capacity == b.status.capacity && a.spec.unschedulable == b.spec.unschedulable &&
           a.status.declaredFeatures == b.status.declaredFeatures && client::same_taints(a.spec.taints, b.spec.taints);
  }

  void node_changed(const ObjectRef& before, const ObjectRef& after) {
    if (!after) return cluster.remove_node(before.meta().name);
    cluster.set_node(after);
    if (!before || !offers_the_same(before, after)) queue.wake_all();
  }

  void namespace_changed(const ObjectRef& before, const ObjectRef& after) {
    if (after) cluster.set_namespace(after);
    else cluster.remove_namespace(before.meta().name);
    if (after && (!before || before.meta().labels != after.meta().labels)) queue.wake(Awaited::neighbours);
  }

  static Task<void> run(State* self) {
    co_await self->namespaces->wait_synced();
    co_await self->pods->wait_synced();
    co_await self->nodes->wait_synced();
    co_await self->budgets->wait_synced();
    const Listers& listers = self->cluster.listers;
    for (client::Informer* other :
         {listers.services, listers.replication_controllers, listers.replica_sets, listers.stateful_sets, listers.claims, listers.volumes,
          listers.classes, listers.csi_nodes, listers.csi_drivers, listers.capacities, listers.attachments})
      co_await other->wait_synced();
    for (client::Informer* other : self->devices->informers()) co_await other->wait_synced();
    for (;;) {
      co_await self->queue.changed().wait();
      self->queue.changed().reset();
      // Between decisions the watches get their turn now and then.
      for (int n = 1; !self->queue.empty(); ++n) {
        self->place_one(self->queue.pop());
        if (n % 64 == 0) co_await yield_now();
      }
    }
  }

  static bool awaits_neighbours(const Demand& demand) {
    return (demand.affinity && !demand.affinity->required.empty()) || !demand.typed().spec.topologySpreadConstraints.empty();
  }

  static bool awaits_volumes(const Demand& demand) {
    return std::ranges::any_of(demand.typed().spec.volumes,
                               [](const auto& volume) { return volume.persistentVolumeClaim || volume.ephemeral; });
  }

  static bool awaits_devices(const Demand& demand) { return !demand.typed().spec.resourceClaims.empty(); }

  /// Better than that others go: claims that nobody uses and whose devices are elsewhere get others.
  bool give_back_devices(const Demand& demand) {
    const std::vector<devices::ClaimPtr> unused = devices->of(demand)->in_the_way();
    if (!unused.empty()) writes.start(deallocate(this, unused[0]));
    return !unused.empty();
  }
  static Task<void> deallocate(State* self, devices::ClaimPtr claim) {
    auto done = co_await self->claims->deallocate(claim);
    if (!done) log::debug("scheduler", "devices were not given back", {{"claim", client::key_of(claim->meta())}, {"error", done.error()}});
  }

  void place_one(const std::string& key) {
    const ObjectRef pod = pods->get(key);
    if (!pod || !waits_for_us(pod) || cluster.knows(pod.meta().uid)) return queue.remove(key);
    const DemandPtr demand = demand_of(pod);
    const Profile& profile = *profile_of(pod.as<Pod>());
    const Cycle cycle(profile, cluster, *demand);
    Verdicts* known = verdicts.of(cycle);
    const Decision decision = decide(cycle, turn, known);
    turn += decision.looked_at + 1;  // one more, so that equally good nodes take turns where all are looked at
    const int64_t priority = pod.as<Pod>().spec.priority.value_or(0);
    if (!decision.node) {
      queue.put_back_unschedulable(key, priority,
                                   {{Awaited::neighbours, awaits_neighbours(*demand)},
                                    {Awaited::volumes, awaits_volumes(*demand)},
                                    {Awaited::devices, awaits_devices(*demand)}});
      std::string message = decision.message, promised = pod.as<Pod>().status.nominatedNodeName;
      if (profile.binds_claims && awaits_devices(*demand) && give_back_devices(*demand)) {
        message += " Still not schedulable: devices of claims that nobody uses are given back.";
      } else if (profile.preempts && !cluster.nodes().empty() && may_preempt(cluster, *demand)) {
        const Preemption preemption = find_victims(cycle, known ? known->may_preempt() : decision.may_preempt, *budgets, turn, known);
        promised = preemption.node ? preemption.node->name : "";
        if (preemption.node) preempt(profile, pod, demand, preemption);
        else message += " " + preemption.message;
      }
      events(profile).record(pod, EventType::warning, "FailedScheduling", message);
      writes.start(tell_unschedulable(this, pod, message, promised));
      return;
    }
    cluster.assume(demand, decision.node->name);
    queue.wake(Awaited::neighbours);
    VolumePlan plan;
    if (profile.binds_volumes && awaits_volumes(*demand)) PodVolumes(cluster, *demand).fits(*decision.node, nullptr, &plan);
    volumes.reserve(plan, decision.node->name);
    devices::DevicePlan claimed;
    if (profile.binds_claims && awaits_devices(*demand))
      claimed = devices->of(*demand)->plan(*decision.node, format_rfc3339(executor.wall_now()));
    claims->reserve(claimed);
    writes.start(bind(this, &profile, demand, decision.node->name, key, priority, std::move(plan), std::move(claimed)));
  }

  /// The victims go, each with its own grace; the pod is tried again as they do. Pods of lower priority that were promised room there look
  /// for another place.
  void preempt(const Profile& profile, const ObjectRef& pod, const DemandPtr& demand, const Preemption& preemption) {
    const std::vector<DemandPtr> promised = preemption.node->nominated;
    for (const DemandPtr& other : promised) {
      if (other->priority >= demand->priority || other->pod.meta().uid == pod.meta().uid) continue;
      cluster.drop_nomination(other->pod.meta().uid);
      writes.start(break_promise(this, other->pod));
    }
    cluster.nominate(demand, preemption.node->name);
    for (const DemandPtr& victim : preemption.victims)
      writes.start(evict(this, &profile, victim->pod, pod.meta().uid, preemption.node->name));
  }

  static Task<void> evict(State* self, const Profile* profile, ObjectRef victim, std::string by, std::string node) {
    const model::Meta& meta = victim.meta();
    if (!meta.deletion_timestamp.empty()) co_return;
    const std::string key = client::key_of(meta);
    client::JsonWriter json;
    json.object().object("metadata").field("uid", meta.uid).end().object("status").array("conditions").object();
    json.field("type", "DisruptionTarget").field("status", "True").field("reason", "PreemptionByScheduler");
    json.field("message", profile->name + ": preempting to accommodate a higher priority pod");
    json.field("lastTransitionTime", format_rfc3339(self->executor.wall_now())).end().end().end().end();
    auto told =
        co_await self->client.patch(client::pods, meta.ns, meta.name, client::PatchType::strategic, json.take(), {.subresource = "status"});
    if (!told && told.error().code == Code::not_found) co_return;
    if (!told) log::warn("scheduler", "the condition DisruptionTarget was not written", {{"pod", key}, {"error", told.error()}});
    auto removed = co_await self->client.remove(client::pods, meta.ns, meta.name, {.uid = meta.uid});
    if (removed) self->events(*profile).record(victim, EventType::normal, "Preempted", "Preempted by pod " + by + " on node " + node);
    else if (removed.error().code != Code::not_found && removed.error().code != Code::conflict)
      log::warn("scheduler", "a pod was not preempted", {{"pod", key}, {"error", removed.error()}});
  }

  static Task<void> break_promise(State* self, ObjectRef pod) {
    client::JsonWriter json;
    json.object().object("metadata").field("uid", pod.meta().uid).end().object("status").null("nominatedNodeName").end().end();
    auto written = co_await self->client.patch(client::pods, pod.meta().ns, pod.meta().name, client::PatchType::merge, json.take(),
                                               {.subresource = "status"});
    (void)written;  // the pod may be gone, or have a place
  }

  static Task<void> bind(State* self, const Profile* profile, DemandPtr demand, std::string node, std::string key, int64_t priority,
                         VolumePlan plan, devices::DevicePlan claimed) {
    Result<void> bound;
    if (!plan.empty()) {
      bound = co_await self->volumes.write(std::move(plan), node, self->pods, demand->pod, profile->args.volume_wait);
      if (!bound)
        self->events(*profile).record(demand->pod, EventType::warning, "FailedScheduling",
                                      "running PreBind plugin \"VolumeBinding\": " + bound.error().message);
    }
    if (bound && !claimed.empty()) {
      bound = co_await self->claims->write(claimed, demand->pod, profile->args.device_wait);
      if (!bound)
        self->events(*profile).record(demand->pod, EventType::warning, "FailedScheduling",
                                      "running PreBind plugin \"DynamicResources\": " + bound.error().message);
    }
    if (bound) bound = co_await profile->bind.bind(self->client, demand, node);
    if (!bound && !claimed.empty()) co_await self->claims->release(std::move(claimed), demand->pod);
    const model::Meta& meta = demand->pod.meta();
    const ObjectRef now = self->pods->get(key);
    const bool same = now && now.meta().uid == meta.uid;
    if (bound) {
      if (same) self->queue.remove(key);
      self->events(*profile).record(demand->pod, EventType::normal, "Scheduled",
                                    "Successfully assigned " + meta.ns + "/" + meta.name + " to " + node);
      co_return;
    }
    // The watch may already say that the pod has a place: then what it said stands.
    if (same && self->waits_for_us(now)) {
      self->cluster.remove_pod(meta.uid);
      self->queue.put_back_failed(key, priority);
      self->queue.wake_all();
    } else if (!same) {
      self->cluster.remove_pod(meta.uid);
    }
    const auto level = bound.error().code == Code::not_found || bound.error().code == Code::conflict ? log::Level::debug : log::Level::warn;
    log::write(level, "scheduler", "a pod was not bound", {{"pod", key}, {"node", node}, {"error", bound.error()}});
  }

  static Task<void> tell_unschedulable(State* self, ObjectRef pod, std::string message, std::string promised) {
    const auto& conditions = pod.as<Pod>().status.conditions;
    const bool same_promise = pod.as<Pod>().status.nominatedNodeName == promised;
    std::string since = format_rfc3339(self->executor.wall_now());
    for (const auto& c : conditions) {
      if (c.type != "PodScheduled") continue;
      if (c.status == "False" && c.reason == "Unschedulable" && c.message == message && same_promise) co_return;
      if (c.status == "False") since = c.lastTransitionTime;
    }
    client::JsonWriter json;
    json.object().object("metadata").field("resourceVersion", pod.resource_version()).end().object("status").array("conditions");
    for (const auto& c : conditions) {
      if (c.type == "PodScheduled") continue;
      json.object().field("type", c.type).field("status", c.status).optional("lastTransitionTime", c.lastTransitionTime);
      json.optional("lastProbeTime", c.lastProbeTime).optional("reason", c.reason).optional("message", c.message).end();
    }
    json.object().field("type", "PodScheduled").field("status", "False").field("lastTransitionTime", since);
    json.null("lastProbeTime").field("reason", "Unschedulable").field("message", message).end().end();
    if (promised.empty()) json.null("nominatedNodeName");
    else json.field("nominatedNodeName", promised);
    json.end().end();
    const model::Meta& meta = pod.meta();
    auto written =
        co_await self->client.patch(client::pods, meta.ns, meta.name, client::PatchType::merge, json.take(), {.subresource = "status"});
    if (!written && written.error().code != Code::not_found && written.error().code != Code::conflict)
      log::warn("scheduler", "the condition PodScheduled was not written", {{"pod", client::key_of(meta)}, {"error", written.error()}});
  }
};

Scheduler::Scheduler(client::Client& client, Executor& executor, Configuration configuration)
    : state_(new State{.client = client, .executor = executor, .configuration = std::move(configuration)}) {}

Scheduler::~Scheduler() = default;

void Scheduler::start() {
  State* state = state_.get();
  state->pods = &state->informers.of(client::pods);
  state->nodes = &state->informers.of(client::nodes);
  state->namespaces = &state->informers.of(client::namespaces);
  state->budgets = &state->informers.of({"policy", "v1", "poddisruptionbudgets"});
  state->cluster.listers = {.services = &state->informers.of(client::services),
                            .replication_controllers = &state->informers.of({"", "v1", "replicationcontrollers"}),
                            .replica_sets = &state->informers.of(client::replica_sets),
                            .stateful_sets = &state->informers.of({"apps", "v1", "statefulsets"}),
                            .claims = &state->informers.of({"", "v1", "persistentvolumeclaims"}),
                            .volumes = &state->informers.of({"", "v1", "persistentvolumes"}),
                            .classes = &state->informers.of({"storage.k8s.io", "v1", "storageclasses"}),
                            .csi_nodes = &state->informers.of({"storage.k8s.io", "v1", "csinodes"}),
                            .csi_drivers = &state->informers.of({"storage.k8s.io", "v1", "csidrivers"}),
                            .capacities = &state->informers.of({"storage.k8s.io", "v1", "csistoragecapacities"}),
                            .attachments = &state->informers.of({"storage.k8s.io", "v1", "volumeattachments"})};
  const Listers& listers = state->cluster.listers;
  for (client::Informer* storage :
       {listers.claims, listers.volumes, listers.classes, listers.csi_nodes, listers.csi_drivers, listers.capacities, listers.attachments})
    storage->on_change([state](const ObjectRef&, const ObjectRef&) {
      state->volumes.changed();
      state->queue.wake(Awaited::volumes);
    });
  state->cluster.devices = &state->devices.emplace(state->informers);
  state->claims.emplace(state->client, state->executor, *state->devices);
  state->pods_by_claim = state->pods->shared_index("resource claims", [](const model::Object& pod, std::vector<std::string>& keys) {
    for (const client::PodClaim& each : client::pod_claims(pod.as<Pod>()))
      if (!each.claim.empty()) keys.push_back(client::key_of(pod.meta().ns, each.claim));
  });
  state->devices->on_change({.devices =
                                 [state] {
                                   state->claims->changed();
                                   state->queue.wake(Awaited::devices);
                                 },
                             .claim =
                                 [state](const std::string& claim) {
                                   state->claims->changed();
                                   state->claim_changed(claim);
                                 }});
  state->pods->on_change([state](const ObjectRef& before, const ObjectRef& after) { state->pod_changed(before, after); });
  state->nodes->on_change([state](const ObjectRef& before, const ObjectRef& after) { state->node_changed(before, after); });
  state->pods->on_lighter([state](const ObjectRef& pod) { state->cluster.hold_pod(pod); });
  state->nodes->on_lighter([state](const ObjectRef& node) { state->cluster.hold_node(node); });
  state->budgets->on_change([state](const ObjectRef&, const ObjectRef&) { state->verdicts.forget_candidates(); });
  state->namespaces->on_change([state](const ObjectRef& before, const ObjectRef& after) { state->namespace_changed(before, after); });
  state->job = Job(State::run(state));
}

}  // namespace estiba::scheduler
