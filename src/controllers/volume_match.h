// Which volume a claim gets: Kubernetes' matching by access modes, size, class, mode, selector and what either names.
#pragma once
#include "base/result.h"
#include "client/informer.h"

namespace estiba::controllers {

/// Whether a volume that the claim names may be bound to it; the error says what does not fit, as Kubernetes words it.
Result<void> check_volume_fits(const model::ObjectRef& volume, const model::ObjectRef& claim);

/// The volume to bind a claim to that names none: one that names the claim, else the smallest available one that fits, of those
/// with the fewest further access modes. While `delayed` (the class waits for a consumer) only a volume that names the claim.
/// A null reference for none.
model::ObjectRef best_volume(const client::Informer& volumes, const model::ObjectRef& claim, bool delayed);

}  // namespace estiba::controllers
