// A blob that is being uploaded.
#pragma once
#include <atomic>
#include <mutex>
#include <optional>

#include "image/registry_server/server.h"

namespace estiba::image {

struct RegistryServer::Upload {
  explicit Upload(std::string id, std::string repository) : id(std::move(id)), repository(std::move(repository)) {}
  const std::string id, repository;
  bool busy = false;    ///< a request is sending; the handler's loop only
  Instant last_used{};  ///< the handler's loop only
  std::atomic<uint64_t> size = 0;

  std::mutex mutex;                  ///< a write may outlive the request that asked for it
  std::optional<BlobWriter> writer;  ///< guarded by mutex; made with the first bytes
};

}  // namespace estiba::image
