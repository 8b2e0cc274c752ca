// A node whole: engine, network, pods, its API and, where it is wanted, Docker's. In the server's process and in the agent's.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/task.h"
#include "client/client.h"
#include "ingress/ingress.h"
#include "io/loop.h"
#include "io/pool.h"
#include "io/tls.h"
#include "model/quota.h"
#include "model/types/core_v1.h"
#include "node/housekeeping.h"
#include "node/placement/placement.h"

namespace estiba::server {

struct NodeSettings {
  std::string data_dir, run_dir, node_name;
  std::string address;                        ///< by which the others know it, or of both families with a comma, the primary first
  std::function<std::string()> find_address;  ///< looked up now and then; null: the address stays
  std::string pod_cidr;                       ///< this node's part of cluster_cidr; of both families with a comma
  std::string cluster_cidr, service_cidr, cluster_domain;
  uint16_t api_port = 10250;
  std::string docker_socket, cri_socket;    ///< empty: no Docker API, no CRI
  std::optional<ingress::Options> ingress;  ///< none: Ingresses are served by other nodes
  Duration lease = std::chrono::seconds(40);
  std::map<std::string, std::string> labels;
  std::vector<model::core_v1::Taint> taints;
  bool reads_all = true;  ///< see node::Options
  int64_t max_pods = 250;
  int64_t pod_max_pids = 0;  ///< see node::Options
  bool limited_swap = false;
  model::ResourceList system_reserved, kube_reserved;
  node::PlacementOptions placement;
  node::Housekeeping housekeeping;
  int64_t user_ids_per_pod = 65536;
  std::string cni_conf_dir;       ///< empty: the built-in network
  std::string device_plugin_dir;  ///< empty: device plugins are not served
  std::string kubelet_dir;        ///< empty: no drivers are served (node/plugins)
  std::vector<std::string> cni_plugins, cdi_spec_dirs;
};

class NodeRunner {
 public:
  /// On `loop`'s thread, as everything of it; `tls` is of the node's API and asks for client certificates.
  NodeRunner(NodeSettings settings, std::unique_ptr<client::Client> client, io::TlsContextRef tls, io::Loop& loop, io::Pool& pool);
  ~NodeRunner();
  NodeRunner(const NodeRunner&) = delete;

  client::Client& client();
  NodeSettings& settings();
  /// Returns when the node is registered and runs pods.
  Task<Result<void>> start();
  /// Containers go on. What was started is stopped even when start() failed half way.
  Task<void> stop();
  /// Calls when the machine's address has changed. Before start().
  void on_address(std::function<void(const std::string& address)> handler);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace estiba::server
