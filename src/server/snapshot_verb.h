// `estiba snapshot save FILE`, `estiba snapshot restore FILE`, `estiba snapshot copy --to DATASTORE`.
#pragma once
#include "cli/flags.h"

namespace estiba::server {

Result<int> snapshot_save(const cli::Arguments& arguments);
Result<int> snapshot_restore(const cli::Arguments& arguments);
/// Between the embedded store and etcd.
Result<int> snapshot_copy(const cli::Arguments& arguments);

}  // namespace estiba::server
