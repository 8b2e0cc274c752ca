// StatefulSet: pods with names that stay, made in order and removed in reverse, each with its own claims, rolled from the
// highest ordinal down. One run makes as many steps as the pod management policy allows; what it changes wakes the next.
#include <algorithm>

#include "client/json_writer.h"
#include "client/selectors.h"
#include "controllers/framework.h"
#include "controllers/owned.h"
#include "controllers/pod_control.h"
#include "controllers/pod_facts.h"
#include "controllers/revision_history.h"
#include "controllers/stateful_claims.h"
#include "controllers/stateful_identity.h"
#include "controllers/stateful_status.h"
#include "controllers/table.h"

namespace estiba::controllers {

using client::EventType;
using model::ObjectRef;
using model::apps_v1::StatefulSet;
using model::core_v1::Pod;

namespace {

constexpr client::Resource stateful_sets{"apps", "v1", "statefulsets"};
constexpr size_t most_at_once = 500;  // pods in work at the same time, with podManagementPolicy Parallel

/// A place of the set and the pod in it, if there is one.
struct Slot {
  int64_t ordinal = 0;
  ObjectRef pod;
};

/// One run's view of one set.
struct Round {
  ObjectRef set, current, update;
  WallTime now;
  std::vector<Slot> replicas;   // by ordinal, from spec.ordinals.start
  std::vector<Slot> condemned;  // the highest ordinal first
  const Slot* first_unavailable = nullptr;

  const model::apps_v1::StatefulSetSpec& spec() const { return set.as<StatefulSet>().spec; }
  int64_t start() const { return spec().ordinals ? spec().ordinals->start.value_or(0) : 0; }
  bool ordered() const { return spec().podManagementPolicy != "Parallel"; }
  bool rolls() const { return !spec().updateStrategy || spec().updateStrategy->type != "OnDelete"; }
  int64_t partition() const {
    const auto& strategy = spec().updateStrategy;
    return strategy && strategy->rollingUpdate ? strategy->rollingUpdate->partition.value_or(0) : 0;
  }
  /// What a new pod of this place is made of.
  const ObjectRef& revision_for(int64_t ordinal) const { return rolls() && ordinal < start() + partition() ? current : update; }
};

class StatefulSetController final : public Controller {
 public:
  explicit StatefulSetController(Context& context)
      : Controller(context, "statefulset-controller", {.workers = 16}),
        sets_(watch(stateful_sets)),
        pods_(informer(client::pods)),
        control_(client_, pods_, events_, PodWords::stateful),
        history_(client_, informer(controller_revisions), "controller.kubernetes.io/hash"),
        claims_(client_, informer(persistent_volume_claims), events_),
        pod_index_(controller_index(pods_)),
        by_namespace_(sets_.namespace_index()) {
    pods_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      enqueue_owners(before, after, "StatefulSet", sets_, by_namespace_,
                     [&](const ObjectRef& set) { return client::matches(set.as<StatefulSet>().spec.selector, after.meta().labels); });
    });
    // A claim that goes may be what a pod waits for.
    informer(persistent_volume_claims).on_change([this](const ObjectRef& before, const ObjectRef& after) {
      if (after) return;
      sets_.each(by_namespace_, before.meta().ns, [&](const ObjectRef& set) {
        if (!set.as<StatefulSet>().spec.volumeClaimTemplates.empty()) enqueue(set);
      });
    });
  }

 private:
  Task<Result<void>> reconcile(std::string key) override {
    const ObjectRef set = sets_.get(key);
    if (!set) co_return {};
    const StatefulSet& typed = set.as<StatefulSet>();
    std::vector<ObjectRef> revisions = CO_TRY(co_await history_.list(set, typed.spec.selector));
    const std::vector<ObjectRef> pods = CO_TRY(co_await claim(client_, pods_, pod_index_, set, typed.spec.selector, is_stateful_member));
    int64_t collisions = typed.status.collisionCount.value_or(0);
    Round round{.set = set, .update = CO_TRY(co_await history_.present(set, revisions, collisions)), .now = wall_now()};
    round.current = round.update;
    for (const ObjectRef& revision : revisions)
      if (revision.meta().name == typed.status.currentRevision) round.current = revision;
    place(round, pods);
    Result<void> done;
    if (set.meta().deletion_timestamp.empty()) done = co_await bring_in_line(round);
    // The status tells of what went wrong, too.
    CO_TRY(co_await write_status(round, collisions));
    CO_TRY(co_await forget_history(round, revisions, pods));
    co_return done;
  }

