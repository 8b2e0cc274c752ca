// GET /estiba/snapshot: everything that is stored, at one revision (`estiba snapshot save` of a server that runs). Secrets are in it:
// only who may read every path gets it.
#pragma once
#include <string_view>

#include "base/task.h"
#include "io/http_server.h"
#include "store/freshness.h"
#include "store/store.h"

namespace estiba::apiserver {

inline constexpr std::string_view snapshot_path = "/estiba/snapshot";

/// Answers with a snapshot's bytes (store/snapshot.h) as they are made. `freshness` may be null.
Task<void> serve_snapshot(store::Store& store, store::Freshness* freshness, io::Response& response);

}  // namespace estiba::apiserver
