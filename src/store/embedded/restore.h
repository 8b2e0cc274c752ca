// Fills an embedded store's directory from a snapshot.
#pragma once
#include <string>

#include "store/snapshot.h"

namespace estiba::store {

/// Afterwards open_embedded finds the snapshot's keys with the snapshot's revisions. Until the last step there is no store in
/// the directory, so that an interrupted restore leaves nothing. Code::conflict when the directory has a store already or a
/// process works on it.
Result<void> restore_embedded(const std::string& directory, const SnapshotContents& contents);

}  // namespace estiba::store
