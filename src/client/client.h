// The typed API client: one interface, in process (server/) or over HTTPS (client/http). Controllers, the scheduler and
// the node know nothing else of the API server, so that `estiba agent` runs the same node code across the network.
//
// Every call is a coroutine that resumes on the calling executor. Errors carry the API's code and message.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "model/object.h"

namespace estiba::client {

/// A resource as URLs name it: {"apps", "v1", "deployments"}.
struct Resource {
  std::string_view group, version, name;
  bool operator==(const Resource&) const = default;
};

inline constexpr Resource pods{"", "v1", "pods"};
inline constexpr Resource nodes{"", "v1", "nodes"};
inline constexpr Resource namespaces{"", "v1", "namespaces"};
inline constexpr Resource services{"", "v1", "services"};
inline constexpr Resource endpoints{"", "v1", "endpoints"};
inline constexpr Resource configmaps{"", "v1", "configmaps"};
inline constexpr Resource secrets{"", "v1", "secrets"};
inline constexpr Resource service_accounts{"", "v1", "serviceaccounts"};
inline constexpr Resource events{"", "v1", "events"};
inline constexpr Resource deployments{"apps", "v1", "deployments"};
inline constexpr Resource replica_sets{"apps", "v1", "replicasets"};
inline constexpr Resource jobs{"batch", "v1", "jobs"};
inline constexpr Resource cron_jobs{"batch", "v1", "cronjobs"};
inline constexpr Resource endpoint_slices{"discovery.k8s.io", "v1", "endpointslices"};
inline constexpr Resource leases{"coordination.k8s.io", "v1", "leases"};

struct ListOptions {
  std::string label_selector, field_selector;
};
struct List {
  std::vector<model::ObjectRef> items;
  int64_t revision = 0;
};

enum class PatchType : uint8_t { json, merge, strategic };

struct WriteOptions {
  std::string subresource;  ///< "status", "binding", "scale", "finalize", …
  std::string field_manager;
};

struct DeleteOptions {
  std::optional<int64_t> grace_seconds;
  std::string propagation;  ///< "", Orphan, Background, Foreground
  std::string uid;          ///< precondition, when not empty
  std::string resource_version;
};

struct WatchEvent {
  enum class Kind : uint8_t { added, modified, removed, bookmark };
  Kind kind = Kind::added;
  model::ObjectRef object;  ///< null object for a bookmark; `revision` always holds
};

class WatchStream {
 public:
  virtual ~WatchStream() = default;
  /// The next batch, at least one event. Code::gone: list again; Code::unavailable: the connection ended, watch again.
  virtual Task<Result<std::vector<WatchEvent>>> next() = 0;
};

class Client {
 public:
  virtual ~Client() = default;
  // `ns` is empty for cluster-scoped resources, and means all namespaces in list and watch.
  virtual Task<Result<model::ObjectRef>> get(Resource resource, std::string ns, std::string name) = 0;
  virtual Task<Result<List>> list(Resource resource, std::string ns, ListOptions options = {}) = 0;
  /// Events after `revision`.
  virtual Task<Result<std::unique_ptr<WatchStream>>> watch(Resource resource, std::string ns, int64_t revision,
                                                           ListOptions options = {}) = 0;
  /// `body` is the object's JSON.
  virtual Task<Result<model::ObjectRef>> create(Resource resource, std::string ns, std::string body, WriteOptions options = {}) = 0;
  /// Replaces; metadata.resourceVersion in the body, when set, must match (Code::conflict).
  virtual Task<Result<model::ObjectRef>> update(Resource resource, std::string ns, std::string name, std::string body,
                                                WriteOptions options = {}) = 0;
  virtual Task<Result<model::ObjectRef>> patch(Resource resource, std::string ns, std::string name, PatchType type, std::string body,
                                               WriteOptions options = {}) = 0;
  virtual Task<Result<void>> remove(Resource resource, std::string ns, std::string name, DeleteOptions options = {}) = 0;
  /// POST to a subresource that answers with another kind (pods/binding, serviceaccounts/token): the answer's JSON.
  virtual Task<Result<std::string>> call(Resource resource, std::string ns, std::string name, std::string subresource,
                                         std::string body) = 0;
};

}  // namespace estiba::client
