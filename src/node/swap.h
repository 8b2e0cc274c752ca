// Swap of pods, as the kubelet's NodeSwap has it (KEP 2400): none, or for Burstable pods a part of the machine's by what they ask for of
// its memory. Control groups of version 2 alone tell swap from memory; where version 1 is, a container with a limit has no swap beyond it.
#pragma once
#include <string>
#include <string_view>

#include "node/context.h"

namespace estiba::node {

/// Whether a container may have swap where its node gives any: of a Burstable pod that is not critical, and its memory is asked for, but
/// not limited to what is asked for.
bool may_swap(const model::core_v1::Pod& pod, const model::core_v1::Container& container);
/// Of the machine's swap, the part that a container which asks for `asked` of its memory may have. All in bytes.
int64_t share_of_swap(int64_t asked, uint64_t memory, uint64_t swap);

/// What a container may have of swap on this node.
void limit_swap(engine::Resources& resources, const Options& options, const model::core_v1::Pod& pod,
                const model::core_v1::Container& container);
/// The pod's own group does not hold back what its containers may have.
void limit_swap_of_pod(engine::Resources& resources, const Options& options);

/// Whether a change from `before` to `after` would change how much a running container may swap, which is refused.
bool resizes_swap(const model::core_v1::Pod& before, const model::core_v1::Pod& after);

/// Makes the pods' control group where they may swap, since groups tell whether they count swap. Then has what must not reach a disk
/// (Secrets, tokens) in a file system of its own that is not swapped, where the machine has swap and the kernel the option for it (6.3).
/// Else a line in the log says so. Blocks.
void prepare_for_swap(const Options& options);

}  // namespace estiba::node
