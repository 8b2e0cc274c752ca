#include "client/leader_election.h"

#include "base/log.h"
#include "base/time.h"
#include "model/types/coordination_v1.h"

namespace estiba::client {

using model::coordination_v1::Lease;

std::string LeaderElector::lease_body(const model::ObjectRef& old, std::string_view holder, Duration duration) const {
  const std::string now = format_rfc3339_micro(Executor::current()->wall_now());
  Lease lease;
  if (old) lease = old.as<Lease>();
  const bool another = lease.spec.holderIdentity != holder;
  lease.metadata.name = options_.name;
  lease.metadata.namespace_ = options_.ns;
  if (old) lease.metadata.resourceVersion = old.resource_version();
  if (another && !holder.empty()) {
    lease.spec.acquireTime = now;
    lease.spec.leaseTransitions = old ? lease.spec.leaseTransitions.value_or(0) + 1 : 0;
  }
  lease.spec.holderIdentity = holder;
  lease.spec.leaseDurationSeconds = int32_t(std::chrono::duration_cast<std::chrono::seconds>(duration).count());
  lease.spec.renewTime = now;
  return model::encode(lease);
}

// The comparison of the resourceVersion is what makes one of two candidates lose.
Task<bool> LeaderElector::acquire_or_renew() {
  auto old = co_await client_.get(leases, options_.ns, options_.name);
  if (!old && old.error().code != Code::not_found) {
    log::debug("leader", "the lease cannot be read", {{"lease", options_.name}, {"error", old.error()}});
    co_return false;
  }
  Executor& executor = *Executor::current();
  if (old) {
    if (old->revision != seen_revision_) {
      seen_revision_ = old->revision;
      seen_at_ = executor.now();
    }
    const Lease& lease = old->as<Lease>();
    const std::string& holder = lease.spec.holderIdentity;
    const Duration valid = std::chrono::seconds(lease.spec.leaseDurationSeconds.value_or(0));
    if (!holder.empty() && holder != options_.identity && seen_at_ + valid > executor.now()) co_return false;
  }
  const Instant begun = executor.now();
  auto written = old ? co_await client_.update(leases, options_.ns, options_.name, lease_body(*old, options_.identity, options_.lease))
                     : co_await client_.create(leases, options_.ns, lease_body({}, options_.identity, options_.lease));
  if (!written) {
    log::debug("leader", "the lease cannot be written", {{"lease", options_.name}, {"error", written.error()}});
    co_return false;
  }
  seen_revision_ = written->revision;
  seen_at_ = begun;
  co_return true;
}

// Until the lease could not be renewed for the deadline; an attempt that hangs counts.
Task<bool> LeaderElector::renew() {
  Executor& executor = *Executor::current();
  const Instant deadline = executor.now() + options_.renew_deadline;
  while (executor.now() < deadline) {
    auto renewed = co_await with_timeout(deadline - executor.now(), acquire_or_renew());
    if (renewed && *renewed) co_return true;
    if (seen_revision_ >= 0) {
      auto holder = co_await with_timeout(options_.retry, client_.get(leases, options_.ns, options_.name));
      if (holder && *holder && (*holder)->as<Lease>().spec.holderIdentity != options_.identity) co_return false;
    }
    co_await sleep_for(std::min<Duration>(options_.retry, std::max<Duration>(deadline - executor.now(), Duration(0))));
  }
  co_return false;
}

Task<void> LeaderElector::run(UniqueFunction<void()> begin, UniqueFunction<Task<void>()> end) {
  for (;;) {
    while (!co_await acquire_or_renew()) co_await sleep_for(options_.retry);
    leading_ = true;
    log::info("leader", "this server leads", {{"lease", options_.name}, {"identity", options_.identity}});
    begin();
    do {
      co_await sleep_for(options_.retry);
    } while (co_await renew());
    leading_ = false;
    log::warn("leader", "this server leads no more: its lease could not be renewed", {{"lease", options_.name}});
    co_await end();
  }
}

Task<void> LeaderElector::release() {
  if (!std::exchange(leading_, false)) co_return;
  auto old = co_await client_.get(leases, options_.ns, options_.name);
  if (!old || old->as<Lease>().spec.holderIdentity != options_.identity) co_return;
  auto given = co_await client_.update(leases, options_.ns, options_.name, lease_body(*old, "", std::chrono::seconds(1)));
  if (!given) log::debug("leader", "the lease was not given back", {{"error", given.error()}});
}

}  // namespace estiba::client
