// ReplicaSet: keeps the number of its pods at spec.replicas and counts them into the status.
#include "base/log.h"
#include "client/selectors.h"
#include "controllers/deletion_rank.h"
#include "controllers/framework.h"
#include "controllers/owned.h"
#include "controllers/pod_control.h"
#include "controllers/pod_facts.h"
#include "controllers/replica_set_status.h"
#include "controllers/table.h"
#include "model/types/apps_v1.h"

namespace estiba::controllers {

using model::ObjectRef;
using model::apps_v1::ReplicaSet;

namespace {

constexpr size_t burst = 500;  // pods made or deleted in one run

class ReplicaSetController final : public Controller {
 public:
  explicit ReplicaSetController(Context& context)
      : Controller(context, "replicaset-controller", {.workers = 16}),
        sets_(watch(client::replica_sets)),
        pods_(informer(client::pods)),
        control_(client_, pods_, events_),
        pod_index_(controller_index(pods_)),
        sets_by_namespace_(sets_.namespace_index()) {
    pods_.on_change([this](const ObjectRef& before, const ObjectRef& after) { pod_changed(before, after); });
  }

 private:
  void pod_changed(const ObjectRef& before, const ObjectRef& after) {
    for (const ObjectRef* pod : {&before, &after}) {
      if (!*pod) continue;
      const model::Owner* owner = pod->meta().controller();
      if (owner && owner->kind == "ReplicaSet") enqueue(client::key_of(pod->meta().ns, owner->name));
    }
    if (!after || after.meta().controller() || !after.meta().deletion_timestamp.empty()) return;
    // An orphan: sets whose selector matches may adopt it.
    sets_.each(sets_by_namespace_, after.meta().ns, [&](const ObjectRef& set) {
      if (client::matches(set.as<ReplicaSet>().spec.selector, after.meta().labels)) enqueue(set);
    });
  }

  Task<Result<void>> reconcile(std::string key) override {
    const ObjectRef set = sets_.get(key);
    if (!set) co_return {};
    const ReplicaSet& typed = set.as<ReplicaSet>();
    std::vector<ObjectRef> pods = CO_TRY(co_await claim(client_, pods_, pod_index_, set, typed.spec.selector));
    std::erase_if(pods, [this](const ObjectRef& pod) { return !is_active(pod) || control_.is_deleting(pod); });
    Result<void> managed;
    if (set.meta().deletion_timestamp.empty()) managed = co_await manage(set, pods);
    CO_TRY(co_await write_status(key, managed));
    co_return managed;
  }

  Task<Result<void>> manage(ObjectRef set, std::vector<ObjectRef> pods) {
    const size_t want = size_t(std::max(0, set.as<ReplicaSet>().spec.replicas.value_or(1)));
    if (pods.size() < want) {
      std::string body = CO_TRY(pod_from_template(set));
      co_return co_await control_.create(set, std::min(burst, want - pods.size()), [body = std::move(body)](size_t) { return body; });
    }
    if (pods.size() == want) co_return {};
    const size_t surplus = std::min(burst, pods.size() - want);
    co_return co_await control_.remove(set, pods_to_delete(std::move(pods), surplus));
  }

  /// Counts what the cache holds now, after our own writes.
  Task<Result<void>> write_status(std::string key, const Result<void>& managed) {
    const ObjectRef set = sets_.get(key);
    if (!set) co_return {};
    std::vector<ObjectRef> pods = pods_.find(pod_index_, set.meta().uid);
    std::erase_if(pods, [this](const ObjectRef& pod) { return !is_active(pod) || control_.is_deleting(pod); });
    const ReplicaSetCount counted = count_replicas(set, pods, wall_now());
    if (counted.next_available) enqueue_after(key, *counted.next_available - wall_now());
    const std::optional<std::string> patch = replica_set_status_patch(set, counted, managed, pods.size(), wall_now());
    if (!patch) co_return {};
    co_return co_await patch_status(sets_, set, *patch);
  }

  client::Informer& sets_;
  client::Informer& pods_;
  PodControl control_;
  const client::Informer::Index pod_index_, sets_by_namespace_;
};

}  // namespace

std::unique_ptr<Controller> make_replica_set_controller(Context& context) { return std::make_unique<ReplicaSetController>(context); }

}  // namespace estiba::controllers
