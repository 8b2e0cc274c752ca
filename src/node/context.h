// What every part of the node works with. All of it lives on the node's thread.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/task.h"
#include "client/client.h"
#include "client/events.h"
#include "client/informer.h"
#include "engine/engine.h"
#include "io/pool.h"
#include "model/quota.h"
#include "model/types/core_v1.h"
#include "network/network.h"
#include "node/housekeeping.h"
#include "node/probe_metrics.h"
#include "node/user_ids.h"

namespace estiba::node {

class CsiVolumes;
class DeviceClaims;
class Devices;
class Placement;

struct Options {
  std::string node_name;
  std::vector<std::string> node_ips;
  std::string data_dir = "/var/lib/estiba";  ///< pods/<uid>/volumes below it
  std::string run_dir = "/run/estiba";       ///< volumes/<uid>: what must not reach a disk (secrets, tokens)
  std::string log_root = "/var/log/pods", log_links = "/var/log/containers";
  std::string kubelet_dir;              ///< plugins_registry, plugins and pods below it, for drivers; empty: none are served
  std::string cgroup_root = "/estiba";  ///< parent of all pods' groups
  std::string cluster_domain = "cluster.local";
  std::string pod_cidr;  ///< written to the Node when not empty; of both families with a comma between them
  std::string version = "v1.36.0+estiba";
  uint16_t api_port = 10250;
  std::string resolv_conf = "/etc/resolv.conf";
  int64_t max_pods = 250;
  model::ResourceList system_reserved, kube_reserved;  ///< what of the machine is kept from pods (node/reserved.h)
  bool limited_swap = false;  ///< Burstable pods have a part of the machine's swap; else none has any (node/swap.h)
  int64_t pod_max_pids = 0;   ///< processes and threads of a pod at most; 0: a quarter of what the kernel has room for, -1: any number
  Housekeeping housekeeping;
  std::map<std::string, std::string> labels;  ///< of the Node, beside those that every node has; when it is made
  std::vector<model::core_v1::Taint> taints;  ///< the same
  Duration lease = std::chrono::seconds(40);  ///< renewed four times as often
  std::function<std::string()> find_address;  ///< node_ips with commas, looked up now and then: they may change; null: they do not
  uint32_t user_ids_per_pod = 65536;          ///< size of the user namespace of a pod with hostUsers: false, a multiple of 65536
  bool user_namespaces = false;               ///< this machine can give them; found out at the start
  bool reads_all = true;                      ///< may list all ConfigMaps and Secrets; else it watches those that its pods name, one by one
};

struct Context {
  Options options;
  Executor& loop;
  client::Client& client;
  client::Informers& informers;
  engine::Engine& engine;
  network::Network& network;
  io::Pool& pool;
  client::EventRecorder& events;
  ProbeMetrics* probes = nullptr;     ///< null: nobody counts
  UserIds* user_ids = nullptr;        ///< null: there are no user namespaces
  Devices* devices = nullptr;         ///< null: device plugins are not served
  CsiVolumes* csi = nullptr;          ///< null: drivers of storage are not served
  DeviceClaims* claims = nullptr;     ///< null: drivers of claimed devices are not served
  Placement* placement = nullptr;     ///< null: nobody has CPUs to himself, and where devices are does not matter
  std::function<void()> room_made{};  ///< called when a pod has ended, or needs less than it did; null: nobody waits for room
};

}  // namespace estiba::node