  void place(Round& round, const std::vector<ObjectRef>& pods) {
    const int64_t size = std::max(0, round.spec().replicas.value_or(1));
    round.replicas.resize(size_t(size));
    for (int64_t i = 0; i < size; ++i) round.replicas[size_t(i)].ordinal = round.start() + i;
    for (const ObjectRef& pod : pods) {
      const int64_t ordinal = parse_stateful_name(pod.meta().name).ordinal;
      if (ordinal >= round.start() && ordinal < round.start() + size) round.replicas[size_t(ordinal - round.start())].pod = pod;
      else round.condemned.push_back({ordinal, pod});
    }
    std::sort(round.condemned.begin(), round.condemned.end(), [](const Slot& a, const Slot& b) { return a.ordinal > b.ordinal; });
    for (const Slot& slot : round.replicas)
      if (!round.first_unavailable && is_unavailable(round, slot)) round.first_unavailable = &slot;
    for (auto slot = round.condemned.rbegin(); slot != round.condemned.rend(); ++slot)
      if (!round.first_unavailable && is_unavailable(round, *slot)) round.first_unavailable = &*slot;
  }

  bool is_terminating(const ObjectRef& pod) const { return !pod.meta().deletion_timestamp.empty() || control_.is_deleting(pod); }
  static bool is_available(const Round& round, const ObjectRef& pod) {
    const auto at = available_at(pod.as<Pod>(), round.spec().minReadySeconds.value_or(0));
    return at && *at <= round.now;
  }
  static bool is_running_and_ready(const ObjectRef& pod) { return pod.as<Pod>().status.phase == "Running" && is_ready(pod.as<Pod>()); }
  bool is_unavailable(const Round& round, const Slot& slot) const {
    return !slot.pod || !is_available(round, slot.pod) || is_terminating(slot.pod);
  }

  // --- from what is to what should be --------------------------------------------------------------------------------

  /// What is done with one slot. True: with ordered pods nothing more is done in this run.
  using Act = Task<Result<bool>> (*)(StatefulSetController* self, Round* round, Slot* slot);

  Task<Result<void>> bring_in_line(Round& round) {
    if (CO_TRY(co_await for_each(round, round.replicas, bring_up))) co_return {};
    if (CO_TRY(co_await for_each(round, round.condemned, hand_over_claims))) co_return {};
    if (CO_TRY(co_await for_each(round, round.condemned, take_down))) co_return {};
    if (round.rolls()) co_return co_await roll(round);
    co_return {};
  }

  /// One after the other until one says stop; with Parallel, more and more at once, until one fails.
  Task<Result<bool>> for_each(Round& round, std::vector<Slot>& slots, Act act) {
    if (round.ordered()) {
      for (Slot& slot : slots)
        if (CO_TRY(co_await act(this, &round, &slot))) co_return true;
      co_return false;
    }
    std::optional<Error> error;
    for (size_t from = 0, batch = 1; from < slots.size(); from += batch, batch = std::min(most_at_once, 2 * batch)) {
      TaskGroup group;
      for (size_t i = from; i < std::min(slots.size(), from + batch); ++i) group.start(keep_error(act(this, &round, &slots[i]), &error));
      co_await group.join();
      if (error) co_return std::unexpected(std::move(*error));
    }
    co_return false;
  }
  static Task<void> keep_error(Task<Result<bool>> task, std::optional<Error>* error) {
    auto done = co_await std::move(task);
    if (!done && !*error) *error = std::move(done.error());
  }

