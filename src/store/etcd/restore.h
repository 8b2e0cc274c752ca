// Fills a prefix of etcd from a snapshot.
#pragma once
#include "store/etcd/etcd.h"
#include "store/snapshot.h"

namespace estiba::store {

/// Puts every key; etcd gives them revisions of its own. While it is under way a note keeps servers from starting on the half;
/// it stays when the restore fails. Code::conflict when there are keys below the prefix. Blocks.
Result<void> restore_etcd(const EtcdOptions& options, const SnapshotContents& contents);

}  // namespace estiba::store
