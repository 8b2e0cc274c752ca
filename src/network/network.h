// The network of a node: pods' namespaces and addresses, Services and NetworkPolicies by nftables, and the cluster's DNS, behind one door.
//
//   Network network({.run_dir = …, .pod_cidr = "10.42.0.0/24", …}, client, loop);
//   co_await network.start();                          // bridge, table and DNS are there; watches begin
//   co_await network.recover(uids of the pods that live);  // after a restart: what belongs to nobody goes
//   auto pod = co_await network.attach({.uid = …});    // pod.netns_path, pod.ips
//   co_await network.detach(uid);
//   co_await network.stop();                           // running pods and services go on working
//
// Every call is made on the loop's thread. Kernel work happens on threads of the Network's own.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/result.h"
#include "base/task.h"
#include "client/client.h"
#include "network/pod_net.h"

namespace estiba::network {

struct Options {
  std::string run_dir = "/run/estiba";  ///< namespaces and allocations; gone after a reboot, as they are
  std::string data_dir = "/var/lib/estiba";
  std::string pod_cidr = "10.42.0.0/24";      ///< this node's part, or of both families "PRIMARY,OTHER"; its first address is the bridge's
  std::string cluster_cidr;                   ///< all nodes' pods; not masqueraded. Likewise. Empty: pod_cidr
  std::string service_cidr = "10.43.0.0/16";  ///< likewise
  std::string cluster_domain = "cluster.local";
  std::string node_name;
  std::string bridge = "estiba0";
  std::string resolv_conf = "/etc/resolv.conf";  ///< where the DNS finds the servers to forward to
  bool dns = true;
  bool proxy = true;
  bool policies = true;
  bool mesh = true;   ///< leads to the other nodes' pods
  unsigned pool = 4;  ///< pod networks made ahead of need
  /// Not empty: the folder of CNI network configurations; plugins in `cni_plugins` make the pods' networks then. Policies and the ways to
  /// other nodes are theirs too, and `cluster_cidr` should be the range that they give addresses from.
  std::string cni_configurations;
  std::vector<std::string> cni_plugins = {"/opt/cni/bin"};
};

class Network {
 public:
  Network(Options options, client::Client& client, Executor& loop);
  ~Network();
  Network(const Network&) = delete;

  /// Makes what the node needs or adopts what an earlier run left, untouched where it is right. Returns as soon as pods
  /// can be attached; Services and DNS follow when the lists have come.
  Task<Result<void>> start();
  /// Drops the networks of pods that are not in `uids`. Call once after start(), when it is known which pods live.
  Task<Result<void>> recover(std::vector<std::string> uids);

  /// A network for the pod, with the policies for it in force; the same answer when the pod has one already. Host-network pods need no
  /// call. With `needs_no_server` it does not wait for policies that no server has told yet: those of an earlier run count until then.
  Task<Result<PodNet>> attach(PodRequest pod, bool needs_no_server = false);
  /// Removes it; success when there is none.
  Task<Result<void>> detach(std::string uid);
  /// What attach() answered, or nullopt.
  std::optional<PodNet> find(std::string_view uid) const;

  /// Whether pods could be attached now; CNI plugins may not be there yet. Errors say what is missing.
  Task<Result<void>> status();

  /// The address of the cluster's DNS, the tenth of the (first) service CIDR: "10.43.0.10".
  std::string dns_address() const;
  /// The bridge's address of the primary family, which host processes are seen under by pods: "10.42.0.1".
  std::string gateway() const;
  /// True when the first lists have been applied: services and the DNS answer, policies are in force.
  bool services_ready() const;

  /// Ends watches and DNS. Pods and services keep working. When no pod is attached, removes everything.
  Task<Result<void>> stop();
  /// Removes everything of ours from the kernel and the run directory, pods' networks too.
  Task<Result<void>> remove_all();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace estiba::network
