// PodWorker: makes the kernel match one pod. It is level-triggered: whatever happens (the pod changed, a container exited, a
// probe's verdict, a source of a volume, a timer) wakes it, and sync() compares what is with what should be and takes the
// next steps. Nothing it waits for long (image pulls, hooks, probes) blocks sync; those run as jobs that wake it.
//
// Lives on the node's thread. The node destroys it once finished() says so.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/task.h"
#include "model/object.h"
#include "model/quota.h"
#include "model/types/core_v1.h"
#include "node/backoff.h"
#include "node/context.h"
#include "node/prober.h"
#include "node/status.h"
#include "node/volumes.h"

namespace estiba::node {

class PodWorker {
 public:
  /// `on_finished` is called once, when everything of the pod is gone; it must not destroy the worker itself.
  PodWorker(const Context& context, model::ObjectRef pod, std::function<void()> on_finished);
  ~PodWorker();

  /// The node does not take the pod: it fails, and nothing of it is started. At once after the constructor.
  void refuse(const std::string& reason, const std::string& message);
  /// A newer version of the pod. Another uid under the same name is another worker's.
  void update(model::ObjectRef pod);
  /// The pod is no longer in the API.
  void gone();
  /// A ConfigMap or Secret has changed.
  void source_changed(bool secret, std::string_view name);
  /// A PersistentVolumeClaim has changed: who waits for it looks again.
  void claim_changed(std::string_view name);
  /// A driver of storage has registered: who waits for it looks again.
  void driver_registered();
  /// A request for one of its certificates was answered, or is gone.
  void certificate_answered();
  /// The node has another address.
  void address_changed();
  /// Of a static pod: the pod of the API by which its status is shown, or null while there is none.
  void show_by(model::ObjectRef mirror);
  /// The node makes room for the pod: nothing of it is started until `admit`. At once after the constructor.
  void hold() { held_ = true; }
  void admit();
  struct Eviction {
    std::string reason = "Evicted", message;
    Duration grace{};        ///< that it has to end
    std::string disruption;  ///< what the condition DisruptionTarget says; empty: it goes by its own fault, and not for others' sake
  };
  /// The pod fails by the node's need; what it has on the disk goes once it has ended. Not of one that is ending or has ended.
  void evict(const Eviction& eviction);
  /// Lets go of `token` once what its ended containers have written is gone.
  void drop_ended(std::shared_ptr<void> token);
  /// Whether nothing of it runs any more.
  bool at_rest() const { return rested_ || finished_; }
  /// Whether nothing of an evicted pod is there any more but its status and logs.
  bool cleared() const { return content_dropped_ || finished_; }
  void engine_event(const engine::Event& event);
  /// The health of a device of its claims is another.
  void devices_changed() { status_changed(); }
  /// A driver of claims' devices can be asked now.
  void claims_driver_here();

  const model::ObjectRef& pod() const { return pod_; }
  const std::string& uid() const { return uid_; }
  bool finished() const { return finished_; }
  /// Its phase is final, or it is no longer in the API: it holds nothing that another pod may want.
  bool ended() const;
  /// Whether the pod is to go: deleted, or no longer in the API.
  bool ending() const;
  /// Whether the API asks for other resources than the pod has been granted, and whether for more of any.
  bool wants_resize() const { return resize_wanted_; }
  bool resize_grows() const;
  /// Since when it has waited for room; the far future when it has not yet been told to.
  Instant deferred_since() const { return resize_deferred_.empty() ? Instant::max() : deferred_since_; }
  /// The node has room for what the API asks for, or has none now (why).
  void grant_resize();
  void defer_resize(const std::string& why, bool infeasible = false);
  /// Whether the API asks for a change of the CPUs that a container has, or would have, for itself.
  bool resizes_own_cpus() const;
  /// Whether it is of memory of a container with swap, which stays as it is while the container runs.
  bool resizes_swap() const;
  const PodVolumes& volumes() const { return volumes_; }
  /// What it asks of the node, as granted.
  const model::ResourceList& requests() const { return granted_requests_; }
  /// The container's present (or, with `previous`, its last) incarnation; nullopt when there is none.
  std::optional<engine::ContainerStatus> container(std::string_view name, bool previous = false) const;
  /// The status as the node sees it now.
  model::core_v1::PodStatus status() const;

