// Keeps the ways to the other nodes' pods as the cluster's Nodes say. Lives on the loop's thread; the kernel is written to by a Worker,
// when a Node has come, gone or moved, and when the machine's own addresses or routes have changed.
#pragma once
#include <string>
#include <vector>

#include "base/task.h"
#include "client/informer.h"
#include "network/mesh/routes.h"
#include "network/worker.h"

namespace estiba::network::mesh {

/// All but the node itself that have an internal address and a part of the pods' range, in the order of their names. Of two nodes with
/// overlapping parts the older one counts.
std::vector<Peer> peers_of(std::vector<model::ObjectRef> nodes, std::string_view own_name);

class Mesh {
 public:
  Mesh(Routes::Config config, std::string node_name, client::Client& client);
  ~Mesh();
  Mesh(const Mesh&) = delete;

  void start();
  /// True once the kernel is as the first list of Nodes says.
  bool ready() const { return ready_.is_set(); }
  Task<Result<void>> remove_all();

 private:
  Task<void> run();
  Task<void> follow_machine();

  const std::string node_name_;
  client::Informer nodes_;
  const bool follows_v6_;
  Event wake_, ready_;
  uint32_t port_ = 0;  // where changes of ours come from
  Routes routes_;      // used by the worker's thread only
  Worker worker_;
  Job job_, following_;  // last: end first
};

}  // namespace estiba::network::mesh
