// What the cluster's users have added to admission: webhooks and policies, compiled from the stored objects and again whenever
// one has changed. Without any, a write pays for one look at the store's position.
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "apiserver/cluster.h"
#include "apiserver/follower.h"

namespace estiba::apiserver {
class Authorizer;
}

namespace estiba::apiserver::admission {

struct Webhook;
struct BoundPolicy;

/// All webhooks and policies in the order in which they are asked: by the names of the objects that say so. Policies without
/// bindings are not among them.
struct ExtensionSet {
  ExtensionSet();
  ~ExtensionSet();
  std::vector<std::shared_ptr<const Webhook>> mutating, validating;
  std::vector<BoundPolicy> mutating_policies, validating_policies;
  bool empty() const;
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

  const Authorizer* authorizer_ = nullptr;
  std::mutex mutex_;
  Follower follower_;                            // guarded by mutex_
  std::unique_ptr<Compiled> compiled_;           // guarded by mutex_
  std::shared_ptr<const ExtensionSet> current_;  // guarded by mutex_
};

}  // namespace estiba::apiserver::admission