 private:
  enum class Kind : unsigned char { init, sidecar, main, ephemeral };

  struct PodContainer {
    std::string name;
    Kind kind = Kind::main;
    std::string id, previous_id;  ///< of the engine's containers; empty: none
    uint32_t attempt = 0;         ///< of `id`; the next one is attempt + 1
    Backoff restarts, pulls;
    std::string counted_id;  ///< the exited container whose failure `restarts` knows of
    std::string waiting_reason, waiting_message;
    std::string image_id;  ///< it and the images it mounts are here, for the next start; policy Always: pulled for that very start
    Job pull, hook;
    bool pull_failed = false;
    bool started = false, ready = false;
    bool reset = false;  ///< removed when all were restarted: its last state tells so until it has ended again
    model::core_v1::ResourceRequirements given, granted;  ///< resources that it has, and those that it will have
    std::string kill_why;                                 ///< it is to be stopped and, if the policy says so, started again
    std::optional<Duration> kill_grace;                   ///< instead of the pod's
    std::unique_ptr<Prober> startup, liveness, readiness;
  };

  // pod_worker.cpp
  static Task<void> run(PodWorker* self);
  static Task<void> write_status(PodWorker* self);
  Task<Result<void>> put_status(const model::core_v1::PodStatus& status);
  void adopt();
  void take_ephemeral();
  void adopt_lost();
  void adopt_reset(PodContainer& c);
  void adopt_containers(const engine::SandboxStatus& sandbox);
  Task<void> sync();
  Task<bool> ensure_volumes();
  Task<std::optional<Result<void>>> prepare_volumes();
  Task<bool> ensure_sandbox();
  Task<Result<void>> make_sandbox();
  Task<Result<void>> check_runtime_class(std::string name);
  Task<Result<UserIds::Range>> take_user_ids();
  Task<bool> check_deadline();
  PodFacts facts() const;
  void retry_configuration();
  void wake() { wake_.set(); }
  void status_changed() { dirty_.set(); }
  void wake_at(Instant when) { deadline_ = std::min(deadline_, when); }
  void retry_later(Backoff& backoff, std::string_view reason, const Error& error);
  void event(client::EventType type, std::string_view reason, std::string_view message, std::string_view container = {});
  const model::core_v1::Pod& spec() const { return pod_.as<model::core_v1::Pod>(); }

  // pod_containers.cpp
  const model::core_v1::Container* find_spec(std::string_view name) const;
  std::optional<engine::ContainerStatus> current(const PodContainer& c) const;
  bool is_running(const PodContainer& c) const;
  Task<void> sync_containers();
  /// What the container is started with: its spec, with the resources that it has been given.
  model::core_v1::Container to_start(const PodContainer& c) const;

  // pod_restarts.cpp
  bool may_restart(const PodContainer& c, const engine::ContainerStatus& exited) const;
  bool backed_off(PodContainer& c, const engine::ContainerStatus& exited);
  void wait_in_back_off(PodContainer& c, const Backoff& backoff);
  bool asks_for_all(const PodContainer& c) const;
  Task<void> sync_all_restarts();
  Task<Result<void>> reset_container(PodContainer& c);

  // pod_resources.cpp
  void adopt_resources();
  void look_at_resize();
  void count_resources();
  bool resize_under_way() const;
  Task<void> sync_resources();
  Task<Result<void>> change_resources();
  Task<Result<void>> check_memory(const model::core_v1::Pod& before, const model::core_v1::Pod& after);
  /// The pod with the resources that it has been granted, or with those that it has.
  model::core_v1::Pod pod_with(bool granted) const;

