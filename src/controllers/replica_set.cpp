// ReplicaSet: keeps the number of its pods at spec.replicas and counts them into the status.
//
// No duplicates are made, because the cache is never behind our own writes: what a create returned is in it at once, and
// what we deleted is remembered until the watch (or a new list) says so too.
#include "base/log.h"
#include "client/json_writer.h"
#include "client/selectors.h"
#include "controllers/deletion_rank.h"
#include "controllers/framework.h"
#include "controllers/owned.h"
#include "controllers/pod_facts.h"
#include "controllers/replica_set_status.h"
#include "controllers/table.h"
#include "model/types/apps_v1.h"

namespace estiba::controllers {

using client::JsonWriter;
using model::ObjectRef;
using model::apps_v1::ReplicaSet;
using model::core_v1::Pod;

namespace {

constexpr size_t burst = 500;         // pods made or deleted in one run
constexpr size_t first_batch = 1;     // creation starts slowly: a quota or admission that refuses one refuses all

/// The pod that the template of `set` describes.
Result<std::string> pod_body(const ObjectRef& set) {
  const json::Document parsed = TRY(json::Document::parse(set.object->json()));
  const json::Node* given = parsed.root().at("spec", "template");
  if (!given || !given->is_object()) return fail(Code::invalid, "spec.template is missing");
  const model::Meta& meta = set.meta();
  JsonWriter json;
  json.object().field("apiVersion", "v1").field("kind", "Pod").object("metadata");
  json.field("generateName", meta.name + "-").field("namespace", meta.ns);
  for (std::string_view field : {"labels", "annotations", "finalizers"})
    if (const json::Node* node = given->at("metadata", field); node && !node->empty()) json.raw(field, json::print(*node));
  json.array("ownerReferences");
  write_controller_reference(json, meta);
  json.end().end();
  if (const json::Node* spec = given->at("spec")) json.raw("spec", json::print(*spec));
  json.end();
  return json.take();
}

class ReplicaSetController final : public Controller {
 public:
  explicit ReplicaSetController(Context& context)
      : Controller(context, "replicaset-controller", {.workers = 16}),
        sets_(watch(client::replica_sets)),
        pods_(informer(client::pods)),
        pod_index_(controller_index(pods_)),
        sets_by_namespace_(sets_.namespace_index()) {
    pods_.on_change([this](const ObjectRef& before, const ObjectRef& after) { pod_changed(before, after); });
  }

 private:
  void pod_changed(const ObjectRef& before, const ObjectRef& after) {
    if (!after || !after.meta().deletion_timestamp.empty()) deleting_.erase((after ? after : before).meta().uid);
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
    std::erase_if(pods, [this](const ObjectRef& pod) { return !is_active(pod) || deleting_.contains(pod.meta().uid); });
    Result<void> managed;
    if (set.meta().deletion_timestamp.empty()) managed = co_await manage(set, pods);
    CO_TRY(co_await write_status(key, managed));
    co_return managed;
  }

  Task<Result<void>> manage(ObjectRef set, std::vector<ObjectRef> pods) {
    const size_t want = size_t(std::max(0, set.as<ReplicaSet>().spec.replicas.value_or(1)));
    if (pods.size() < want) co_return co_await create_pods(set, std::min(burst, want - pods.size()));
    if (pods.size() == want) co_return {};
    const size_t surplus = std::min(burst, pods.size() - want);
    co_return co_await delete_pods(set, pods_to_delete(std::move(pods), surplus));
  }

  struct Outcome {
    size_t failed = 0;
    std::optional<Error> error;  // the first
  };

  static Task<void> create_one(ReplicaSetController* self, const ObjectRef* set, const std::string* body, Outcome* outcome) {
    auto made = co_await self->client_.create(client::pods, set->meta().ns, *body);
    if (made) {
      self->pods_.observe(*made);
      self->events_.record(*set, client::EventType::normal, "SuccessfulCreate", "Created pod: " + made->meta().name);
      co_return;
    }
    ++outcome->failed;
    if (!outcome->error) outcome->error = std::move(made.error());
  }

