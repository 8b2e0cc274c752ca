// Registries (OCI distribution-spec 1.1, Docker registry HTTP API v2): pulling, pushing, asking. Manifests and indexes by platform,
// Bearer tokens and basic authentication, mirrors. HTTPS with the system's roots; plain HTTP only for loopback addresses and
// for registries that are said to be insecure.
//
// A pull fetches several blobs at a time; each is hashed as it comes, and unpacked from the page cache while it is still coming, in the
// order of the layers. A download that breaks off goes on where it was (Range). "Too many requests" and server errors are tried again with
// growing delays, or when the registry says (Retry-After).
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/executor.h"
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
  std::string registry_token;  ///< a bearer token, used as it is
};

/// How far one layer or name is, as Docker tells it: "Downloading", "Pull complete", "Layer already exists", …
struct TransferProgress {
  std::string id;  ///< 12 digits of a layer's digest, a tag, or empty
  std::string status;
  uint64_t current = 0, total = 0;  ///< bytes; total 0: no figures
};

struct RegistryOptions {
  std::vector<RegistryLogin> logins;  ///< tried in order when the registry asks who we are; then without any
  io::TlsContextRef tls;              ///< null: the system's roots
  std::vector<std::string> mirrors;   ///< "https://mirror.example": asked first for what Docker Hub has
  std::vector<std::string> insecure;  ///< "host:port", "host" or "10.0.0.0/8": HTTPS without verification, else plain HTTP
  Duration retry_delay = std::chrono::milliseconds(500);  ///< the first; doubled each time
  int attempts = 5;                                       ///< of one request, and of a download without any progress
  /// Called by several threads, one at a time for each id.
  std::function<void(const TransferProgress&)> progress;
};

struct PullOptions : RegistryOptions {
  Platform platform = host_platform();
  TarLimits limits;
  bool kept = false;  ///< as Store::add_image
};

struct PushOptions : RegistryOptions {
  /// Layers that are kept without compression (those made here) go to remote registries with gzip, to loopback ones as they are.
  enum class Compress : unsigned char { automatic, never, always } compress = Compress::automatic;
};

struct Pushed {
  std::string digest;  ///< of the manifest as the registry has it now
  uint64_t size = 0;   ///< of the manifest
};

/// Ends a transfer from another thread. May be used for one.
class TransferStop {
 public:
  void stop();
  bool stopped();

 private:
  friend struct TransferRun;
  std::mutex mutex_;
  io::Loop* loop_ = nullptr;
  bool stopped_ = false;
};
using PullStop = TransferStop;

/// Blocking: fetches what is missing, verifies every digest, unpacks, and enters the image in the index under its tag and its
/// registry digest. Not on an event loop's thread: it runs one of its own. Errors name the image; their codes: not_found,
/// unauthorized, exhausted (too many requests), unavailable, timeout, malformed (digest mismatch), cancelled.
Result<Record> pull_image(Store& store, const Reference& reference, const PullOptions& options, PullStop* stop = nullptr);

/// Blocking, as pull_image: sends the image that `reference` (with a tag) names, what the registry lacks of it. Blobs that the registry has
/// in another repository are mounted from there. An upload that breaks off goes on where the registry says.
Result<Pushed> push_image(Store& store, const Reference& reference, const PushOptions& options, TransferStop* stop = nullptr);

/// All tags of a repository. Blocking.
Result<std::vector<std::string>> list_tags(const Reference& reference, const RegistryOptions& options, TransferStop* stop = nullptr);

/// What a registry has under a name, without fetching it. Blocking.
struct RemoteImage {
  Descriptor descriptor;
  std::vector<Platform> platforms;
};
Result<RemoteImage> inspect_remote(const Reference& reference, const RegistryOptions& options, TransferStop* stop = nullptr);

}  // namespace estiba::image
