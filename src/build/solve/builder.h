// The builder: makes images from Dockerfiles. Stages that do not need each other are built at the same time; an instruction whose
// inputs are what they were before is taken from the cache (cache.h). RUN goes through the engine, everything else writes straight
// into the layer that is being made.
//
//   <data-dir>/build/cache         solve/cache.h
//   <data-dir>/build/mounts/<id>/  RUN --mount=type=cache, by its id
//   <data-dir>/build/tmp/<build>/  of a build that runs: context, layers being made; emptied at start
//   <run-dir>/build/<container>/   secrets while their RUN runs: in memory, gone with it
#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "build/context/context_tree.h"
#include "build/dockerfile/expand.h"
#include "build/dockerfile/place.h"
#include "build/solve/cache.h"
#include "engine/engine.h"
#include "image/store.h"

namespace estiba::io {
class Pool;
}

namespace estiba::build {

/// What a RUN is connected to.
struct NetworkLease {
  std::string netns_path;  ///< empty: the host's
  std::string resolv_conf, hosts;
};

/// Where RUN's networks come from. Belongs to the engine's thread.
class BuildNetworks {
 public:
  virtual ~BuildNetworks() = default;
  /// `mode` is "default", "bridge", "host", "none" or a network's name; `extra_hosts` are "name:address" lines.
  virtual Task<Result<NetworkLease>> attach(std::string container_id, std::string mode, std::vector<std::string> extra_hosts) = 0;
  virtual Task<void> release(std::string container_id) = 0;
};

/// Receives what a build says, on the engine's thread: "Step 1/3 : FROM x\n". Stages never mix: their texts come one stage after another.
class BuildOutput {
 public:
  virtual ~BuildOutput() = default;
  virtual void text(std::string text) = 0;
};

struct BuildRequest {
  std::shared_ptr<ContextTree> context = ContextTree::empty();
  std::string dockerfile = "Dockerfile";       ///< path in the context
  std::optional<std::string> dockerfile_text;  ///< instead of one in the context
  std::vector<std::string> tags;               ///< as users write them
  Variables arguments;                         ///< --build-arg
  std::map<std::string, std::string> labels;
  std::string target, platform;
  bool no_cache = false, pull = false;
  std::string network = "default";
  std::vector<std::string> extra_hosts;
  uint64_t shm_bytes = 64 << 20;
  engine::Resources resources;
  std::vector<engine::Ulimit> ulimits;
  std::string cgroup_parent = "/docker";
  std::map<std::string, std::string> secrets;              ///< by id
  std::string ssh_socket;                                  ///< of an agent; empty: none
  std::map<std::string, engine::Credentials> credentials;  ///< by registry, "docker.io"
  bool quiet = false;                                      ///< a failing RUN then tells its last lines in the error
};

struct BuildResult {
  std::string image_id;
  std::vector<Warning> warnings;
};

/// The exit code of the RUN that failed, when an error of build() is that; else 0.
int exit_code_of(const Error& error);

class Builder {
 public:
  struct Options {
    std::string data_dir, run_dir;
  };
  /// All outlive it; used on the engine's thread alone.
  Builder(Options options, engine::Engine& engine, std::shared_ptr<image::Store> store, io::Pool& pool, BuildNetworks& networks);
  ~Builder();
  Builder(const Builder&) = delete;

  /// Takes away what an earlier run left. Call once the engine has recovered.
  Task<Result<void>> recover();
  /// Dropping it ends the build and leaves nothing. Errors are one line that names file, line and the line itself.
  Task<Result<BuildResult>> build(BuildRequest request, BuildOutput& output);
  /// Forgets steps and cache mounts, but for mounts that a RUN has now, and gives the disk back.
  Task<Result<Cache::Pruned>> prune(PruneRequest request);
  std::vector<std::pair<std::string, CacheEntry>> cache() const;
  /// Bytes that each cache mount takes, by its key.
  Task<Result<std::map<std::string, uint64_t, std::less<>>>> mount_bytes();
  bool mount_in_use(const std::string& key) const;
  /// What is known of files in context directories.
  std::shared_ptr<DigestCache> digests() const;
  /// A fresh directory of <data-dir>/build/tmp for a context; whoever asks removes it (remove_scratch).
  Result<std::string> make_scratch();
  void remove_scratch(std::string path);
  /// Waits for what dropped builds have to clear away.
  Task<void> settle();

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace estiba::build
