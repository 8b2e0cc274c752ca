// Docker's volumes: directories that outlive containers. A volume is <data_dir>/volumes/<name>/ with its content in _data and what is
// known of it in volume.json ({"Name","Driver","Options","Labels","CreatedAt"}). A directory there with _data alone is a volume as well.
//
// Who uses a volume is told by references, which the owner of the containers' records takes anew after a restart: refer() for a
// container that exists (its volumes cannot be removed), mount() for one that runs (a volume with options is mounted meanwhile).
//
// Every call is made on one executor; disk work happens on a pool. What is begun is finished even when the awaiting task is dropped.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/function.h"
#include "base/result.h"
#include "base/task.h"

namespace estiba::volume {

struct VolumeSpec {
  std::string name;  ///< empty: a name is made, and the volume is anonymous
  std::string driver = "local";
  std::map<std::string, std::string> options, labels;
};

struct VolumeInfo : VolumeSpec {
  std::string path;  ///< "/var/lib/estiba/volumes/datos/_data"
  WallTime created{};
  std::vector<std::string> containers;  ///< ids that refer to it
  bool anonymous() const { return labels.contains("com.docker.volume.anonymous"); }
};

class Volumes {
 public:
  explicit Volumes(std::string data_dir);
  ~Volumes();
  Volumes(const Volumes&) = delete;

  /// Reads what is there and clears away what an interrupted removal left.
  Task<Result<void>> start();

  /// The volume of that name when there is one already, whatever its options, as Docker does: `made` says which.
  struct Created {
    VolumeInfo volume;
    bool made = false;
  };
  Task<Result<Created>> create(VolumeSpec spec);
  /// "get x: no such volume".
  Result<VolumeInfo> find(std::string_view name) const;
  std::vector<VolumeInfo> list() const;
  /// "remove x: volume is in use - [id, id]" (conflict). With `force` a missing one is fine.
  Task<Result<void>> remove(std::string name, bool force = false);

  struct Pruned {
    std::vector<std::string> names;
    uint64_t bytes = 0;
  };
  /// Removes those that no container refers to and that `chosen` chooses.
  Task<Result<Pruned>> prune(UniqueFunction<bool(const VolumeInfo&)> chosen);
  /// Bytes on disk by name, hard links counted once.
  Task<std::map<std::string, uint64_t>> sizes();

  /// The container `id` (also one that is stopped) has the volume, or has it no more. Again is fine.
  Result<void> refer(std::string_view name, const std::string& container_id);
  void forget(std::string_view name, const std::string& container_id);
  /// The directory to bind into the container, mounted if the volume's options say so. Again is fine.
  Task<Result<std::string>> mount(std::string name, std::string container_id);
  /// Unmounts it when no other container has it mounted.
  Task<Result<void>> unmount(std::string name, std::string container_id);
  /// Docker's rule: a volume that is empty gets what the image has at `path` (below the container's mounted root), with owners, modes,
  /// times, xattrs, hard links and holes, and the owner and mode of that directory. Mount the volume before.
  Task<Result<void>> copy_up(std::string name, std::string root, std::string path);

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace estiba::volume
