#include "server/memory_keeper.h"

#include <malloc.h>

#include <algorithm>

#include "apiserver/kept.h"
#include "base/log.h"
#include "server/process_metrics.h"

namespace estiba::server {
namespace {

constexpr Duration between_looks = std::chrono::seconds(10);
constexpr int64_t rest = 1000;  // times what a look took

}  // namespace

bool MemoryBudget::look(uint64_t free, store::Revision revision) {
  const bool busy = uint64_t(revision - std::exchange(last_, revision)) >= burst;
  settled_ = std::min(settled_, free);
  return !busy && free > settled_ + std::max(slack, settled_ / 8);
}

MemoryKeeper::MemoryKeeper(store::Store& store)
    : store_(store), executor_(*Executor::current()), self_(std::make_shared<MemoryKeeper*>(this)) {
  budget_.settle(heap_use().free);
  wait();
}

MemoryKeeper::~MemoryKeeper() {
  leases_.reset();
  *self_ = nullptr;
}

void MemoryKeeper::wait() {
  if (!leases_) {
    const auto* lease = model::schema::find_resource("coordination.k8s.io", "v1", "leases");
    auto watch = store_.watch(apiserver::prefix_of(*lease), store_.revision());
    if (!watch) return log::warn("server", "memory is not given back after bursts", {{"error", watch.error().message}});
    leases_ = std::move(*watch);
  }
  leases_->arm([executor = &executor_, self = self_] {
    executor->post([self] {
      if (*self) (*self)->renewed();
    });
  });
}

void MemoryKeeper::renewed() {
  while (true) {
    seen_.clear();
    auto count = leases_->poll(seen_, 256);
    if (!count) leases_.reset();  // it fell behind
    if (!count || *count == 0) break;
  }
  if (const Instant now = executor_.now(); now >= next_look_) {
    if (budget_.look(heap_use().free, store_.revision())) {
      malloc_trim(0);
      budget_.settle(heap_use().free);
    }
    next_look_ = now + std::max<Duration>(between_looks, (executor_.now() - now) * rest);
  }
  wait();
}

}  // namespace estiba::server
