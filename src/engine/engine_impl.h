// The engine's inside: the table of pods and containers, and what the files of this folder share.
//
// Invariants:
//  1. pods_ is the truth about what exists; a pod is in it from before its directory is made until after that is gone.
//  2. A container's status changes on the engine's thread only, and each change to running or exited is told once.
//  3. `exited` of a container is set exactly when its state is exited.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "engine/engine.h"
#include "engine/errors.h"
#include "engine/record.h"
#include "engine/roots.h"
#include "image/registry.h"
#include "image/store.h"
#include "io/pool.h"
#include "runtime/shim_client.h"

namespace estiba::engine {

struct Container {
  ContainerRecord record;  ///< record.status is what container() tells
  estiba::Event exited;
  bool starting = false;                    ///< start_container() is under way
  bool streams_taken = false;               ///< what was attached before the start has been given to the shim
  estiba::Event settled;                    ///< a start that was under way has ended, either way
  std::weak_ptr<runtime::ShimClient> shim;  ///< where it runs
  void settle() {
    starting = false;
    settled.set();
  }
  std::optional<runtime::ShimEvent> early_exit;  ///< told before start_container() had its answer
  ContainerStatus& status() { return record.status; }
};

struct Pod {
  SandboxRecord record;
  /// The launch goes on when the start that asked for it is dropped: a removal waits for its end, so that nothing is made
  /// again behind it.
  Job launching;
  std::optional<Result<void>> launched;
  std::shared_ptr<runtime::ShimClient> shim;
  int shim_pid = 0;
  bool ready = false;
  bool removing = false;
  bool note_removal = false;                           // a file is still to tell of it, for a restart
  std::vector<std::shared_ptr<Container>> containers;  ///< oldest first
};
using PodRef = std::shared_ptr<Pod>;
using ContainerRef = std::shared_ptr<Container>;
using ShimRef = std::shared_ptr<runtime::ShimClient>;

/// A pull under way; everybody who wants the image waits for the same one.
struct Pull {
  estiba::Event done;
  std::optional<Result<ImageInfo>> result;  ///< set with `done`
  std::shared_ptr<image::PullStop> stop = std::make_shared<image::PullStop>();
};

/// Somebody attached to a container that does not run yet. The session that the caller has owns it; dropping that closes these ends.
struct EarlyAttach {
  Fd out, err;  ///< write ends
  bool with_stdin = false;
  estiba::Event bound;     ///< the container has been started, or never will be
  ContainerRef container;  ///< null with `bound`: it was not started
};
/// All who are attached to one container before its start.
struct EarlyAttachments {
  Fd input, input_writer;  ///< the container's stdin to be, when somebody wants to write to it
  std::vector<std::weak_ptr<EarlyAttach>> attached;
};

class EngineImpl final : public Engine {
 public:
  EngineImpl(Options options, Executor& executor, io::Pool& pool, std::shared_ptr<image::Store> store);
  ~EngineImpl() override;

  // sandboxes.cpp
  Task<Result<void>> run_sandbox(SandboxSpec spec) override;
  Task<Result<void>> stop_sandbox(std::string uid, Duration grace) override;
  Task<Result<void>> remove_sandbox(std::string uid) override;

  // run.cpp
  Task<Result<ContainerStatus>> run(SandboxSpec sandbox, ContainerSpec container) override;

  // engine.cpp
  std::optional<SandboxStatus> sandbox(std::string_view uid) const override;
  std::vector<SandboxStatus> sandboxes() const override;
  std::optional<ContainerStatus> container(std::string_view id) const override;
  void on_event(UniqueFunction<void(const Event&)> callback) override { callbacks_.push_back(std::move(callback)); }
  std::string upper_dir(std::string_view id) const override { return paths_.container(id) + "/upper"; }
  std::string shm_dir(std::string_view uid) const override { return paths_.files(uid) + "/shm"; }

  // containers.cpp
  Task<Result<std::string>> create_container(std::string pod_uid, ContainerSpec spec) override;
  Task<Result<void>> start_container(std::string id) override;
  Task<Result<void>> stop_container(std::string id, Duration grace) override;
  Task<Result<void>> remove_container(std::string id) override;
  Task<Result<ContainerStatus>> wait(std::string id) override;
  Task<Result<ContainerStats>> stats(std::string id, bool disk) override;
  Task<Result<void>> kill(std::string id, int signal, bool all) override;
  Task<Result<void>> pause(std::string id) override;
  Task<Result<void>> unpause(std::string id) override;
  Task<Result<void>> update(std::string id, Resources resources) override;
  Task<Result<void>> resize(std::string id, uint16_t columns, uint16_t rows) override;
  Task<Result<std::vector<int>>> top(std::string id) override;
  Task<Result<void>> reopen_log(std::string id) override;
  Task<Result<void>> make_root(std::string id, std::string image, bool passing) override;
  Task<Result<std::string>> mount_root(std::string id) override;
  Task<Result<void>> unmount_root(std::string id) override;
  Task<Result<void>> remove_root(std::string id, bool unshared) override;

  // streams.cpp
  Task<Result<std::unique_ptr<Session>>> exec(std::string id, ExecSpec spec) override;
  Task<Result<ExecOutput>> exec_sync(std::string id, std::vector<std::string> command, Duration limit) override;
  Task<Result<std::unique_ptr<Session>>> attach(std::string id, bool with_stdin) override;
  Task<Result<Fd>> dial(std::string pod_uid, uint16_t port) override;

