// Node autoscaling: pods that no node takes bring nodes, and nodes that nobody needs go, as with Kubernetes' cluster-autoscaler.
//
// One coroutine takes one look at the cluster after another ("round"): when pods become unschedulable or nodes come and go at once, and
// otherwise only while something is waited for (a node that is coming, a node that is unneeded, a group that rests). It keeps nothing that
// it could not find again after a restart: the provider says which machines there are.
#pragma once
#include <memory>
#include <string>

#include "autoscale/provider.h"
#include "base/executor.h"
#include "client/client.h"
#include "scheduler/configuration.h"

namespace estiba::autoscale {

struct Options {
  NodeGroups groups;
  scheduler::Configuration scheduler{};  ///< the scheduler's own: what it would refuse is refused here
  std::string ca_hash;                   ///< of the cluster's CA, "sha256:…"; it goes into the tokens by which nodes join
};

class Autoscaler {
 public:
  /// `client`, `executor` and `provider` outlive this. Any thread.
  Autoscaler(client::Client& client, Executor& executor, Provider& provider, Options options);
  /// Stops everything; calls of the provider that are under way are not waited for. On the executor's thread, or after its loop has ended
  /// and before it is destroyed.
  ~Autoscaler();
  Autoscaler(const Autoscaler&) = delete;

  /// Starts, on the executor's thread.
  void start();

 private:
  struct Running;
  client::Client& client_;
  Executor& executor_;
  Provider& provider_;
  const Options options_;
  std::unique_ptr<Running> running_;
};

}  // namespace estiba::autoscale
