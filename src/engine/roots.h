// The root file systems of containers that outlive them (ContainerSpec::keep_root): who uses which, and so which are mounted.
//
//   <data-dir>/containers/<id>/
//     image            the image that is below (image/store.h)
//     keep             there: no recovery removes this root; "passing" in it: writes to it wait for no disk
//     upper/ work/     the writable layer
//     rootfs/          where it is mounted while in use
//   <data-dir>/containers/<id>.image<n>/   an image that is mounted in it (Mount::image), at rootfs/
//   <data-dir>/containers/.removed/<id>/   what is being deleted
//
// Unmounting waits for a grace period of the kernel and deleting for the disk: nobody waits for either. A root that nobody uses is
// unmounted a moment later (a passing one stays mounted: it will soon be removed), and one that is removed moves aside at once and is
// deleted then, or serves another container (engine/spare_roots.h).
//
// Blocking; any thread. Work on one root is done one after the other.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/record.h"
#include "engine/spare_roots.h"
#include "image/store.h"

namespace estiba::engine {

class Roots : public std::enable_shared_from_this<Roots> {
 public:
  /// Runs what it is given soon, on a thread that may block; or never, as the program ends.
  using Later = std::function<void(std::function<void()>)>;
  Roots(Paths paths, std::shared_ptr<image::Store> store, Later later)
      : paths_(paths), store_(std::move(store)), later_(std::move(later)), spares_(std::move(paths)) {}

  /// `passing`: what is written need not outlive the machine's stop.
  Result<void> make(const std::string& id, const std::string& image, bool passing = false);
  bool kept(const std::string& id) const;
  /// What is below the writable layer of container `id`, lowest first: the image's layers and the mount points (image/mount_points.h).
  Result<std::vector<std::string>> layers(const image::Config& config, const std::string& id) const;
  /// The image that it was made of.
  Result<std::string> image(const std::string& id) const;
  /// Mounts it for one user more, and gives its path.
  Result<std::string> hold(const std::string& id);
  /// One user less; after the last it is unmounted. Without a user it is unmounted, too.
  void release(const std::string& id);
  /// It was mounted by an engine before this one, for a container that lives.
  void adopt(const std::string& id);
  /// Conflict while it is in use. `unshared`: nobody but the container's own processes, which are gone, can ever have had a way into it;
  /// then it may serve another container when nothing was written.
  Result<void> remove(const std::string& id, bool unshared = false);
  /// Removes the directory of a container whose root is not kept. Missing is fine.
  Result<void> discard(const std::string& id);
  /// Mounts what `image` holds for container `id`, read-only, and gives the path; `place` (0, 1, …) tells the container's images apart.
  /// Again is fine. The image stays as long as the mount.
  /// `users`: with the ids of the user namespace bound there.
  Result<std::string> mount_image(const std::string& id, size_t place, const std::string& image, const std::string& users = {});
  /// Unmounts and removes all of them. Fine when there is none.
  Result<void> discard_images(const std::string& id);
  /// The container that a directory below containers/ is of.
  static std::string_view owner_of(std::string_view directory) { return directory.substr(0, directory.find(image_mark)); }
  /// Does what is left to do later, such as what an engine before this one left behind in .removed.
  void settle();
  /// Ids of all that are kept.
  Result<std::vector<std::string>> list() const;

 private:
  static constexpr std::string_view image_mark = ".image";
  struct Use {
    std::mutex mutex;
    int users = 0;
    bool unused = false;             ///< this engine has made it, and nobody has mounted it yet
    std::optional<FreshRoot> fresh;  ///< of a passing root that this engine has mounted, which stays mounted until it is removed
  };
  std::shared_ptr<Use> use(const std::string& id);
  void forget(const std::string& id);
  /// False when there is none, or its image is gone.
  Result<bool> make_of_spare(const std::string& id, const std::string& image_name, Use& used);
  std::string removed_dir() const { return paths_.data_dir + "/containers/.removed"; }
  void finish_later(const std::string& id);
  void work_off();
  void finish(const std::string& id);

  const Paths paths_;
  const std::shared_ptr<image::Store> store_;
  const Later later_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Use>> uses_;  // guarded by mutex_
  std::vector<std::string> unfinished_;               // guarded by mutex_
  SpareRoots spares_;
};

}  // namespace estiba::engine
