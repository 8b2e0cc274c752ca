// Keeps the node's packet filter as the cluster's NetworkPolicies say. Lives on the loop's thread; the kernel is written to by a Worker,
// one transaction for whatever has changed since the last.
//
// A pod of this node is made known by attach(), which returns when all policies that are for it are in force: it has sent nothing yet,
// since no process of its own runs before. Its labels come with it, because the watch of pods may be behind; from then on the watch says
// them. Pods and namespaces are watched from the first policy on; a cluster without policies pays for none of it.
//
// The cluster's DNS, which is a pod in other clusters, stands for one here: namespace kube-system, label k8s-app=kube-dns, ports dns and
// dns-tcp. So the rules that people write to allow it mean it here too.
#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>

#include "base/task.h"
#include "client/informer.h"
#include "network/policy/table.h"
#include "network/worker.h"

namespace estiba::network::policy {

class Policies {
 public:
  /// A table for each side.
  Policies(const std::vector<Side>& sides, std::string node_name, client::Client& client);
  ~Policies();
  Policies(const Policies&) = delete;

  /// Makes the tables that are missing, and removes that of a family which the node has no more. `known` are the pods that a restart has
  /// found: those alone may send. Policies that an earlier run has written stay in force until the lists have come, and are then replaced
  /// in one transaction.
  Task<Result<void>> start(const std::vector<std::pair<PodRequest, PortTable::Sender>>& known);
  /// The pod may send, and all policies for it are in force. When they cannot be written, an error; asking again tries again.
  /// With `needs_no_server` those that the server has not told yet come when it has.
  Task<Result<void>> attach(PodRequest pod, PortTable::Sender addresses, bool needs_no_server);
  /// The addresses may belong to another pod next.
  Task<void> detach(std::string uid);
  /// True once the tables say what the lists say.
  bool ready() const { return ready_.is_set(); }
  /// Somebody else has changed the tables: they are written whole again.
  void rewrite();
  /// Where changes of ours come from.
  uint32_t port() const { return socket_.port(); }
  Task<Result<void>> remove_all();

 private:
  struct Attached {
    PodRequest pod;
    PortTable::Sender addresses;
  };
  /// One family's.
  struct Half {
    bool v6 = false;
    PolicyTable table;
    PolicyState state;
    bool whole = true;  ///< the next write replaces the table
  };

  Task<void> run();
  Task<bool> write();
  Task<bool> write(Half* half);
  Task<bool> write_ports();
  Task<void> watch_pods();
  void take_in();
  std::optional<PodFacts> facts_of(const std::string& uid, bool v6) const;
  void changed();

  std::vector<Half> halves_;
  const PortTable ports_;
  const std::string node_name_;
  client::Client& client_;
  client::Informer policies_;
  std::unique_ptr<client::Informer> namespaces_, pods_;  // from the first policy on
  client::Informer::Index by_uid_;

  std::map<std::string, Attached> attached_;                              // by uid
  std::set<PortTable::Sender> senders_;                                   // those of them that may send
  std::set<std::string> dirty_policies_, dirty_namespaces_, dirty_pods_;  // names, names, uids
  bool broken_ = false;                                                   // asked for meanwhile, of both tables
  bool fences_ports_ = true;                                              // the kernel has nf_tables for bridges
  uint64_t changes_ = 0, written_ = 0;
  Event wake_, progress_, ready_;
  os::netlink::Socket socket_;  // used by the worker's thread only
  Worker worker_;
  Job job_;  // last: ends first
};

}  // namespace estiba::network::policy
