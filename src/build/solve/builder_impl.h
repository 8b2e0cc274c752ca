// Shared by the files of the builder: a build under way, and a stage of it.
#pragma once
#include <set>

#include "build/solve/builder.h"
#include "build/solve/copy.h"
#include "build/solve/graph.h"
#include "build/solve/settings.h"
#include "io/pool.h"

namespace estiba::build {

struct Builder::Impl {
  Options options;
  engine::Engine& engine;
  std::shared_ptr<image::Store> store;
  io::Pool& pool;
  BuildNetworks& networks;
  Cache cache;
  std::shared_ptr<DigestCache> digests = std::make_shared<DigestCache>();  // of files in context directories
  std::map<std::string, int> mounts_in_use;                                // cache mounts, by directory
  Event mount_freed;
  TaskGroup cleanups;  // last: its tasks use the rest

  std::string directory() const { return options.data_dir + "/build"; }
};

/// What a layer's making starts from and results in.
struct Base {
  std::optional<image::Record> image;
  std::vector<std::string> chains;     ///< ChainIDs, lowest first
  std::vector<image::MadeLayer> made;  ///< on top of the image's own
  std::string top() const { return chains.empty() ? "scratch" : chains.back(); }
};

/// A source of COPY or ADD, or of a bind mount.
struct CopyPart {
  std::shared_ptr<const Tree> tree;
  CopyRequest request;
  std::string identity;                  ///< of an immutable tree: its ChainID; empty: the context
  std::shared_ptr<const CopyPlan> plan;  ///< once it is made
};

/// What is copied, and its digest for the cache.
struct PlannedCopy {
  std::vector<CopyPart> parts;
  std::string digest;
};

class Solve;

/// One stage on its way.
struct StageRun {
  size_t index = 0, position = 0;  // in the file; among those that are needed
  size_t first_step = 0;
  Settings settings;
  Base base;
  bool all_cached = true;
  bool changed = false;  // it is more than the image that FROM names
  Event done;            // also set when it has failed
  bool succeeded = false;
  std::string pending;  // output that waits for the stages before
};

/// One build. Lives in Builder::build()'s frame.
class Solve {
 public:
  Solve(Builder::Impl& builder, BuildRequest& request, BuildOutput& output, std::string scratch);
  Task<Result<BuildResult>> run();

 private:
  friend class RunStep;

  // solve.cpp
  Result<void> prepare();
  Result<void> read_dockerfile();
  Result<void> leave_out();
  Result<void> choose_target();
  Result<void> remark();
  bool uses_context(const Instruction& instruction) const;
  Task<Result<void>> settle_context();
  Result<void> check_platform(const std::string& platform, const Place& place) const;
  Task<void> stage_task(size_t position);
  Task<Result<void>> stage(StageRun& run);
  Task<Result<void>> from(StageRun& run);
  Task<Result<image::Record>> find_image(std::string name, Place place);
  Result<void> adopt_image(StageRun& run, const image::Record& record, const Place& place);
  Task<Result<void>> step(StageRun& run, const Instruction& instruction, std::string label);
  Task<Result<void>> setting(StageRun& run, const Instruction& instruction);
  Task<Result<void>> triggers(StageRun& run);
  Task<Result<BuildResult>> finish();
  void say(StageRun& run, std::string text);
  void stage_ended(StageRun& run);
  void fail_build(StageRun& run, Error error);
  std::string stage_label(const StageRun& run) const;

  // steps.cpp
  Task<Result<void>> copy(StageRun& run, const Instruction& instruction);
  Task<Result<void>> run_command(StageRun& run, const Instruction& instruction);
  Task<Result<void>> make_working_dir(StageRun& run, const Instruction& instruction);
  Result<CopyRequest> copy_request(StageRun& run, const Instruction& instruction) const;
  Task<Result<std::vector<CopyPart>>> copy_parts(StageRun& run, const Instruction& instruction);
  Task<Result<PlannedCopy>> plan(std::vector<CopyPart> parts);
  Task<Result<void>> write_copy(StageRun& run, std::vector<CopyPart> parts, std::string upper);
  Task<Result<CopyPart>> download(const Instruction& instruction, std::string url, CopyRequest request);
  /// The tree that `--from=` means; of a stage, once it is done.
  Task<Result<CopyPart>> tree_of(StageRun& run, const Instruction& instruction, std::string from);
  /// The layer that is in `upper` becomes the stage's next one; an empty one is none.
  Task<Result<CacheEntry>> commit(StageRun& run, std::string upper);
  void adopt(StageRun& run, const CacheEntry& entry, std::string created_by, bool cached);
  std::optional<CacheEntry> cached(const std::string& key);
  void remember(const std::string& key, const CacheEntry& entry) { b_.cache.put(key, entry); }
  std::vector<std::string> layer_paths(const Base& base) const;
  std::string fresh(std::string_view what);  // a path in the scratch directory
  int64_t now() const;
  std::string epoch_text() const { return epoch_ ? std::to_string(*epoch_) : ""; }
  /// The configuration of the image that the stage is by now, and its id.
  image::Config config_of(const StageRun& run) const;
  std::string image_id(const StageRun& run) const;
  void short_id(StageRun& run);
  void adopt_setting(StageRun& run, std::string text);
  void add_labels(StageRun& run);

  Builder::Impl& b_;
  BuildRequest& request_;
  BuildOutput& output_;
  std::string scratch_;
  Dockerfile file_;
  std::vector<Warning> warnings_;
  Variables globals_, platform_;
  std::vector<std::string> bases_;
  size_t target_ = 0;
  bool has_ignore_ = false;
  Graph graph_;
  std::optional<int64_t> epoch_;
  std::vector<std::unique_ptr<StageRun>> runs_;  // by position
  std::vector<StageRun*> by_index_;
  size_t steps_ = 0, head_ = 0, names_ = 0;
  size_t context_uses_ = 0;  // steps that read the context and have not ended
  std::set<std::string> used_arguments_;
  std::map<std::string, std::string> context_copies_;  // bind mounts of the context, by source
  std::optional<Error> failure_;
  Event ended_;
  Fd adding_;        // keeps the store's collector away
  TaskGroup tasks_;  // last: its tasks use the rest
};

}  // namespace estiba::build
