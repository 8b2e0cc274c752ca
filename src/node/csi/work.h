// What one mount of a CSI volume works with; of the files of CsiVolumes alone.
#pragma once
#include "model/types/storage_v1.h"
#include "node/csi/volumes.h"

namespace estiba::node {

struct CsiVolumes::Work {
  CsiWish wish;
  CsiPlace place;
  model::ObjectRef csi_driver;  ///< null: no CSIDriver object, whose defaults hold then
  CsiDriverRef driver;
  CsiDriver::Features features;
  csi_api::VolumeCapability capability;
  protobuf::Labels publish_context, volume_context, publish_secrets;
  Kept* kept = nullptr;

  const model::core_v1::Pod& pod() const { return wish.pod.as<model::core_v1::Pod>(); }
  bool can(csi_api::NodeFeature feature) const { return features.contains(feature); }
  const model::storage_v1::CSIDriverSpec& driver_spec() const {
    static const model::storage_v1::CSIDriverSpec none;
    return csi_driver ? csi_driver.as<model::storage_v1::CSIDriver>().spec : none;
  }
  /// Of a PersistentVolume alone.
  const model::core_v1::PersistentVolumeSpec& volume() const { return wish.bound_to.as<model::core_v1::PersistentVolume>().spec; }
  /// Of an inline volume alone.
  const model::core_v1::CSIVolumeSource& source() const {
    for (const auto& volume : pod().spec.volumes)
      if (volume.name == wish.volume) return *volume.csi;
    __builtin_unreachable();
  }
  std::string fs_type() const { return place.ephemeral ? source().fsType : volume().csi->fsType; }
  bool stages() const { return can(csi_api::NodeFeature::stage_unstage_volume) && !place.ephemeral; }
  bool needs_attachment() const { return !place.ephemeral && driver_spec().attachRequired.value_or(true); }
};

/// That a mount has begun for a volume that is to be attached: meanwhile the node counts as using it.
class CsiVolumes::Attaching {
 public:
  Attaching(CsiVolumes* volumes, const CsiPlace& place);
  Attaching(const Attaching&) = delete;
  ~Attaching();

 private:
  CsiVolumes* volumes_;
  const std::string name_;
};

}  // namespace estiba::node
