// A blob that is being uploaded.
#pragma once
#include <atomic>
#include <mutex>
#include <optional>

#include "image/registry_server/server.h"
#include "os/file.h"

namespace estiba::image {

struct RegistryServer::Upload {
  Upload(std::string i, std::string r, std::string d) : id(std::move(i)), repository(std::move(r)), dir(std::move(d)) {}
  const std::string id, repository;
  const std::string dir;  ///< `repository` and `data`, which a killed server leaves to the next; empty for what comes in one request
  bool busy = false;      ///< a request is sending; the handler's loop only
  Instant last_used{};    ///< the handler's loop only
  std::atomic<uint64_t> size = 0;

  std::mutex mutex;                  ///< a write may outlive the request that asked for it
  std::optional<BlobWriter> writer;  ///< guarded by mutex; made with the first bytes

  /// With the mutex held; blocking: what an earlier server received is hashed again.
  Result<BlobWriter*> open(Store& store) {
    if (!writer) writer.emplace(TRY(dir.empty() ? store.new_blob() : store.resume_blob(dir + "/data")));
    return &*writer;
  }

  /// Blocking: what was received goes.
  Result<void> remove() {
    std::lock_guard lock(mutex);
    writer.reset();
    return dir.empty() ? Result<void>() : os::remove_all(dir);
  }
};

}  // namespace estiba::image
