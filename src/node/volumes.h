// One pod's volumes: makes them before the containers start, keeps those that come from API objects equal to their
// sources, and removes them at the end.
//
//   <data-dir>/pods/<uid>/volumes/<name>   emptyDir, configMap, downwardAPI
//   <run-dir>/volumes/<uid>/<name>         secret, projected: on a tmpfs where /run is one
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/task.h"
#include "engine/spec.h"
#include "model/object.h"
#include "model/types/core_v1.h"
#include "node/claims.h"
#include "node/context.h"
#include "node/env.h"
#include "node/pod_certificates.h"
#include "volume/atomic_writer.h"

namespace estiba::node {

/// Whether a mount is read-only with all that is mounted below. IfPossible is Enabled: the runtime has it by mount_setattr(2), or says at
/// the start that the kernel has not.
bool recursively_readonly(const model::core_v1::VolumeMount& mount);

/// The images that a container mounts, as the pod's volumes name them; each once.
std::vector<const model::core_v1::ImageVolumeSource*> mounted_images(const model::core_v1::Pod& pod,
                                                                     const model::core_v1::Container& container);

class PodVolumes {
 public:
  PodVolumes(const Context& context, std::string uid);

  /// Makes what is missing and refreshes what has a source. The error names the volume as the kubelet's FailedMount event
  /// does. Repeating it is cheap: what is the same is not written.
  Task<Result<void>> prepare(model::ObjectRef pod);
  /// Whether a volume of the pod reads this ConfigMap or Secret.
  static bool uses(const model::core_v1::Pod& pod, bool secret, std::string_view name);
  /// Whether a volume of the pod has this claim, of its own or made for it.
  static bool claims(const model::core_v1::Pod& pod, std::string_view claim);
  /// Whether a volume of the pod is one of a driver, and was mounted.
  bool has_of_driver() const;
  /// Whether the volumes follow the pod's own metadata (downwardAPI).
  static bool uses_metadata(const model::core_v1::Pod& pod);
  /// When a token or certificate must be renewed or a trust bundle be looked at again; the far future when there is none.
  Instant next_refresh() const;

  /// The engine's mounts for a container. Sub paths are resolved, and made where they are missing.
  Task<Result<std::vector<engine::Mount>>> mounts(model::ObjectRef pod, const model::core_v1::Container& container,
                                                  Environment environment);
  /// The block devices that a container has instead of mounts (volumeDevices).
  Result<std::vector<engine::Device>> devices(model::ObjectRef pod, const model::core_v1::Container& container) const;
  /// A file of a volume, at most 1 MiB, symlinks resolved inside it.
  Task<Result<std::string>> read_file(model::ObjectRef pod, std::string volume, std::string path);
  Task<Result<void>> remove();
  const PodCertificates& certificates() const { return certificates_; }

 private:
  struct Token {
    std::string text;
    Instant refresh_at{};
  };
  Task<Result<void>> prepare_one(model::ObjectRef pod, const model::core_v1::Volume& volume);
  Task<Result<void>> prepare_claimed(model::ObjectRef pod, const model::core_v1::Volume& volume);
  Task<Result<bool>> add_source(const model::core_v1::Pod& pod, PodCertificates::Place place,
                                const model::core_v1::VolumeProjection& source, mode_t mode, volume::Files* files);
  Task<Result<bool>> add_object(const model::core_v1::Pod& pod, bool secret, std::string name, std::vector<model::core_v1::KeyToPath> items,
                                bool optional, mode_t mode, volume::Files* files);
  Task<Result<std::string>> token(const model::core_v1::Pod& pod, const model::core_v1::ServiceAccountTokenProjection& source);
  std::string memory_dir() const;  ///< of what must not reach a disk
  std::string path_of(const model::core_v1::Volume& volume) const;

  const Context& context_;
  const std::string uid_;
  std::map<std::string, Token> tokens_;          // by audience and path
  Instant bundles_refresh_at_ = Instant::max();  // ClusterTrustBundles are looked at again; nobody watches them
  PodCertificates certificates_;
  std::map<std::string, ClaimedDirectory> claimed_;  // by the volume's name, once its claim was bound
};

}  // namespace estiba::node
