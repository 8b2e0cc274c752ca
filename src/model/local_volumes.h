// How the provisioner of local volumes and the nodes that hold them name things to each other (docs/storage.md).
#pragma once
#include <string_view>

namespace estiba::model {

/// spec.csi.driver of a volume that is a directory below a node's data directory, and the provisioner of its class.
inline constexpr std::string_view local_driver = "local-path.estiba.io";
/// The key in spec.csi.volumeAttributes of the node's name.
inline constexpr std::string_view local_node_attribute = "node";
/// Holds the volume until its node has let go of the directory.
inline constexpr std::string_view local_finalizer = "local-path.estiba.io/directory";

}  // namespace estiba::model
