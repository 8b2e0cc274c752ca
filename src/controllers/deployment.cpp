// Deployment: one ReplicaSet a template, sized so that the new one takes over within the bounds of the strategy.
//
// One run makes one step: whatever it changes comes back through the watch of ReplicaSets and starts the next.
#include <algorithm>

#include "client/json_writer.h"
#include "client/selectors.h"
#include "controllers/annotations.h"
#include "controllers/deployment_status.h"
#include "controllers/deployment_template.h"
#include "controllers/framework.h"
#include "controllers/owned.h"
#include "controllers/pod_facts.h"
#include "controllers/rollout_math.h"
#include "controllers/table.h"

namespace estiba::controllers {

using client::EventType;
using client::JsonWriter;
using client::PatchType;
using model::ObjectRef;
using model::apps_v1::Deployment;
using model::apps_v1::DeploymentSpec;

namespace {

/// One run's view of one Deployment.
struct Rollout {
  ObjectRef deployment;
  std::string canonical;      // its template
  std::vector<SetState> old;  // oldest first
  std::optional<SetState> fresh;
  DeploymentStatus status;  // what will be written
  const DeploymentSpec& spec() const { return deployment.as<Deployment>().spec; }
  int64_t replicas() const { return spec().replicas.value_or(1); }
  int64_t most() const { return replicas() + rollout_bounds(spec()).surge; }
  SetState* fresh_or_null() { return fresh ? &*fresh : nullptr; }
  int64_t wanted() const { return totals(old).replicas + (fresh ? fresh->replicas : 0); }
  int64_t next_revision() const {
    int64_t newest = 0;
    for (const SetState& set : old) newest = std::max(newest, set.revision);
    return newest + 1;
  }
};

class DeploymentController final : public Controller {
 public:
  explicit DeploymentController(Context& context)
      : Controller(context, "deployment-controller", {.workers = 8}),
        deployments_(watch(client::deployments)),
        sets_(informer(client::replica_sets)),
        pods_(informer(client::pods)),
        set_index_(controller_index(sets_)),
        pod_index_(controller_index(pods_)),
        by_namespace_(deployments_.namespace_index()) {
    sets_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      enqueue_owners(before, after, "Deployment", deployments_, by_namespace_, [&](const ObjectRef& deployment) {
        return client::matches(deployment.as<Deployment>().spec.selector, after.meta().labels);
      });
    });
    pods_.on_change([this](const ObjectRef& before, const ObjectRef& after) { pod_changed(before, after); });
  }

 private:
  // Recreate waits for the last old pod to end.
  void pod_changed(const ObjectRef& before, const ObjectRef& after) {
    if (!before || (after && !is_finished(after.as<model::core_v1::Pod>()))) return;
    const model::Owner* owner = before.meta().controller();
    if (!owner || owner->kind != "ReplicaSet") return;
    enqueue_controllers({}, sets_.get(before.meta().ns, owner->name), "Deployment");
  }

  Task<Result<void>> reconcile(std::string key) override {
    const ObjectRef deployment = deployments_.get(key);
    if (!deployment) co_return {};
    const Deployment& typed = deployment.as<Deployment>();
    Rollout rollout{
        .deployment = deployment, .canonical = CO_TRY(canonical_template(deployment)), .status = DeploymentStatus::of(deployment)};
    CO_TRY(sort_out(rollout, CO_TRY(co_await claim(client_, sets_, set_index_, deployment, typed.spec.selector))));
    if (!deployment.meta().deletion_timestamp.empty()) co_return co_await write_status(rollout, false);

    note_pause(rollout);
    const bool paused = typed.spec.paused.value_or(false);
    if (paused || is_scaling(rollout)) {
      CO_TRY(co_await prepare_fresh(rollout, false));
      CO_TRY(co_await scale_all(rollout));
      if (paused) CO_TRY(co_await forget_history(rollout));
      co_return co_await write_status(rollout, false);
    }
    Result<void> done;
    if (typed.spec.strategy && typed.spec.strategy->type == "Recreate") done = co_await recreate(rollout);
    else done = co_await roll(rollout);
    // The status tells of what went wrong, too.
    CO_TRY(co_await write_status(rollout, true));
    co_return done;
  }

  /// Splits the sets into the one of the present template (the oldest, if there are several) and the others.
  Result<void> sort_out(Rollout& rollout, const std::vector<ObjectRef>& sets) {
    for (const ObjectRef& set : sets) rollout.old.push_back(SetState::of(set));
    sort_by_age(rollout.old);
    for (size_t i = 0; i < rollout.old.size(); ++i) {
      if (TRY(canonical_template(rollout.old[i].object)) != rollout.canonical) continue;
      rollout.fresh = std::move(rollout.old[i]);
      rollout.old.erase(rollout.old.begin() + long(i));
      break;
    }
    return {};
  }

