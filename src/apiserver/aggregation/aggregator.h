// The aggregator (k8s.io/kube-aggregator): an APIService for every group and version that is served here, and a way to the
// extension servers of those that others serve.
//
// run() is one coroutine on one executor: it registers what is served here, and keeps a worker for each remote APIService, which judges
// whether the server can be used and asks what it serves. Requests, on any thread, see immutable snapshots.
#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "apiserver/aggregation/remote.h"
#include "apiserver/aggregation/remote_discovery.h"
#include "apiserver/authz.h"
#include "apiserver/registry.h"
#include "base/task.h"
#include "io/http_server.h"

namespace estiba::apiserver {

struct AggregatorOptions {
  FrontProxy front;
  std::string client_ca_pem;  ///< published beside the front proxy's CA
};

class Aggregator {
 public:
  Aggregator(Registry& registry, AggregatorOptions options);
  ~Aggregator();
  Aggregator(const Aggregator&) = delete;
  Aggregator& operator=(const Aggregator&) = delete;

  /// Works until it is dropped. The Aggregator outlives it.
  Task<void> run();

  /// The extension server that answers "/apis/GROUP/VERSION…"; null: it is answered here. Any thread; costs one load while there is none.
  RemotePtr find(std::string_view raw_path) const;
  /// Passes a request on in the name of `user`, who may do it. 503 while the APIService is not available.
  Task<void> serve(RemotePtr remote, User user, io::Request& request, io::Response& response);
  /// What extension servers serve, in order of priority; another pointer when something has changed. Never null. Any thread.
  std::shared_ptr<const RemoteVersions> versions() const;

 private:
  struct Worker;
  static Task<void> work(Aggregator* self, Worker* worker);
  Task<void> reload();
  void publish();
  Task<void> judge(Worker& worker);
  Task<void> tell(Worker& worker, Availability now);

  Registry& registry_;
  AggregatorOptions options_;
  std::map<std::string, std::unique_ptr<Worker>, std::less<>> workers_;  // only of run()'s executor

  std::atomic<bool> any_ = false;
  mutable std::mutex mutex_;
  std::map<std::string, RemotePtr, std::less<>> routes_;  // guarded by mutex_; by "/apis/GROUP/VERSION"
  std::shared_ptr<const RemoteVersions> versions_;        // guarded by mutex_
};

/// What a request to an extension server asks for: the parts of "/apis/GROUP/VERSION/[namespaces/NS/]RESOURCE[/NAME[/SUBRESOURCE]]",
/// or the bare path (k8s.io/apiserver, pkg/endpoints/request/requestinfo.go).
Attributes remote_attributes(const io::Request& request);

/// Makes the APIServices of what is served here, takes away those of custom kinds that are gone. `starting`: also those of built-in
/// groups, which users may change while the server runs.
Task<Result<void>> register_local(Registry& registry, bool starting);
/// The priority of a group in discovery; custom kinds' have 1000.
int64_t group_priority_of(std::string_view group);
/// Writes ConfigMap kube-system/extension-apiserver-authentication, which tells extension servers whom to believe.
Task<Result<void>> publish_authentication(Registry& registry, AggregatorOptions options);

}  // namespace estiba::apiserver
