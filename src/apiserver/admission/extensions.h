// What the cluster's users have added to admission: webhooks and policies, compiled from the stored objects and again whenever
// one has changed. Without any, a write pays for one look at the store's position.
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "apiserver/cluster.h"

namespace estiba::apiserver {
class Authorizer;
}

namespace estiba::apiserver::admission {

struct Webhook;

/// All webhooks in the order in which they are asked: by the names of their configurations.
struct ExtensionSet {
  std::vector<std::shared_ptr<const Webhook>> mutating, validating;
  bool empty() const { return mutating.empty() && validating.empty(); }
};

class Extensions {
 public:
  explicit Extensions(Cluster& cluster);
  ~Extensions();

  /// Null when there are none. Any thread.
  std::shared_ptr<const ExtensionSet> current();

  /// Who answers the expressions' questions to `authorizer`; until it is set, their checks fail.
  void authorize_with(const Authorizer& authorizer) { authorizer_ = &authorizer; }
  const Authorizer* authorizer() const { return authorizer_; }

 private:
  struct Compiled;
  void read_all();

  Cluster& cluster_;
  const Authorizer* authorizer_ = nullptr;
  std::mutex mutex_;
  std::unique_ptr<store::Watch> changes_;        // guarded by mutex_
  std::unique_ptr<Compiled> compiled_;           // guarded by mutex_
  std::shared_ptr<const ExtensionSet> current_;  // guarded by mutex_
};

}  // namespace estiba::apiserver::admission