  void note_pause(Rollout& rollout) {
    const DeploymentCondition* current = rollout.status.find("Progressing");
    if (!progress_deadline(rollout.deployment) || (current && current->reason == "ProgressDeadlineExceeded")) return;
    const bool noted = current && current->reason == "DeploymentPaused";
    const bool paused = rollout.spec().paused.value_or(false);
    if (paused && !noted) rollout.status.set("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused", wall_now());
    if (!paused && noted) rollout.status.set("Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed", wall_now());
  }

  static bool is_scaling(const Rollout& rollout) {
    const auto differs = [&](const SetState& set) { return set.replicas > 0 && set.desired >= 0 && set.desired != rollout.replicas(); };
    return std::any_of(rollout.old.begin(), rollout.old.end(), differs) || (rollout.fresh && differs(*rollout.fresh));
  }

  // --- strategies ----------------------------------------------------------------------------------------------------

  Task<Result<void>> roll(Rollout& rollout) {
    CO_TRY(co_await prepare_fresh(rollout, true));
    SetState& fresh = *rollout.fresh;
    int64_t size = rollout.replicas();
    if (fresh.replicas < size) size = new_set_size(rollout.spec(), rollout.wanted(), fresh.replicas);
    if (size != fresh.replicas) co_return co_await scale(rollout, fresh, size);

    if (totals(rollout.old).replicas > 0) {
      const std::vector<int64_t> sizes = old_set_sizes(rollout.spec(), rollout.old, fresh);
      bool scaled = false;
      for (size_t i = 0; i < sizes.size(); ++i) {
        if (sizes[i] == rollout.old[i].replicas) continue;
        CO_TRY(co_await scale(rollout, rollout.old[i], sizes[i]));
        scaled = true;
      }
      if (scaled) co_return {};
    }
    co_return co_await finish(rollout);
  }

  Task<Result<void>> recreate(Rollout& rollout) {
    CO_TRY(co_await prepare_fresh(rollout, false));
    bool scaled = false;
    for (SetState& set : rollout.old) {
      if (set.replicas == 0) continue;
      CO_TRY(co_await scale(rollout, set, 0));
      scaled = true;
    }
    if (scaled || old_pods_run(rollout)) co_return {};
    CO_TRY(co_await prepare_fresh(rollout, true));
    if (rollout.fresh->replicas != rollout.replicas()) co_return co_await scale(rollout, *rollout.fresh, rollout.replicas());
    co_return co_await finish(rollout);
  }

  bool old_pods_run(const Rollout& rollout) const {
    for (const SetState& set : rollout.old) {
      bool runs = false;
      pods_.each(pod_index_, set.object.meta().uid, [&](const ObjectRef& pod) { runs |= !is_finished(pod.as<model::core_v1::Pod>()); });
      if (runs) return true;
    }
    return false;
  }

  Task<Result<void>> finish(Rollout& rollout) {
    count_into(rollout.status, rollout.deployment, rollout.old, rollout.fresh_or_null(), wall_now());
    if (is_complete(rollout.deployment, rollout.status)) co_return co_await forget_history(rollout);
    co_return {};
  }

  /// The Deployment was scaled: the active sets share the change.
  Task<Result<void>> scale_all(Rollout& rollout) {
    std::vector<SetState*> active;
    for (SetState& set : rollout.old)
      if (set.replicas > 0) active.push_back(&set);
    if (rollout.fresh && rollout.fresh->replicas > 0) active.push_back(&*rollout.fresh);
    if (active.size() <= 1) {
      SetState* only = !active.empty() ? active[0] : rollout.fresh ? &*rollout.fresh : !rollout.old.empty() ? &rollout.old.back() : nullptr;
      if (only) co_return co_await scale(rollout, *only, rollout.replicas());
      co_return {};
    }
    const bool saturated = rollout.fresh && rollout.fresh->desired == rollout.replicas() && rollout.fresh->replicas == rollout.replicas() &&
                           rollout.fresh->available == rollout.replicas();
    if (saturated) {
      for (SetState& set : rollout.old)
        if (set.replicas > 0) CO_TRY(co_await scale(rollout, set, 0));
      co_return {};
    }
    if (rollout.spec().strategy && rollout.spec().strategy->type == "Recreate") co_return {};
    std::vector<SetState> states;
    for (const SetState* set : active) states.push_back(*set);
    const std::vector<int64_t> sizes = proportional_sizes(rollout.spec(), states, rollout.status.replicas);
    for (size_t i = 0; i < active.size(); ++i) CO_TRY(co_await scale(rollout, *active[i], sizes[i]));
    co_return {};
  }