  static Task<Result<bool>> bring_up(StatefulSetController* self, Round* round, Slot* slot) {
    if (slot->pod && is_finished(slot->pod.as<Pod>())) {
      // However it ended: its name is needed for the next one, which is made when this one is gone.
      if (!self->is_terminating(slot->pod)) CO_TRY(co_await self->remove(*round, slot->pod));
      co_return true;
    }
    if (!slot->pod) {
      if (self->claims_.stale(round->set, slot->ordinal)) co_return true;
      CO_TRY(co_await self->create(*round, *slot));
      if (round->ordered()) co_return true;
    } else if (slot->pod.as<Pod>().status.phase == "Pending") {
      CO_TRY(co_await self->claims_.make_missing(round->set, slot->pod.meta().name, slot->ordinal));
    }
    if (round->ordered() && (self->is_terminating(slot->pod) || !is_running_and_ready(slot->pod) || !is_available(*round, slot->pod)))
      co_return true;
    if (!has_stateful_identity(round->set.meta(), slot->pod.meta())) CO_TRY(co_await self->restore_identity(*round, *slot));
    CO_TRY(co_await self->claims_.put_owners_right(round->set, slot->pod, slot->ordinal, false));
    co_return false;
  }

  static Task<Result<bool>> hand_over_claims(StatefulSetController* self, Round* round, Slot* slot) {
    CO_TRY(co_await self->claims_.put_owners_right(round->set, slot->pod, slot->ordinal, true));
    co_return false;
  }

  static Task<Result<bool>> take_down(StatefulSetController* self, Round* round, Slot* slot) {
    if (self->is_terminating(slot->pod)) co_return true;
    // One that is unwell waits for those before it, unless it is the first that is.
    const bool well = is_running_and_ready(slot->pod) && is_available(*round, slot->pod);
    if (round->ordered() && !well && round->first_unavailable != slot) co_return true;
    CO_TRY(co_await self->remove(*round, slot->pod));
    co_return true;
  }

  Task<Result<void>> roll(Round& round) {
    const auto& strategy = round.spec().updateStrategy;
    const bool bounded = strategy && strategy->rollingUpdate && strategy->rollingUpdate->maxUnavailable;
    const int64_t lowest = std::max<int64_t>(0, round.partition());
    if (!bounded) {
      for (int64_t i = int64_t(round.replicas.size()) - 1; i >= lowest; --i) {
        const Slot& slot = round.replicas[size_t(i)];
        if (is_outdated(round, slot)) co_return co_await remove(round, slot.pod);
        if (is_unavailable(round, slot)) co_return {};
      }
      co_return {};
    }
    const auto allowed = CO_TRY(strategy->rollingUpdate->maxUnavailable.scaled(int32_t(round.replicas.size()), false));
    const auto lacking =
        std::count_if(round.replicas.begin(), round.replicas.end(), [&](const Slot& slot) { return is_unavailable(round, slot); });
    int64_t left = std::max(allowed, 1) - lacking;
    for (int64_t i = int64_t(round.replicas.size()) - 1; i >= lowest && left > 0; --i) {
      const Slot& slot = round.replicas[size_t(i)];
      if (!is_outdated(round, slot)) continue;
      CO_TRY(co_await remove(round, slot.pod));
      --left;
    }
    co_return {};
  }

  bool is_outdated(const Round& round, const Slot& slot) const {
    return slot.pod && slot.pod.meta().label(revision_hash_label) != round.update.meta().name && !is_terminating(slot.pod);
  }

  // --- pods ----------------------------------------------------------------------------------------------------------

