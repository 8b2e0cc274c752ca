// Where volumes of CSI drivers lie below the kubelet's directory, which drivers and their manifests rely on, and what is written down so
// that a restarted server can take them down (pkg/volume/csi/csi_util.go, csi_block.go):
//
//   plugins/kubernetes.io/csi/<driver>/<sha256 of the handle>/globalmount       staged, for all pods of the node
//   plugins/kubernetes.io/csi/<driver>/<sha256 of the handle>/vol_data.json     its driver and handle
//   plugins/kubernetes.io/csi/volumeDevices/staging/<volume>                    staged, of volumeMode Block
//   plugins/kubernetes.io/csi/volumeDevices/publish/<volume>/<pod's uid>        the device, for one pod
//   pods/<uid>/volumes/kubernetes.io~csi/<volume>/mount                         published, for one pod
//   pods/<uid>/volumes/kubernetes.io~csi/<volume>/vol_data.json                 whose it is
//   pods/<uid>/volumeDevices/kubernetes.io~csi/<volume>/vol_data.json           the same for volumeMode Block
//
// <volume> is the PersistentVolume's name, or the pod's own for an inline volume. All calls that touch the disk block: they belong on a
// pool.
#pragma once
#include <string>
#include <vector>

#include "base/result.h"

namespace estiba::node {

/// A volume that a pod has, from before its driver is first called until all of it is taken down.
struct CsiPlace {
  std::string pod_uid, volume;  ///< volume: <volume> of the paths
  std::string driver, handle;
  std::string attachment;  ///< its VolumeAttachment; empty when the driver needs none
  bool ephemeral = false, block = false;
};

class CsiLayout {
 public:
  explicit CsiLayout(std::string kubelet_dir) : root_(std::move(kubelet_dir)) {}

  std::string staging_path(const CsiPlace& place) const;
  std::string target_path(const CsiPlace& place) const;

  /// Writes down that the pod has the volume, and makes the directory in which the driver makes its target.
  Result<void> add(const CsiPlace& place, const std::string& node) const;
  /// Makes the staging directory and writes down what is staged in it.
  Result<void> add_staging(const CsiPlace& place) const;
  /// Whether something is published at the target: a mount, or the device.
  Result<bool> is_published(const CsiPlace& place) const;
  /// After NodeUnpublishVolume. An error when something is still mounted.
  Result<void> remove(const CsiPlace& place) const;
  /// After NodeUnstageVolume.
  Result<void> remove_staging(const CsiPlace& place) const;
  /// What is written down; what cannot be read is left out and logged.
  std::vector<CsiPlace> places() const;
  /// Staged volumes that are no block devices: their drivers and handles.
  std::vector<CsiPlace> staged() const;

 private:
  std::string record_dir(const CsiPlace& place) const;
  std::string plugin_dir() const { return root_ + "/plugins/kubernetes.io/csi"; }
  std::string handle_dir(const CsiPlace& place) const;
  const std::string root_;
};

/// The handle of an inline volume (csi_util.go, makeVolumeHandle).
std::string inline_handle(const std::string& pod_uid, const std::string& volume);

}  // namespace estiba::node