  // --- sets ----------------------------------------------------------------------------------------------------------

  /// The set of the present template with the right annotations; made when it is missing and `create` says so.
  Task<Result<void>> prepare_fresh(Rollout& rollout, bool create) {
    const int64_t revision = rollout.next_revision();
    if (rollout.fresh) {
      CO_TRY(co_await annotate(rollout, *rollout.fresh, revision));
      if (!rollout.status.find("Progressing") && progress_deadline(rollout.deployment))
        rollout.status.set("Progressing", "True", "FoundNewReplicaSet", "Found new replica set \"" + rollout.fresh->name() + "\"",
                           wall_now());
      co_return co_await note_revision(rollout, rollout.fresh->revision);
    }
    if (!create) co_return {};
    CO_TRY(co_await create_fresh(rollout, revision));
    if (progress_deadline(rollout.deployment))
      rollout.status.set("Progressing", "True", "NewReplicaSetCreated", "Created new replica set \"" + rollout.fresh->name() + "\"",
                         wall_now());
    co_return co_await note_revision(rollout, revision);
  }

  Task<Result<void>> create_fresh(Rollout& rollout, int64_t revision) {
    const model::Meta& meta = rollout.deployment.meta();
    NewSet set{.hash = template_hash(rollout.canonical, rollout.status.collisions.value_or(0))};
    set.name = meta.name + "-" + set.hash;
    set.replicas = new_set_size(rollout.spec(), rollout.wanted(), 0);
    set.revision = revision;
    set.desired = rollout.replicas();
    set.most = rollout.most();
    auto made = co_await client_.create(client::replica_sets, meta.ns, CO_TRY(new_set_body(rollout.deployment, set)));
    if (made) {
      sets_.observe(*made);
      rollout.fresh = SetState::of(*made);
      if (set.replicas > 0)
        events_.record(rollout.deployment, EventType::normal, "ScalingReplicaSet",
                       "Scaled up replica set " + set.name + " from 0 to " + std::to_string(set.replicas));
      co_return {};
    }
    if (made.error().code == Code::already_exists) co_return co_await resolve_collision(rollout, set.name);
    if (progress_deadline(rollout.deployment))
      rollout.status.set("Progressing", "False", "ReplicaSetCreateError",
                         "Failed to create new replica set \"" + set.name + "\": " + made.error().message, wall_now());
    co_return std::unexpected(std::move(made.error().context("create replica set " + meta.ns + "/" + set.name)));
  }

  /// A set of that name is there: either the cache was late, or another template has the same hash.
  Task<Result<void>> resolve_collision(Rollout& rollout, std::string name) {
    const model::Meta& meta = rollout.deployment.meta();
    const ObjectRef there = CO_TRY(co_await client_.get(client::replica_sets, meta.ns, name));
    const model::Owner* owner = there.meta().controller();
    if (owner && owner->uid == meta.uid && CO_TRY(canonical_template(there)) == rollout.canonical) {
      sets_.observe(there);
      rollout.fresh = SetState::of(there);
      co_return {};
    }
    rollout.status.collisions = rollout.status.collisions.value_or(0) + 1;
    co_return fail(Code::conflict, "replica set " + meta.ns + "/" + name + " is not of this template: another hash is tried");
  }

  Task<Result<void>> annotate(Rollout& rollout, SetState& set, int64_t revision) {
    const model::Meta& meta = set.object.meta();
    std::vector<std::pair<std::string, std::string>> changes;
    const auto want = [&](std::string_view key, std::string value) {
      if (meta.annotation(key) != value) changes.emplace_back(key, std::move(value));
    };
    for (const auto& [key, value] : rollout.deployment.meta().annotations)
      if (is_copied_annotation(key)) want(key, value);
    if (set.revision < revision) {
      want(revision_annotation, std::to_string(revision));
      if (set.revision > 0) {
        std::string history(meta.annotation(revision_history_annotation));
        if (!history.empty()) history.push_back(',');
        want(revision_history_annotation, history + std::to_string(set.revision));
      }
    }
    const int64_t min_ready = rollout.spec().minReadySeconds.value_or(0);
    const bool other_min_ready = set.object.as<model::apps_v1::ReplicaSet>().spec.minReadySeconds.value_or(0) != min_ready;
    if (changes.empty() && !other_min_ready) co_return {};
    JsonWriter json;
    json.object().object("metadata").object("annotations");
    for (const auto& [key, value] : changes) json.field(key, value);
    json.end().end();
    if (other_min_ready) json.object("spec").field("minReadySeconds", min_ready).end();
    json.end();
    co_return co_await patch_set(set, json.take());
  }

