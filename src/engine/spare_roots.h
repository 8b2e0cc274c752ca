// Roots of ended containers that were never written to, kept mounted for the next container of the same image.
//
// A short `run --rm` makes some fifteen inodes for its root (overlayfs makes half of them itself) and deletes them again, which costs more
// than all else that it does; ext4 without a journal even steps over each of them for minutes. A root as new as on its first day needs
// none of that.
//
//   <data-dir>/containers/.spare/<name>/    as <data-dir>/containers/<id>/ (engine/roots.h), mounted
//
// A spare does not keep its image from the collector, which removes the spares of images that it lets go (Store::collect); take() makes
// sure that the layers below are still the image's. Only the engine that mounted a root knows how it looked, so no spare outlives an
// engine.
//
// Blocking; any thread.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/record.h"

namespace estiba::engine {

/// How the root of a container looked right after it was mounted.
struct FreshRoot {
  /// The writable layer's directory: all that changes with anything that is written to it.
  struct Look {
    mode_t mode = 0;
    uid_t uid = 0;
    gid_t gid = 0;
    int64_t changed_ns = 0;   ///< st_ctim
    int64_t modified_ns = 0;  ///< st_mtim, which a program may set within one tick of an old kernel's clock
    std::string attributes;   ///< names of its extended attributes, as listxattr(2) gives them
    bool operator==(const Look&) const = default;
  };
  Look look;
  std::string image;            ///< id
  std::vector<uint64_t> below;  ///< inodes of the layers' directories

  /// Of the root in directory `dir`, which has just been mounted on top of `layers`.
  static Result<FreshRoot> of(const std::string& dir, std::string image, const std::vector<std::string>& layers);
};

class SpareRoots {
 public:
  explicit SpareRoots(Paths paths) : paths_(std::move(paths)) {}

  /// Takes over the root of container `id`, mounted and used by nobody. False, with everything as it was, when it has been written to.
  bool put(const std::string& id, const FreshRoot& fresh);
  /// Makes a spare root of `image` on top of `layers` that of container `id`, for which there is no directory yet.
  std::optional<FreshRoot> take(const std::string& id, const std::string& image, const std::vector<std::string>& layers);
  /// Unmounts and deletes all of them, and what an engine before this one left.
  void drop();

 private:
  struct Spare {
    std::string name;
    FreshRoot fresh;
  };
  std::string place(const std::string& name = {}) const { return paths_.data_dir + "/containers/.spare/" + name; }
  void remove(const std::string& name);

  const Paths paths_;
  std::mutex mutex_;
  std::vector<Spare> spares_;  // guarded by mutex_; oldest first
  bool swept_ = false;         // guarded by mutex_; nothing of an earlier engine is left
};

}  // namespace estiba::engine
