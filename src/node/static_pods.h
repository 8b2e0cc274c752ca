// StaticPods: pods that this node has from files and not from the API (kubelet's pkg/kubelet/config/file.go and pkg/kubelet/pod). They run
// whether there is an API server or not. Each is shown in the API by a mirror: a pod that nobody runs, made again when somebody deletes
// it, and removed once the pod itself is gone.
//
// Lives on the node's thread.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/task.h"
#include "node/context.h"
#include "node/static_manifest.h"

namespace estiba::node {

class PodWorker;

class StaticPods {
 public:
  /// `run` starts a pod's worker; `worker` finds the one with a uid, or gives null.
  StaticPods(const Context& context, std::function<void(const model::ObjectRef&)> run, std::function<PodWorker*(const std::string&)> worker)
      : context_(context), run_(std::move(run)), worker_(std::move(worker)) {}

  /// Returns when what is there has been read and started; from then on the directory is watched.
  Task<void> start();
  /// The node is in the API: mirrors are made, and what was wrong with files is told in events.
  void registered();
  /// A mirror of the API's has changed.
  void mirror_changed(const model::ObjectRef& before, const model::ObjectRef& after);
  /// A worker has ended.
  void finished(const std::string& uid);

 private:
  struct File {
    std::string text, complaint;
    StaticManifest manifest;  ///< of a null pod when it is bad
  };
  struct Listing {
    bool there = false;
    std::map<std::string, std::string> texts;                   ///< by path
    std::vector<std::pair<std::string, std::string>> unusable;  ///< path, why
  };

  static Listing list(const std::string& path);
  static Task<void> watch(StaticPods* self);
  static Task<void> keep_mirrors(StaticPods* self);
  Task<bool> scan();
  void take(const std::string& path, std::string text);
  void complain(const std::string& path, File& file, std::string why);
  void tell(const std::string& path, const File& file);
  void choose();
  void settle();
  void show(const std::string& key);
  Task<Result<void>> keep_mirror(std::string key);
  Task<Result<void>> remove_mirror(model::ObjectRef mirror);

  const Context& context_;
  std::function<void(const model::ObjectRef&)> run_;
  std::function<PodWorker*(const std::string&)> worker_;
  std::map<std::string, File> files_;              // by path
  std::map<std::string, StaticManifest> wanted_;   // by namespace/name
  std::map<std::string, StaticManifest> running_;  // the same; until their workers have ended
  std::map<std::string, model::ObjectRef> mirrors_;
  bool registered_ = false, missing_ = false;
  Event mirrors_changed_;
  Job watch_, mirror_job_;
};

}  // namespace estiba::node
