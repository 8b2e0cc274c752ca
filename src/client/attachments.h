// Volumes of CSI drivers that are attached to nodes: the names by which the attach/detach controller and the nodes agree on them
// (pkg/volume/csi/csi_attacher.go, pkg/volume/util/util.go).
#pragma once
#include <string>
#include <string_view>

namespace estiba::client {

/// The VolumeAttachment of a volume on a node.
std::string attachment_name(std::string_view handle, std::string_view driver, std::string_view node);
/// As it stands in a Node's volumesInUse and volumesAttached.
std::string unique_volume_name(std::string_view handle, std::string_view driver);

}  // namespace estiba::client
