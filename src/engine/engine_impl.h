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
#include "image/registry.h"
#include "image/store.h"
#include "io/pool.h"
#include "runtime/shim_client.h"

namespace estiba::engine {

struct Container {
  ContainerRecord record;  ///< record.status is what container() tells
  estiba::Event exited;
  bool starting = false;                         ///< start_container() is under way
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

class EngineImpl final : public Engine {
 public:
  EngineImpl(Options options, Executor& executor, io::Pool& pool, std::shared_ptr<image::Store> store);
  ~EngineImpl() override;

  // sandboxes.cpp
  Task<Result<void>> run_sandbox(SandboxSpec spec) override;
  Task<Result<void>> stop_sandbox(std::string uid, Duration grace) override;
  Task<Result<void>> remove_sandbox(std::string uid) override;

  // engine.cpp
  std::optional<SandboxStatus> sandbox(std::string_view uid) const override;
  std::vector<SandboxStatus> sandboxes() const override;
  std::optional<ContainerStatus> container(std::string_view id) const override;
  void on_event(UniqueFunction<void(const Event&)> callback) override { callback_ = std::move(callback); }

  // containers.cpp
  Task<Result<std::string>> create_container(std::string pod_uid, ContainerSpec spec) override;
  Task<Result<void>> start_container(std::string id) override;
  Task<Result<void>> stop_container(std::string id, Duration grace) override;
  Task<Result<void>> remove_container(std::string id) override;
  Task<Result<ContainerStats>> stats(std::string id) override;
  Task<Result<void>> kill(std::string id, int signal) override;
  Task<Result<void>> reopen_log(std::string id) override;

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
  Task<Result<runtime::ContainerInfo>> start_in_shim(Live live);
  Task<void> start_failed(Live live, Error error);
  Task<void> stop_one(std::string id, Duration grace, Result<void>* first_error);
  Task<void> recover_pod(std::string uid);
  Task<Result<ImageInfo>> pull(std::string reference, std::vector<Credentials> credentials);
  Task<void> run_pull(image::Reference reference, std::vector<Credentials> credentials, std::shared_ptr<Pull> pull);

  Options options_;
  Paths paths_;
  Executor& executor_;
  io::Pool& pool_;
  std::shared_ptr<image::Store> store_;  // shared with work on the pool, which may outlast this
  UniqueFunction<void(const Event&)> callback_;
  std::map<std::string, PodRef, std::less<>> pods_;
  std::map<std::string, std::shared_ptr<Pull>, std::less<>> pulls_;  // by full reference
  io::Pool pull_pool_{3};                                            // downloads take minutes and must not keep pods' mounts waiting
  TaskGroup tasks_;                                                  // last: its tasks use the rest
};

// Blocking halves, run on the pool. They own what they are given.

/// Makes the pod's files: directories, record, resolv.conf and the like, shm.
Result<void> prepare_pod(const Paths& paths, const SandboxRecord& record, const SandboxSpec& spec);
/// Unmounts and deletes what prepare_pod and prepare_container made, after the shim is gone.
Result<void> clear_pod(const Paths& paths, const std::string& uid, const std::vector<std::string>& containers);
/// Everything of a container up to the bundle; undone on failure.
Result<ContainerRecord> prepare_container(image::Store& store, const Paths& paths, const SandboxRecord& sandbox, const ContainerSpec& spec,
                                          ContainerRecord record);
Result<void> clear_container(const Paths& paths, ContainerRecord record);
Result<void> save(const Paths& paths, const ContainerRecord& record);
Result<void> save(const Paths& paths, const SandboxRecord& record);

}  // namespace estiba::engine
