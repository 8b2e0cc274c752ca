// LeaderElector: of several servers that work on one cluster, one leads, as client-go's tools/leaderelection does it: the
// leader holds a Lease and renews it; who sees it not renewed for its duration, by his own clock, takes it.
#pragma once
#include <string>

#include "base/function.h"
#include "base/task.h"
#include "client/client.h"

namespace estiba::client {

struct LeaderOptions {
  std::string ns = "kube-system";
  std::string name;      ///< of the Lease
  std::string identity;  ///< of this candidate; no other may have the same
  // kube-controller-manager's defaults for --leader-elect-lease-duration, -renew-deadline and -retry-period.
  Duration lease = std::chrono::seconds(15);
  Duration renew_deadline = std::chrono::seconds(10);
  Duration retry = std::chrono::seconds(2);
};

class LeaderElector {
 public:
  /// `client` outlives this. On the client's executor.
  LeaderElector(Client& client, LeaderOptions options) : client_(client), options_(std::move(options)) {}

  /// Runs until it is dropped: calls `begin` when this candidate leads from now on, and `end` when it does no more; the next
  /// attempt comes when end()'s task has ended.
  Task<void> run(UniqueFunction<void()> begin, UniqueFunction<Task<void>()> end);
  /// Gives the lease back, when it is ours, so that another need not wait. After run() has been dropped.
  Task<void> release();
  bool leading() const { return leading_; }

 private:
  Task<bool> acquire_or_renew();
  Task<bool> renew();
  std::string lease_body(const model::ObjectRef& old, std::string_view holder, Duration duration) const;

  Client& client_;
  LeaderOptions options_;
  bool leading_ = false;
  // What was last seen of the lease, and when by our own clock.
  int64_t seen_revision_ = -1;
  Instant seen_at_{};
};

}  // namespace estiba::client