  Task<Result<void>> create(const Round& round, Slot& slot) {
    const std::string name = round.set.meta().name + "-" + std::to_string(slot.ordinal);
    const std::string what = "Create Pod " + name + " in StatefulSet " + round.set.meta().name;
    Result<ObjectRef> made = std::unexpected(Error{});
    if (auto ready = co_await claims_.make_missing(round.set, name, slot.ordinal); !ready) made = std::unexpected(std::move(ready.error()));
    else
      made = co_await client_.create(client::pods, round.set.meta().ns,
                                     CO_TRY(stateful_pod_body(round.set, round.revision_for(slot.ordinal), slot.ordinal)));
    if (!made) {
      if (made.error().code != Code::already_exists)
        events_.record(round.set, EventType::warning, "FailedCreate", what + " failed error: " + made.error().message);
      co_return std::unexpected(std::move(made.error()).context("create pod " + client::key_of(round.set.meta().ns, name)));
    }
    pods_.observe(*made);
    slot.pod = *made;
    events_.record(round.set, EventType::normal, "SuccessfulCreate", what + " successful");
    co_return co_await claims_.put_owners_right(round.set, slot.pod, slot.ordinal, false);
  }

  Task<Result<void>> remove(const Round& round, ObjectRef pod) {
    std::vector<ObjectRef> one{std::move(pod)};
    co_return co_await control_.remove(round.set, std::move(one));
  }

  Task<Result<void>> restore_identity(const Round& round, Slot& slot) {
    const model::Meta& meta = slot.pod.meta();
    const std::string what = "Update Pod " + meta.name + " in StatefulSet " + round.set.meta().name;
    auto written = co_await client_.patch(client::pods, meta.ns, meta.name, client::PatchType::merge, stateful_identity_patch(meta));
    if (!written) {
      events_.record(round.set, EventType::warning, "FailedUpdate", what + " failed error: " + written.error().message);
      co_return std::unexpected(std::move(written.error()).context("restore the identity of pod " + client::key_of(meta)));
    }
    pods_.observe(*written);
    slot.pod = *written;
    events_.record(round.set, EventType::normal, "SuccessfulUpdate", what + " successful");
    co_return {};
  }

  // --- status and history --------------------------------------------------------------------------------------------

  Task<Result<void>> write_status(const Round& round, int64_t collisions) {
    StatefulStatus status{
        .current_revision = round.current.meta().name, .update_revision = round.update.meta().name, .collisions = collisions};
    std::optional<WallTime> next;
    for (const auto* slots : {&round.replicas, &round.condemned})
      for (const Slot& slot : *slots)
        if (slot.pod) status.count(slot.pod, is_terminating(slot.pod), is_running_and_ready(slot.pod), is_available(round, slot.pod));
    for (const Slot& slot : round.replicas)
      if (slot.pod)
        if (const auto at = available_at(slot.pod.as<Pod>(), round.spec().minReadySeconds.value_or(0));
            at && *at > round.now && (!next || *at < *next))
          next = at;
    if (next) enqueue_after(client::key_of(round.set), *next - round.now);
    status.complete_rollout(round.set);
    const std::optional<std::string> patch = status.patch(round.set);
    if (!patch) co_return {};
    co_return co_await patch_status(sets_, round.set, *patch);
  }

  /// Deletes revisions that no pod is of, beyond spec.revisionHistoryLimit, the oldest first.
  Task<Result<void>> forget_history(const Round& round, std::vector<ObjectRef> revisions, const std::vector<ObjectRef>& pods) {
    const auto limit = round.spec().revisionHistoryLimit;
    if (!limit || *limit < 0) co_return {};
    std::erase_if(revisions, [&](const ObjectRef& revision) {
      const std::string& name = revision.meta().name;
      return name == round.current.meta().name || name == round.update.meta().name ||
             std::any_of(pods.begin(), pods.end(), [&](const ObjectRef& pod) { return pod.meta().label(revision_hash_label) == name; });
    });
    if (revisions.size() <= size_t(*limit)) co_return {};
    revisions.resize(revisions.size() - size_t(*limit));
    co_return co_await history_.forget(std::move(revisions));
  }

  client::Informer& sets_;
  client::Informer& pods_;
  PodControl control_;
  RevisionHistory history_;
  StatefulClaims claims_;
  const client::Informer::Index pod_index_, by_namespace_;
};

}  // namespace

std::unique_ptr<Controller> make_stateful_set_controller(Context& context) { return std::make_unique<StatefulSetController>(context); }

}  // namespace estiba::controllers
