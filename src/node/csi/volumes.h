// CsiVolumes: the volumes of CSI drivers that this node's pods have. A mount is, in this order: wait for the attachment, write down that
// the pod has the volume, NodeStageVolume once for all pods, NodePublishVolume for the pod. Taking it down is the reverse, and is done for
// whatever is written down, so that what a driver began and never answered is undone as well.
//
//  1. One thing at a time is done with a volume; volumes and drivers do not wait for each other.
//  2. The node says that it uses an attached volume (status.volumesInUse) before it does, and until it no longer does.
//  3. What is published stays through a restart of the server, and needs no driver for that.
//
// On the node's thread.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/async_mutex.h"
#include "base/task.h"
#include "model/object.h"
#include "model/types/core_v1.h"
#include "node/claims.h"
#include "node/context.h"
#include "node/csi/drivers.h"
#include "node/csi/layout.h"

namespace estiba::node {

/// A volume as a pod asks for it.
struct CsiWish {
  model::ObjectRef pod;
  std::string volume;         ///< the pod's name of it
  model::ObjectRef claim;     ///< of a PersistentVolume
  model::ObjectRef bound_to;  ///< the PersistentVolume; null for an inline volume
  bool readonly = false;
};

class CsiVolumes {
 public:
  explicit CsiVolumes(const Context& context);
  CsiVolumes(const CsiVolumes&) = delete;

  CsiDrivers& drivers() { return drivers_; }
  /// Calls when a driver has registered.
  void on_driver(UniqueFunction<void(const std::string& name)> handler) { on_driver_ = std::move(handler); }
  /// Finds what an earlier server had; before anything is mounted.
  Task<void> recover();

  /// Publishes the volume for the pod; again is fine, and expands it, or publishes it once more, where that is due. Errors name the driver
  /// and what it said or what it waits for.
  Task<Result<ClaimedDirectory>> mount(CsiWish wish);
  /// Takes down all that the pod has.
  Task<Result<void>> release(std::string pod_uid);
  /// The same, again and again until it is done.
  void release_later(std::string pod_uid);
  /// Uids of pods that have volumes.
  std::set<std::string> pods() const;

  /// The Node's status.volumesInUse.
  std::vector<std::string> in_use() const;

  /// A volume that a pod has.
  struct Mounted {
    std::string pod_uid, ns, name;  ///< as the pod calls it
    std::string claim;              ///< empty for an inline volume
    std::string volume;             ///< as in CsiPlace
  };
  std::vector<Mounted> mounted() const;
  struct Stats {
    csi_api::VolumeUsage bytes, inodes;
  };
  /// What the driver says of a pod's volume; unsupported when it says nothing of such things. `volume` as in CsiPlace.
  Task<Result<Stats>> stats(std::string pod_uid, std::string volume);

 private:
  using Key = std::pair<std::string, std::string>;  // driver and handle
  struct Shared {                                   // what a volume's pods have in common
    AsyncMutex mutex;
    bool staged = false;
  };
  struct Kept {  // what one pod has
    CsiPlace place;
    Mounted mounted;     // empty until its pod was looked at
    std::string tokens;  // as the driver gets them
    Instant tokens_until{}, publish_again_at{};
  };
  class Attaching;
  struct Work;  // everything that one mount works with (work.h)
  static Key key_of(const CsiPlace& place) { return {place.driver, place.handle}; }
  bool is_used(const Key& key) const;

  // volumes.cpp
  Task<Result<ClaimedDirectory>> look_after(Work& work, Kept& kept);
  Task<Result<void>> check(Work& work);
  Task<Result<void>> stage(Work& work);
  Task<Result<void>> publish(Work& work);
  Task<Result<void>> give_to_group(Work& work);
  Task<Result<void>> take_down(CsiPlace place);
  Task<Result<void>> unstage(CsiPlace place);
  static Task<void> tidy(CsiVolumes* self, std::string driver);

  // requests.cpp
  static void set_capability(Work& work);
  Task<Result<void>> describe(Work& work);
  Task<Result<std::string>> tokens(Work& work);
  Task<Result<protobuf::Labels>> secret(std::string ns, std::string name, std::string field);

  // attachment.cpp
  Task<Result<void>> attach(Work& work);
  Task<Result<void>> report_in_use();
  static Task<void> report_later(CsiVolumes* self);

  // expansion.cpp
  Task<void> expand(Work& work);
  Task<Result<void>> expand_now(Work& work);

  const Context& context_;
  CsiDrivers drivers_;
  const CsiLayout layout_;
  UniqueFunction<void(const std::string&)> on_driver_;
  std::map<std::pair<std::string, std::string>, Kept> kept_;  // by the pod's uid and <volume>
  std::map<Key, Shared> shared_;
  std::multiset<std::string> attaching_;  // names in volumesInUse for mounts that have begun
  std::vector<std::string> reported_;     // volumesInUse as last written
  std::map<Key, CsiPlace> leftovers_;     // staged, and no pod's any more
  TaskGroup tasks_;                       // last: they use the rest
};

}  // namespace estiba::node
