// From a pod's volume that names a claim to a directory of this node.
#pragma once
#include "base/task.h"
#include "model/types/core_v1.h"
#include "node/context.h"

namespace estiba::node {

struct ClaimedDirectory {
  std::string path;
  bool readonly = false;
  bool block = false;                      ///< `path` is a block device (volumeMode: Block)
  bool csi = false;                        ///< a driver's, who is to be asked again when the claim changes
  Instant look_again_at = Instant::max();  ///< when that is due without a change
};

/// Whether the volume has a claim: its own, or one that is made for the pod (generic ephemeral volumes).
bool has_claim(const model::core_v1::Volume& volume);
/// Whether it comes from a claim or from a driver of its own (csi).
bool is_claimed(const model::core_v1::Volume& volume);
/// The claim's name; empty when there is none.
std::string claim_name(const model::core_v1::Pod& pod, const model::core_v1::Volume& volume);

/// The directory of the volume that the claim is bound to, or that a driver makes for this pod alone; made, attached, mounted where that is
/// this node's to do. The error says what the claim waits for, or which kind of volume this node cannot mount.
Task<Result<ClaimedDirectory>> claimed_directory(const Context& context, model::ObjectRef pod, const model::core_v1::Volume& volume,
                                                 std::optional<gid_t> group);

}  // namespace estiba::node