  Task<Result<void>> create_pods(ObjectRef set, size_t count) {
    const std::string body = CO_TRY(pod_body(set));
    Outcome outcome;
    size_t made = 0;
    for (size_t batch = std::min(first_batch, count); batch > 0; batch = std::min(batch * 2, count - made)) {
      TaskGroup group;
      for (size_t i = 0; i < batch; ++i) group.start(create_one(this, &set, &body, &outcome));
      co_await group.join();
      made += batch;
      if (!outcome.error) continue;
      // A namespace that is going away is no failure of the set.
      if (outcome.error->code == Code::forbidden && outcome.error->message.find("being terminated") != std::string::npos) co_return {};
      events_.record(set, client::EventType::warning, "FailedCreate", "Error creating: " + outcome.error->message);
      co_return std::unexpected(std::move(*outcome.error).context("create pods of " + client::key_of(set)));
    }
    co_return {};
  }

  static Task<void> delete_one(ReplicaSetController* self, const ObjectRef* set, ObjectRef pod, Outcome* outcome) {
    const model::Meta& meta = pod.meta();
    self->deleting_.insert(meta.uid);
    auto removed = co_await self->client_.remove(client::pods, meta.ns, meta.name, {.uid = meta.uid});
    if (removed || removed.error().code == Code::not_found || removed.error().code == Code::conflict) {
      if (removed) self->events_.record(*set, client::EventType::normal, "SuccessfulDelete", "Deleted pod: " + meta.name);
      // The watch may have told before the answer came; what is no longer cached is no longer told.
      if (const ObjectRef now = self->pods_.get(client::key_of(meta)); !now || now.meta().uid != meta.uid || !now.meta().deletion_timestamp.empty())
        self->deleting_.erase(meta.uid);
      co_return;
    }
    self->deleting_.erase(meta.uid);
    self->events_.record(*set, client::EventType::warning, "FailedDelete", "Error deleting: " + removed.error().message);
    ++outcome->failed;
    if (!outcome->error) outcome->error = std::move(removed.error());
  }

  Task<Result<void>> delete_pods(ObjectRef set, std::vector<ObjectRef> pods) {
    Outcome outcome;
    TaskGroup group;
    for (ObjectRef& pod : pods) group.start(delete_one(this, &set, std::move(pod), &outcome));
    co_await group.join();
    if (outcome.error) co_return std::unexpected(std::move(*outcome.error).context("delete pods of " + client::key_of(set)));
    co_return {};
  }

  /// Counts what the cache holds now, after our own writes.
  Task<Result<void>> write_status(std::string key, const Result<void>& managed) {
    const ObjectRef set = sets_.get(key);
    if (!set) co_return {};
    std::vector<ObjectRef> pods = pods_.find(pod_index_, set.meta().uid);
    std::erase_if(pods, [this](const ObjectRef& pod) { return !is_active(pod) || deleting_.contains(pod.meta().uid); });
    const ReplicaSetCount counted = count_replicas(set, pods, wall_now());
    if (counted.next_available) enqueue_after(key, *counted.next_available - wall_now());
    const std::optional<std::string> patch = replica_set_status_patch(set, counted, managed, pods.size(), wall_now());
    if (!patch) co_return {};
    auto written = co_await client_.patch(client::replica_sets, set.meta().ns, set.meta().name, client::PatchType::merge, *patch, {.subresource = "status"});
    if (written) sets_.observe(*written);
    else if (written.error().code != Code::not_found) co_return std::unexpected(std::move(written.error().context("write the status of replica set " + key)));
    co_return {};
  }

  client::Informer& sets_;
  client::Informer& pods_;
  const client::Informer::Index pod_index_, sets_by_namespace_;
  std::unordered_set<std::string> deleting_;  // UIDs of pods we deleted and the watch has not yet told of
};

}  // namespace

std::unique_ptr<Controller> make_replica_set_controller(Context& context) { return std::make_unique<ReplicaSetController>(context); }

}  // namespace estiba::controllers
