// The API server on HTTP: authenticates, parses, authorizes, dispatches, answers.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "apiserver/aggregation/aggregator.h"
#include "apiserver/authn.h"
#include "apiserver/authz.h"
#include "apiserver/cluster.h"
#include "apiserver/discovery.h"
#include "apiserver/fairness/fairness.h"
#include "apiserver/node_proxy.h"
#include "apiserver/openapi_docs.h"
#include "apiserver/registry.h"
#include "io/http_server.h"
#include "observe/metrics.h"
#include "store/freshness.h"

namespace estiba::apiserver {

struct ServerOptions {
  ClusterOptions cluster;
  std::string listen_host = "0.0.0.0";
  uint16_t listen_port = 6443;           ///< 0 takes a free one
  std::string certificate_pem, key_pem;  ///< of the server
  std::string client_ca_pem;             ///< signs clients' certificates
  AuthnOptions authn;                    ///< service accounts' keys, OpenID Connect
  std::string git_version = "v1.36.0+estiba";
  NodeProxy* node_proxy = nullptr;                     ///< null: logs and exec answer 503
  store::Freshness* freshness = nullptr;               ///< of a store that other servers write too
  FrontProxy front_proxy;                              ///< how extension servers know this one
  Duration request_timeout = std::chrono::minutes(1);  ///< of what does not go on for long; then 504
};

/// Answers HTTP requests; HttpServer's handler. Any loop.
class Api {
 public:
  static Result<std::unique_ptr<Api>> make(store::Store& store, const ServerOptions& options);

  Task<void> serve(io::Request& request, io::Response& response);
  /// Runs a create, update, patch or delete, subresources and reviews included, without asking the authorizer.
  Task<Result<Outcome>> run(Action action);
  /// Before the registry reads for an action: waits until what it may expect to see is there. A read without a resourceVersion
  /// sees what any server has answered before, one with a resourceVersion at least that (Kubernetes' consistent reads).
  Task<Result<void>> refresh(const Action& action);
  /// Makes what a cluster has from the beginning: namespaces, Service default/kubernetes, roles. Afterwards it is ready.
  Task<Result<void>> bootstrap();

  /// Service default/kubernetes and the endpoints that lead to this server, where they are missing or differ.
  Task<Result<void>> publish_service();

  Registry& registry() { return registry_; }
  Cluster& cluster() { return *cluster_; }
  Authenticator& authenticator() { return *authenticator_; }
  Authorizer& authorizer() { return authorizer_; }
  /// Null where nodes cannot be reached.
  NodeProxy* node_proxy() const { return node_proxy_; }
  /// Their run() is for the caller to start, on an executor of his.
  Aggregator& aggregator() { return aggregator_; }
  Fairness& fairness() { return fairness_; }
  bool ready() const { return ready_.load() && !held_.load(); }
  /// While held, /readyz is false: another part of the program is part of what "ready" promises. Any thread.
  void hold_ready(bool held) { held_ = held; }

 private:
  Task<Result<Outcome>> dispatch(Action action);
  Task<Result<Outcome>> remove(Action action);
  Api(std::unique_ptr<Cluster> cluster, std::unique_ptr<Authenticator> authenticator, const ServerOptions& options);
  Task<void> serve_resource(Action action, io::Request& request, io::Response& response);
  Task<Result<void>> act(Action& action, io::Request& request, io::Response& response);
  Task<Result<void>> write(Action& action, io::Request& request, io::Response& response);
  Task<Result<void>> remove_collection(Action action, io::Response& response);
  Task<Result<void>> stream_watch(const Action& action, io::Request& request, io::Response& response);
  /// The turns of the watches that this thread's executor serves.
  std::shared_ptr<FanOut> fan_out();
  Task<Result<void>> forward_to_node(const Action& action, io::Request& request, io::Response& response);
  Task<void> serve_remote(RemotePtr remote, User user, io::Request& request, io::Response& response);
  Task<void> serve_proxy(Action action, std::string tail, io::Request& request, io::Response& response);
  Task<Result<void>> proxy(const Action& action, std::string tail, io::Request& request, io::Response& response);
  Task<void> serve_path(const User& user, const std::string& path, io::Request& request, io::Response& response);
  void serve_health(const std::string& path, bool etcd, io::Request& request, io::Response& response);
  /// Whether a server that shares its store reaches it now.
  Task<bool> reaches_etcd();

  std::unique_ptr<Cluster> cluster_;
  Registry registry_;
  std::unique_ptr<Authenticator> authenticator_;
  Authorizer authorizer_;
  Aggregator aggregator_;
  Fairness fairness_;
  LiveDiscovery discovery_;
  OpenApiDocs openapi_;
  std::string version_json_;
  NodeProxy* node_proxy_;
  Duration request_timeout_;
  store::Freshness* freshness_;
  std::mutex fan_outs_mutex_;
  std::map<Executor*, std::shared_ptr<FanOut>> fan_outs_;  // guarded by fan_outs_mutex_
  std::atomic<bool> ready_ = false, held_ = false;
};

/// Whether a path is answered to anybody: health checks and the version.
bool is_open_path(std::string_view path);

/// The whole: an Api behind TLS.
class ApiServer {
 public:
  static Result<std::unique_ptr<ApiServer>> make(store::Store& store, std::vector<io::Loop*> loops, const ServerOptions& options);
  /// Listens; requests other than health checks are answered from now on.
  Result<void> listen();
  Api& api() { return *api_; }
  io::HttpServer& http() { return *http_; }
  uint16_t port() const { return http_->port(); }

 private:
  ApiServer() = default;
  ServerOptions options_;
  std::unique_ptr<Api> api_;
  std::unique_ptr<io::HttpServer> http_;
};

}  // namespace estiba::apiserver