  // pod_containers.cpp
  Task<bool> sync_init();
  /// Takes one container a step towards running; true when nothing more is to be done for it now.
  Task<bool> sync_container(PodContainer& c);
  Task<bool> step_container(PodContainer& c);
  void exchange_over();
  bool ensure_pulled(PodContainer& c);
  static Task<void> pull_image(PodWorker* self, PodContainer* c, model::core_v1::Container spec);
  /// Brings an image here and tells it in events: its id, or nothing once the failure has been noted in `c`.
  static Task<std::optional<std::string>> pull_one(PodWorker* self, PodContainer* c, std::string image, std::string policy);
  static Task<void> post_start(PodWorker* self, PodContainer* c, model::core_v1::Container spec, std::string id);
  Task<void> start_container(PodContainer& c);
  Task<Result<engine::ContainerSpec>> container_spec(PodContainer& c);
  Result<std::string> processes_of_target(const PodContainer& c) const;
  Task<Result<Environment>> environment(const model::core_v1::Container& container);
  void arrange_probes(PodContainer& c);
  std::unique_ptr<Prober> make_prober(PodContainer& c, ProbeKind kind, const model::core_v1::Probe& probe);
  void probed(PodContainer& c, ProbeKind kind, bool healthy, const std::string& message);
  void stop_probes(PodContainer& c);
  Task<void> kill_container(PodContainer& c, Duration grace);
  void take_exit_message(const engine::ContainerStatus& exited);

  // pod_claims.cpp
  Task<bool> ensure_claims();
  Task<bool> release_claims();
  bool wait_for_claims();
  void claims_failed();
  void tell_of_claims(model::core_v1::PodStatus& status) const;
  Result<void> add_claimed(engine::ContainerSpec& made, const std::string& container) const;

  // pod_evict.cpp
  std::optional<engine::ContainerStatus> status_of(const std::string& id) const;
  void remember_ended();
  Task<void> drop_what_ended();
  Task<void> drop_content();
  /// Whether the node has taken its life: what it had on the disk goes.
  bool evicted() const;

  // pod_end.cpp
  Duration grace() const;
  Task<void> end();
  Task<void> stop_all();
  static Task<void> stop_one(PodWorker* self, PodContainer* c, Instant deadline);
  Task<bool> clean_up();
  Task<void> delete_object();
  Task<void> rest();

  const Context& context_;
  const std::string uid_;
  model::ObjectRef pod_;
  const bool static_;        ///< it has its pod from a file: the API knows its mirror
  model::ObjectRef mirror_;  ///< of a static pod
  std::function<void()> on_finished_;
  PodVolumes volumes_;
  std::vector<std::unique_ptr<PodContainer>> containers_;                    // init ones first, in the spec's order; ephemeral ones last
  std::map<std::string, model::core_v1::Container, std::less<>> ephemeral_;  // as if they were containers; never changed once there
  std::map<std::string, std::string> exit_messages_;                         // by container id, from the termination log

  // A container that is replaced by one of another image, and whether that is still under way: the status waits a moment for the new one.
  const PodContainer* replaced_ = nullptr;
  bool exchanging_ = false;
  bool held_ = false, gone_ = false, finished_ = false, rested_ = false, stopping_ = false;
  bool claims_ready_ = false, volumes_ready_ = false, volumes_stale_ = true, sandbox_ready_ = false;
  std::string failed_reason_, failed_message_, disruption_;
  std::optional<Duration> evict_grace_;
  bool content_dropped_ = false;
  std::vector<std::shared_ptr<void>> drop_tokens_;
  std::map<std::string, engine::ContainerStatus> dropped_;  // how containers ended that are gone, by id
  std::vector<std::string> ips_;
  WallTime start_time_{};
  bool restarting_all_ = false, all_restarts_counted_ = false;
  Backoff all_restarts_;
  Duration claims_wait_{};  // between tries
  Instant claims_next_{};
  Backoff volume_backoff_, sandbox_backoff_, end_backoff_, resize_backoff_;
  // Resources: what the pod as a whole has and will have; what is granted counts on the node.
  model::core_v1::ResourceRequirements pod_given_, pod_granted_, shown_resources_;
  model::ResourceList granted_requests_;
  bool resize_wanted_ = false, resize_infeasible_ = false;
  int64_t resize_generation_ = 0, deferred_generation_ = 0;
  Instant deferred_since_{};
  std::string resize_error_, resize_deferred_;
  Instant deadline_ = Instant::max();
  std::string written_status_;
  int64_t written_revision_ = 0;

  Event wake_, dirty_;
  Job writer_, job_;  // last: they end first
  TaskGroup hurry_;   // stops with a shorter grace
};

}  // namespace estiba::node
