// Pulling from a registry (OCI distribution-spec 1.1, Docker registry HTTP API v2): manifests and indexes by platform,
// blobs, Bearer tokens and basic authentication. HTTPS with the system's roots; plain HTTP only for loopback addresses.
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "image/manifest.h"
#include "image/reference.h"
#include "image/store.h"
#include "io/tls.h"

namespace estiba::io {
class Loop;
}

namespace estiba::image {

struct RegistryLogin {
  std::string username, password;
  std::string identity_token;  ///< an OAuth2 refresh token instead of a password
};

struct PullOptions {
  Platform platform = host_platform();
  std::vector<RegistryLogin> logins;  ///< tried in order when the registry asks who we are; then without any
  io::TlsContextRef tls;              ///< null: the system's roots
  TarLimits limits;
};

/// Ends a pull from another thread. May be used for one pull.
class PullStop {
 public:
  void stop();

 private:
  friend Result<Record> pull_image(Store& store, const Reference& reference, const PullOptions& options, PullStop* stop);
  std::mutex mutex_;
  io::Loop* loop_ = nullptr;
  bool stopped_ = false;
};

/// Blocking: fetches what is missing, verifies every digest, unpacks, and enters the image in the index under its tag and its
/// registry digest. Not on an event loop's thread: it runs one of its own. Errors name the image; their codes: not_found,
/// unauthorized, exhausted (too many requests), unavailable, timeout, malformed (digest mismatch), cancelled.
Result<Record> pull_image(Store& store, const Reference& reference, const PullOptions& options, PullStop* stop = nullptr);

}  // namespace estiba::image
