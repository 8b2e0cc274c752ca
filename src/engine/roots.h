// The root file systems of containers that outlive them (ContainerSpec::keep_root): who uses which, and so which are mounted.
//
//   <data-dir>/containers/<id>/
//     image            the image that is below (image/store.h)
//     keep             there: no recovery removes this root
//     upper/ work/     the writable layer
//     rootfs/          where it is mounted while in use
//
// Blocking; any thread. Work on one root is done one after the other.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/record.h"
#include "image/store.h"

namespace estiba::engine {

class Roots {
 public:
  Roots(Paths paths, std::shared_ptr<image::Store> store) : paths_(std::move(paths)), store_(std::move(store)) {}

  Result<void> make(const std::string& id, const std::string& image);
  bool kept(const std::string& id) const;
  /// The image that it was made of.
  Result<std::string> image(const std::string& id) const;
  /// Mounts it for one user more, and gives its path.
  Result<std::string> hold(const std::string& id);
  /// One user less; with the last it is unmounted. Without a user it is unmounted, too.
  Result<void> release(const std::string& id);
  /// It was mounted by an engine before this one, for a container that lives.
  void adopt(const std::string& id);
  /// Conflict while it is in use.
  Result<void> remove(const std::string& id);
  /// Ids of all that are kept.
  Result<std::vector<std::string>> list() const;

 private:
  struct Use {
    std::mutex mutex;
    int users = 0;
  };
  std::shared_ptr<Use> use(const std::string& id);
  void forget(const std::string& id);

  const Paths paths_;
  const std::shared_ptr<image::Store> store_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Use>> uses_;  // guarded by mutex_
};

}  // namespace estiba::engine
