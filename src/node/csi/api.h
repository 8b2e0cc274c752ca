// Messages of the Container Storage Interface's node service, csi.v1 (github.com/container-storage-interface/spec, csi.proto, which names
// the fields' numbers).
#pragma once
#include "base/protobuf_message.h"

namespace estiba::node::csi_api {

using protobuf::field;
using protobuf::Labels;
using protobuf::table;

struct Empty {
  static constexpr auto fields() { return table(); }
};

// --- what a driver is ------------------------------------------------------------------------------------------------

struct Topology {
  Labels segments;
  static constexpr auto fields() {
    using M = Topology;
    return table(field(1, &M::segments));
  }
};
struct NodeGetInfoResponse {
  std::string node_id;
  int64_t max_volumes_per_node = 0;
  Topology accessible_topology;
  static constexpr auto fields() {
    using M = NodeGetInfoResponse;
    return table(field(1, &M::node_id), field(2, &M::max_volumes_per_node), field(3, &M::accessible_topology));
  }
};
enum class NodeFeature : int32_t {
  unknown = 0,
  stage_unstage_volume = 1,
  get_volume_stats = 2,
  expand_volume = 3,
  volume_condition = 4,
  single_node_multi_writer = 5,
  volume_mount_group = 6,
};
struct NodeRpc {
  NodeFeature type = NodeFeature::unknown;
  static constexpr auto fields() {
    using M = NodeRpc;
    return table(field(1, &M::type));
  }
};
struct NodeServiceCapability {
  NodeRpc rpc;
  static constexpr auto fields() {
    using M = NodeServiceCapability;
    return table(field(1, &M::rpc));
  }
};
struct NodeGetCapabilitiesResponse {
  std::vector<NodeServiceCapability> capabilities;
  static constexpr auto fields() {
    using M = NodeGetCapabilitiesResponse;
    return table(field(1, &M::capabilities));
  }
};

// --- volumes ---------------------------------------------------------------------------------------------------------

enum class AccessModeKind : int32_t {
  unknown = 0,
  single_node_writer = 1,
  single_node_reader_only = 2,
  multi_node_reader_only = 3,
  multi_node_single_writer = 4,
  multi_node_multi_writer = 5,
  single_node_single_writer = 6,
  single_node_multi_writer = 7,
};
struct AccessMode {
  AccessModeKind mode = AccessModeKind::unknown;
  static constexpr auto fields() {
    using M = AccessMode;
    return table(field(1, &M::mode));
  }
};
struct MountVolume {
  std::string fs_type;
  std::vector<std::string> mount_flags;
  std::string volume_mount_group;
  static constexpr auto fields() {
    using M = MountVolume;
    return table(field(1, &M::fs_type), field(2, &M::mount_flags), field(3, &M::volume_mount_group));
  }
};
/// One of `block` and `mount` is set.
struct VolumeCapability {
  std::optional<Empty> block;
  std::optional<MountVolume> mount;
  AccessMode access_mode;
  static constexpr auto fields() {
    using M = VolumeCapability;
    return table(field(1, &M::block), field(2, &M::mount), field(3, &M::access_mode));
  }
};
struct NodeStageVolumeRequest {
  std::string volume_id;
  Labels publish_context;
  std::string staging_target_path;
  VolumeCapability volume_capability;
  Labels secrets, volume_context;
  static constexpr auto fields() {
    using M = NodeStageVolumeRequest;
    return table(field(1, &M::volume_id), field(2, &M::publish_context), field(3, &M::staging_target_path), field(4, &M::volume_capability),
                 field(5, &M::secrets), field(6, &M::volume_context));
  }
};
struct NodeUnstageVolumeRequest {
  std::string volume_id, staging_target_path;
  static constexpr auto fields() {
    using M = NodeUnstageVolumeRequest;
    return table(field(1, &M::volume_id), field(2, &M::staging_target_path));
  }
};
struct NodePublishVolumeRequest {
  std::string volume_id;
  Labels publish_context;
  std::string staging_target_path, target_path;
  VolumeCapability volume_capability;
  bool readonly = false;
  Labels secrets, volume_context;
  static constexpr auto fields() {
    using M = NodePublishVolumeRequest;
    return table(field(1, &M::volume_id), field(2, &M::publish_context), field(3, &M::staging_target_path), field(4, &M::target_path),
                 field(5, &M::volume_capability), field(6, &M::readonly), field(7, &M::secrets), field(8, &M::volume_context));
  }
};
struct NodeUnpublishVolumeRequest {
  std::string volume_id, target_path;
  static constexpr auto fields() {
    using M = NodeUnpublishVolumeRequest;
    return table(field(1, &M::volume_id), field(2, &M::target_path));
  }
};
struct NodeGetVolumeStatsRequest {
  std::string volume_id, volume_path, staging_target_path;
  static constexpr auto fields() {
    using M = NodeGetVolumeStatsRequest;
    return table(field(1, &M::volume_id), field(2, &M::volume_path), field(3, &M::staging_target_path));
  }
};
enum class UsageUnit : int32_t { unknown = 0, bytes = 1, inodes = 2 };
struct VolumeUsage {
  int64_t available = 0, total = 0, used = 0;
  UsageUnit unit = UsageUnit::unknown;
  static constexpr auto fields() {
    using M = VolumeUsage;
    return table(field(1, &M::available), field(2, &M::total), field(3, &M::used), field(4, &M::unit));
  }
};
struct NodeGetVolumeStatsResponse {
  std::vector<VolumeUsage> usage;
  static constexpr auto fields() {
    using M = NodeGetVolumeStatsResponse;
    return table(field(1, &M::usage));
  }
};
struct CapacityRange {
  int64_t required_bytes = 0, limit_bytes = 0;
  static constexpr auto fields() {
    using M = CapacityRange;
    return table(field(1, &M::required_bytes), field(2, &M::limit_bytes));
  }
};
struct NodeExpandVolumeRequest {
  std::string volume_id, volume_path;
  CapacityRange capacity_range;
  std::string staging_target_path;
  VolumeCapability volume_capability;
  Labels secrets;
  static constexpr auto fields() {
    using M = NodeExpandVolumeRequest;
    return table(field(1, &M::volume_id), field(2, &M::volume_path), field(3, &M::capacity_range), field(4, &M::staging_target_path),
                 field(5, &M::volume_capability), field(6, &M::secrets));
  }
};
struct NodeExpandVolumeResponse {
  int64_t capacity_bytes = 0;
  static constexpr auto fields() {
    using M = NodeExpandVolumeResponse;
    return table(field(1, &M::capacity_bytes));
  }
};

}  // namespace estiba::node::csi_api
