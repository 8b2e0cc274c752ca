// The node: watches the pods that are bound to it and has a PodWorker make each of them real. It knows the API server only
// through client::Client, so it runs the same in the server's process and at the other end of a network.
#pragma once
#include <list>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>

#include "base/task.h"
#include "node/admission.h"
#include "node/context.h"
#include "node/eviction.h"
#include "node/image_collector.h"
#include "node/local_volumes.h"
#include "node/named_sources.h"
#include "node/pod_worker.h"
#include "node/registration.h"
#include "node/static_pods.h"

namespace estiba::node {

class CsiVolumes;
class ExitWatch;
class SharedCpus;

class Node {
 public:
  /// All references must outlive the node; everything happens on `loop`'s thread. Construct it there.
  Node(Options options, Executor& loop, client::Client& client, engine::Engine& engine, network::Network& network, io::Pool& pool);
  ~Node();
  Node(const Node&) = delete;

  /// Device plugins' devices, which outlive the node; before start().
  void use(Devices& devices);
  /// Devices of claims, the same.
  void use(DeviceClaims& claims);
  /// Where containers run, which outlives the node; before start().
  void use(Placement& placement);

  /// Drivers of storage; null where none are served.
  CsiVolumes* csi() { return csi_.get(); }

  /// Finds the containers of an earlier run again, registers the node, and starts to run pods. Returns when that is done.
  Task<Result<void>> start();

  /// Waits until no pod is on its way out any more, but not longer than `limit`; for a clean stop.
  Task<void> settle(Duration limit);

  /// Waits until the node knows its pods, in case it has only just been started, but not longer than `limit`.
  Task<void> wait_known(Duration limit);

  /// The worker of a pod, or null; by name because that is what clients give.
  PodWorker* find(std::string_view ns, std::string_view name);
  const Context& context() const { return context_; }
  /// Calls when the machine's address has changed.
  void on_address(UniqueFunction<void()> handler) { on_address_ = std::move(handler); }
  void add_exit_watch(ExitWatch* watch) { exit_watches_.push_back(watch); }
  void remove_exit_watch(ExitWatch* watch) { exit_watches_.remove(watch); }
  const std::unordered_map<std::string, std::unique_ptr<PodWorker>>& workers() const { return workers_; }

 private:
  void pod_changed(const model::ObjectRef& before, const model::ObjectRef& after);
  void start_worker(const model::ObjectRef& pod);
  Evictions::Parts eviction_parts();
  struct Judgement {
    std::optional<Refusal> refusal;
    std::vector<std::string> victims;  ///< uids of pods that go for its sake, before it starts
    std::string short_of;              ///< the resource that they make room in
  };
  Judgement judge(const model::ObjectRef& pod);
  Judgement judge_critical(const model::ObjectRef& pod);
  std::vector<Present> others_than(const model::ObjectRef& pod) const;
  model::ObjectRef own_node();
  std::optional<Refusal> has_no_room(const model::ObjectRef& pod);
  static Task<void> preempt(Node* self, std::string uid, Judgement judgement);
  bool wants_place(const model::ObjectRef& pod) const;
  struct Living {
    std::set<std::string> pods;  ///< uids of those that hold what they were given
    bool leaving = false;        ///< one of them is on its way out
  };
  Living living() const;
  Task<Result<void>> give_place(model::ObjectRef pod, std::set<std::string> living);
  static Task<void> give_place_to(Node* self, std::string uid);
  void room_made();
  void retry_resizes();
  void worker_finished(const std::string& uid);
  void source_changed(bool secret, const model::ObjectRef& object);
  void claim_changed(const model::ObjectRef& claim);
  Task<void> watch_sources();
  void watch_certificates();
  void address_changed();
  Task<void> remove_orphans();

  client::Informers informers_;
  client::EventRecorder events_;
  ProbeMetrics probes_;
  UserIds user_ids_;
  Context context_;
  std::unique_ptr<CsiVolumes> csi_;
  Registration registration_;
  LocalVolumes local_volumes_{context_};
  StaticPods static_pods_;
  ImageCollector images_{context_};
  Evictions evictions_;
  std::unique_ptr<SharedCpus> shared_cpus_;      // where containers may have CPUs to themselves
  std::unique_ptr<NamedSources> named_sources_;  // of a node that may not list all
  UniqueFunction<void()> on_address_;
  std::unordered_map<std::string, std::unique_ptr<PodWorker>> workers_;  // by uid
  std::list<ExitWatch*> exit_watches_;
  Event worker_gone_, room_made_, known_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // false: the engine, which may outlive the node, is not listened to
  bool running_ = false, watches_certificates_ = false;
  TaskGroup finished_, preemptions_;  // last: their tasks use the rest
};

}  // namespace estiba::node
