// Pod collector: removes pods that nobody else can end: those of nodes that are gone, those being deleted that never got a
// node or whose node is out of service, and the oldest finished ones when there are too many.
#include <algorithm>

#include "base/log.h"
#include "controllers/framework.h"
#include "controllers/node_health.h"
#include "controllers/pod_facts.h"
#include "controllers/pods_by_node.h"
#include "controllers/table.h"

namespace estiba::controllers {

using model::ObjectRef;
using model::core_v1::Pod;
using namespace std::chrono_literals;

namespace {

// Keys: a node's name, or one of these, which no node can have.
constexpr std::string_view finished_key = "/finished", unscheduled_key = "/unscheduled";
constexpr Duration quarantine = 40s;  // a node may be back at once under its name

// Nobody is there to end what is to go.
bool is_lost(const ObjectRef& node) {
  const auto& typed = node.as<model::core_v1::Node>();
  return is_out_of_service(typed) && readiness_of(typed) != Readiness::ready;
}

class PodCollector final : public Controller {
 public:
  explicit PodCollector(Context& context)
      : Controller(context, "pod-garbage-collector", {.workers = 2}),
        pods_(informer(client::pods)),
        nodes_(informer(client::nodes)),
        by_node_(pods_by_node(pods_)),
        finished_(pods_.shared_index("finished", [](const model::Object& object, std::vector<std::string>& values) {
          if (is_finished(object.as<Pod>())) values.emplace_back("yes");
        })) {
    nodes_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      if (!after || is_lost(after)) enqueue((after ? after : before).meta().name);
    });
    pods_.on_change([this](const ObjectRef&, const ObjectRef& after) {
      if (!after) return;
      const std::string& node = after.as<Pod>().spec.nodeName;
      if (node.empty() && !after.meta().deletion_timestamp.empty()) enqueue(unscheduled_key);
      if (!node.empty() && nodes_.synced()) {
        const ObjectRef there = nodes_.get(node);
        if (!there || (!after.meta().deletion_timestamp.empty() && is_lost(there))) enqueue(node);
      }
      if (pods_.count(finished_, "yes") > context_.options.terminated_pod_threshold) enqueue(finished_key);
    });
    // Until the nodes are known every pod's node seems gone: once they are, all are looked at.
    catch_up_ = Job(catch_up(this));
  }

 private:
  static Task<void> catch_up(PodCollector* self) {
    co_await self->nodes_.wait_synced();
    co_await self->pods_.wait_synced();
    self->pods_.each([self](const ObjectRef& pod) {
      const std::string& node = pod.as<Pod>().spec.nodeName;
      if (!node.empty() && !self->nodes_.get(node)) self->enqueue(node);
    });
  }

  Task<Result<void>> reconcile(std::string key) override {
    if (key == finished_key) co_return co_await collect_finished();
    if (key == unscheduled_key) co_return co_await collect_unscheduled();
    std::vector<ObjectRef> pods = pods_.find(by_node_, key);
    if (const ObjectRef node = nodes_.get(key)) {
      gone_since_.erase(key);
      if (!is_lost(node)) co_return {};
      std::erase_if(pods, [](const ObjectRef& pod) { return pod.meta().deletion_timestamp.empty(); });
      co_return co_await remove_all(std::move(pods), "its node is out of service");
    }
    if (pods.empty()) {
      gone_since_.erase(key);
      co_return {};
    }
    const Instant now = context_.executor.now();
    const Instant since = gone_since_.try_emplace(key, now).first->second;
    if (now - since < quarantine) {
      enqueue_after(key, quarantine - (now - since));
      co_return {};
    }
    // The cache may be behind: ask before doing what cannot be undone.
    auto live = co_await client_.get(client::nodes, "", key);
    if (live) co_return {};
    if (live.error().code != Code::not_found) co_return std::unexpected(std::move(live.error().context("look for node " + key)));
    gone_since_.erase(key);
    co_return co_await remove_all(std::move(pods), "its node is gone");
  }

  Task<Result<void>> collect_unscheduled() {
    std::vector<ObjectRef> pods = pods_.find(by_node_, "");
    std::erase_if(pods, [](const ObjectRef& pod) { return pod.meta().deletion_timestamp.empty(); });
    co_return co_await remove_all(std::move(pods), "it is being deleted and never got a node");
  }

  Task<Result<void>> collect_finished() {
    std::vector<ObjectRef> pods = pods_.find(finished_, "yes");
    const size_t most = context_.options.terminated_pod_threshold;
    if (pods.size() <= most) co_return {};
    std::sort(pods.begin(), pods.end(), [](const ObjectRef& a, const ObjectRef& b) {
      return std::tie(a.meta().creation_timestamp, a.meta().name) < std::tie(b.meta().creation_timestamp, b.meta().name);
    });
    pods.resize(pods.size() - most);
    co_return co_await remove_all(std::move(pods), "too many pods have finished");
  }

  Task<Result<void>> remove_all(std::vector<ObjectRef> pods, std::string_view why) {
    Result<void> result;
    for (const ObjectRef& pod : pods) {
      log::info("pod-garbage-collector", "deletes a pod", {{"pod", client::key_of(pod)}, {"why", why}});
      auto removed = co_await client_.remove(client::pods, pod.meta().ns, pod.meta().name, {.grace_seconds = 0, .uid = pod.meta().uid});
      if (!removed && removed.error().code != Code::not_found && removed.error().code != Code::conflict)
        result = std::unexpected(std::move(removed.error().context("delete pod " + client::key_of(pod))));
    }
    co_return result;
  }

  client::Informer& pods_;
  client::Informer& nodes_;
  const client::Informer::Index by_node_, finished_;
  std::map<std::string, Instant> gone_since_;
  Job catch_up_;
};

}  // namespace

std::unique_ptr<Controller> make_pod_collector(Context& context) { return std::make_unique<PodCollector>(context); }

}  // namespace estiba::controllers