  // recover.cpp
  Task<Result<void>> recover() override;

  // images.cpp
  Task<Result<ImageInfo>> ensure_image(std::string reference, PullPolicy policy, std::vector<Credentials> credentials) override;
  Task<Result<std::optional<ImageInfo>>> image_status(std::string reference) override;
  Task<Result<std::vector<ImageInfo>>> images() override;
  Task<Result<void>> remove_image(std::string reference) override;

 private:
  PodRef find_pod(std::string_view uid) const;
  /// The container with its pod, or nulls.
  std::pair<PodRef, ContainerRef> find_container(std::string_view id) const;
  /// The same for work on a container whose shim must be there.
  struct Live {
    PodRef pod;
    ContainerRef container;
    ShimRef shim;
  };
  Result<Live> live(std::string_view id, bool running) const;
  void emit(Event::Type type, const Pod& pod, std::string_view container_id = {});

  // events.cpp
  void watch(const PodRef& pod);
  void handle(const PodRef& pod, const runtime::ShimEvent& event);
  void set_exited(const Pod& pod, const ContainerRef& container, int code, int signal, bool oom, WallTime at);
  Task<void> shim_lost(PodRef pod);
  /// Takes over what the shim says after a (re)connection; containers half started are reset.
  Task<Result<void>> adopt_state(PodRef pod);

  Task<Result<void>> launch(Pod* pod, SandboxSpec spec);
  Task<Result<void>> destroy(PodRef pod);
  /// Enters a container into its pod, before anything of it is made.
  ContainerRef enter(Pod& pod, const ContainerSpec& spec);
  Task<Result<void>> launch_running(Pod* pod, ContainerRef container, SandboxSpec sandbox, ContainerSpec spec);
  void set_running(const Pod& pod, const ContainerRef& container, const runtime::ContainerInfo& info);
  runtime::ContainerOptions start_options(const ContainerRecord& record) const;
  Result<std::unique_ptr<Session>> attach_early(std::string id, bool with_stdin);
  /// The streams of those who are attached already, for the start of the container.
  runtime::StartStreams take_early(const ContainerRef& container);
  void drop_early(const std::string& id);
  Fd take_waiting_shim();
  Task<void> fill_waiting_shims();
  Task<Result<runtime::ContainerInfo>> start_in_shim(Live live);
  Task<void> start_failed(Live live, Error error);
  Task<void> stop_one(std::string id, Duration grace, Result<void>* first_error);
  Task<Result<void>> recover_all();
  Task<void> recover_pod(std::string uid);
  Task<Result<ImageInfo>> pull(std::string reference, std::vector<Credentials> credentials);
  Task<void> run_pull(image::Reference reference, std::vector<Credentials> credentials, std::shared_ptr<Pull> pull);

  Options options_;
  Paths paths_;
  Executor& executor_;
  io::Pool& pool_;
  std::shared_ptr<image::Store> store_;  // shared with work on the pool, which may outlast this
  std::shared_ptr<Roots> roots_;         // shared as well
  std::vector<UniqueFunction<void(const Event&)>> callbacks_;
  std::map<std::string, EarlyAttachments, std::less<>> early_;  // by container id
  std::vector<Fd> waiting_shims_;
  bool filling_shims_ = false;
  bool recovering_ = false;
  estiba::Event recovered_;
  Result<void> recovery_;
  std::map<std::string, PodRef, std::less<>> pods_;
  std::map<std::string, std::shared_ptr<Pull>, std::less<>> pulls_;  // by full reference
  io::Pool pull_pool_{3};                                            // downloads take minutes and must not keep pods' mounts waiting
  TaskGroup tasks_;                                                  // last: its tasks use the rest
};

// sandboxes.cpp
SandboxRecord record_of(const SandboxSpec& spec, WallTime now);
runtime::PodOptions pod_options(const SandboxSpec& spec, const Paths& paths, const std::string& shim);

// prepare.cpp: blocking halves, run on the pool. They own what they are given.

/// Makes the pod's files: directories, record, resolv.conf and the like, shm.
Result<void> prepare_pod(const Paths& paths, const SandboxRecord& record, const SandboxSpec& spec);
/// Unmounts and deletes what prepare_pod and prepare_container made, after the shim is gone.
Result<void> clear_pod(const Paths& paths, Roots& roots, const std::string& uid, const std::vector<std::string>& containers);
/// What a container is made with.
struct Workshop {
  const Paths& paths;
  image::Store& store;
  Roots& roots;
  const std::string& oci_program;
  const std::vector<std::string>& cdi_spec_dirs;
};
/// Everything of a container up to the bundle; undone on failure.
Result<ContainerRecord> prepare_container(const Workshop& with, const SandboxRecord& sandbox, const ContainerSpec& spec,
                                          ContainerRecord record);
/// A kept root is released.
Result<void> clear_container(const Paths& paths, Roots& roots, ContainerRecord record);
Result<void> save(const Paths& paths, const ContainerRecord& record);
Result<void> save(const Paths& paths, const SandboxRecord& record);

}  // namespace estiba::engine