  Task<Result<void>> scale(Rollout& rollout, SetState& set, int64_t size) {
    if (set.replicas == size && set.desired == rollout.replicas() && set.most == rollout.most()) co_return {};
    const int64_t before = set.replicas;
    JsonWriter json;
    json.object().object("metadata").object("annotations").field(desired_annotation, std::to_string(rollout.replicas()));
    json.field(most_annotation, std::to_string(rollout.most())).end().end();
    if (size != before) json.object("spec").field("replicas", size).end();
    json.end();
    CO_TRY(co_await patch_set(set, json.take()));
    if (size != before)
      events_.record(rollout.deployment, EventType::normal, "ScalingReplicaSet",
                     std::string("Scaled ") + (size > before ? "up" : "down") + " replica set " + set.name() + " from " +
                         std::to_string(before) + " to " + std::to_string(size));
    co_return {};
  }

  Task<Result<void>> patch_set(SetState& set, std::string patch) {
    const model::Meta& meta = set.object.meta();
    const ObjectRef written =
        CO_TRY_AS("change replica set " + client::key_of(meta),
                  co_await client_.patch(client::replica_sets, meta.ns, meta.name, PatchType::merge, std::move(patch)));
    sets_.observe(written);
    set = SetState::of(written);
    co_return {};
  }

  /// Deletes empty old sets beyond spec.revisionHistoryLimit, the lowest revisions first.
  Task<Result<void>> forget_history(Rollout& rollout) {
    if (!rollout.spec().revisionHistoryLimit) co_return {};
    std::vector<const SetState*> old;
    for (const SetState& set : rollout.old)
      if (set.object.meta().deletion_timestamp.empty()) old.push_back(&set);
    std::stable_sort(old.begin(), old.end(), [](const auto* a, const auto* b) { return a->revision < b->revision; });
    const int64_t surplus = int64_t(old.size()) - *rollout.spec().revisionHistoryLimit;
    for (int64_t i = 0; i < surplus; ++i) {
      const auto& typed = old[size_t(i)]->object.as<model::apps_v1::ReplicaSet>();
      const model::Meta& meta = old[size_t(i)]->object.meta();
      if (old[size_t(i)]->actual != 0 || old[size_t(i)]->replicas != 0 || meta.generation > typed.status.observedGeneration.value_or(0))
        continue;
      auto removed = co_await client_.remove(client::replica_sets, meta.ns, meta.name, {.propagation = "Background", .uid = meta.uid});
      if (!removed && removed.error().code != Code::not_found)
        co_return std::unexpected(std::move(removed.error().context("delete old replica set " + client::key_of(meta))));
    }
    co_return {};
  }

  // --- the Deployment itself -----------------------------------------------------------------------------------------

  Task<Result<void>> note_revision(Rollout& rollout, int64_t revision) {
    const model::Meta& meta = rollout.deployment.meta();
    if (meta.annotation(revision_annotation) == std::to_string(revision)) co_return {};
    JsonWriter json;
    json.object().object("metadata").object("annotations").field(revision_annotation, std::to_string(revision)).end().end().end();
    // By the status, as Kubernetes does: another annotation would count as a new generation.
    auto written =
        co_await client_.patch(client::deployments, meta.ns, meta.name, PatchType::merge, json.take(), {.subresource = "status"});
    if (!written) co_return std::unexpected(std::move(written.error().context("note the revision of deployment " + client::key_of(meta))));
    // The run goes on with the object it began with: a spec changed meanwhile is the next run's.
    deployments_.observe(*written);
    co_return {};
  }

  Task<Result<void>> write_status(Rollout& rollout, bool rolling) {
    const model::Meta& meta = rollout.deployment.meta();
    const WallTime now = wall_now();
    count_into(rollout.status, rollout.deployment, rollout.old, rollout.fresh_or_null(), now);
    if (rolling) judge_progress(rollout.status, rollout.deployment, rollout.old, rollout.fresh_or_null(), now);
    if (rolling)
      if (const auto again = check_progress_after(rollout.deployment, rollout.status, now)) enqueue_after(client::key_of(meta), *again);
    if (rollout.status == DeploymentStatus::of(rollout.deployment)) co_return {};
    co_return co_await patch_status(deployments_, rollout.deployment, rollout.status.patch());
  }

  client::Informer& deployments_;
  client::Informer& sets_;
  client::Informer& pods_;
  const client::Informer::Index set_index_, pod_index_, by_namespace_;
};

}  // namespace

std::unique_ptr<Controller> make_deployment_controller(Context& context) { return std::make_unique<DeploymentController>(context); }

}  // namespace estiba::controllers
