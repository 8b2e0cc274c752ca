// How many pods the owner of a pod wants: what a budget in per cent, or of unavailable pods, is counted from.
#pragma once
#include <optional>
#include <string>

#include "base/task.h"
#include "client/informer.h"

namespace estiba::controllers {

struct OwnerScale {
  std::string uid;
  int64_t replicas = 0;
};

class OwnerScales {
 public:
  /// Listens to nothing by itself: whoever makes it names the informers it waits for. All must outlive this.
  struct Informers {
    client::Informer &replica_sets, &deployments, &stateful_sets, &replication_controllers, &definitions;
  };
  OwnerScales(client::Client& client, Informers informers) : client_(client), informers_(informers) {}

  /// A ReplicaSet of a Deployment stands for the Deployment; a custom kind is asked for what its scale subresource says. nullopt
  /// when the owner is not there (any more). A kind without a scale is an error, worded as Kubernetes words it.
  Task<Result<std::optional<OwnerScale>>> of(model::Owner owner, std::string ns);

 private:
  std::optional<OwnerScale> of_replica_set(const model::Owner& owner, const std::string& ns) const;
  Task<Result<std::optional<OwnerScale>>> of_custom(model::Owner owner, std::string ns);

  client::Client& client_;
  Informers informers_;
};

}  // namespace estiba::controllers
