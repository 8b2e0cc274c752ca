// ReplicaSet and ReplicationController: keep the number of their pods at spec.replicas and count them into the status.
//
// A ReplicationController is read as a ReplicaSet: all but the selector, which is a plain map of labels, is the same.
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
#include "model/types/core_v1.h"

namespace estiba::controllers {

using model::ObjectRef;
using model::apps_v1::ReplicaSet;

namespace {

constexpr size_t burst = 500;  // pods made or deleted in one run

struct Kind {
  client::Resource resource;
  std::string_view name, controller;
  model::meta_v1::LabelSelector (*selector)(const ObjectRef& set);
};
constexpr Kind replica_set{client::replica_sets, "ReplicaSet", "replicaset-controller",
                           [](const ObjectRef& set) { return set.as<ReplicaSet>().spec.selector; }};
constexpr Kind replication_controller{
    {"", "v1", "replicationcontrollers"}, "ReplicationController", "replication-controller", [](const ObjectRef& set) {
      model::meta_v1::LabelSelector selector;
      selector.matchLabels = set.as<model::core_v1::ReplicationController>().spec.selector;
      return selector;
    }};

class ReplicaSetController final : public Controller {
 public:
  ReplicaSetController(Context& context, const Kind& kind)
      : Controller(context, std::string(kind.controller), {.workers = 16}),
        kind_(kind),
        sets_(watch(kind.resource)),
        pods_(informer(client::pods)),
        control_(client_, pods_, events_),
        pod_index_(controller_index(pods_)),
        sets_by_namespace_(sets_.namespace_index()) {
    pods_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      enqueue_owners(before, after, kind_.name, sets_, sets_by_namespace_,
                     [&](const ObjectRef& set) { return client::matches(kind_.selector(set), after.meta().labels); });
    });
  }

 private:
  Task<Result<void>> reconcile(std::string key) override {
    const ObjectRef set = sets_.get(key);
    if (!set) co_return {};
    const model::meta_v1::LabelSelector selector = kind_.selector(set);
    std::vector<ObjectRef> pods = CO_TRY(co_await claim(client_, pods_, pod_index_, set, selector));
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

  const Kind& kind_;
  client::Informer& sets_;
  client::Informer& pods_;
  PodControl control_;
  const client::Informer::Index pod_index_, sets_by_namespace_;
};

}  // namespace

std::unique_ptr<Controller> make_replica_set_controller(Context& context) {
  return std::make_unique<ReplicaSetController>(context, replica_set);
}
std::unique_ptr<Controller> make_replication_controller(Context& context) {
  return std::make_unique<ReplicaSetController>(context, replication_controller);
}

}  // namespace estiba::controllers
