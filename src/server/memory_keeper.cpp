#include "server/memory_keeper.h"

#include <malloc.h>

#include <algorithm>

#include "apiserver/kept.h"
#include "base/log.h"
#include "client/informer.h"
#include "model/struct_memory.h"
#include "server/process_metrics.h"

namespace estiba::server {
namespace {

constexpr Duration between_looks = std::chrono::seconds(10);
constexpr int64_t rest = 1000;  // times what a look took
constexpr size_t at_once = 256;
constexpr Duration informers_take = std::chrono::seconds(2);  // to change to lighter objects, each in its turn

}  // namespace

MemoryBudget::Due MemoryBudget::look(const Seen& seen) {
  ++looks_since_shed_;
  const uint64_t written = uint64_t(seen.revision - std::exchange(last_, seen.revision));
  settled_ = std::min(settled_, seen.free);
  left_ = std::min(left_, seen.decoded);
  if (written >= burst + seen.renewals) return {};
  return {.shed = seen.decoded > left_ + std::max(few, left_ / 2) && may_shed(),
          .trim = seen.free > settled_ + std::max(slack, settled_ / 8)};
}

// Structs that are back as soon as they may be let go again are in use.
bool MemoryBudget::may_shed() {
  if (looks_since_shed_ < patience_) return false;
  patience_ = looks_since_shed_ <= 2 * patience_ ? std::min(2 * patience_, longest_patience) : 1;
  looks_since_shed_ = 0;
  return true;
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
    renewals_ += *count;
  }
  if (const Instant now = executor_.now(); now >= next_look_) {
    look();
    next_look_ = now + std::max<Duration>(between_looks, (executor_.now() - now) * rest);
  }
  wait();
}

void MemoryKeeper::look() {
  const auto due = budget_.look({.revision = store_.revision(),
                                 .renewals = std::exchange(renewals_, 0),
                                 .free = heap_use().free,
                                 .decoded = model::Object::decoded()});
  if (!shedding_.done()) return;  // it trims at its end
  if (due.shed) shedding_ = Job(shed());
  else if (due.trim) trim();
}

void MemoryKeeper::trim() {
  model::trim_structs();
  malloc_trim(0);
  budget_.settle(heap_use().free);
}

// The store first: what is decoded from now on is decoded of the lighter objects.
Task<void> MemoryKeeper::shed() {
  co_await shed_history();
  store::ListOptions options{.limit = at_once};
  while (true) {
    const auto page = store_.list("/registry/", options);
    if (!page) break;
    for (const store::EntryPtr& entry : page->entries) apiserver::lighten(*entry);
    if (!page->more) break;
    options.start_after = page->entries.back()->key;
    co_await yield_now();
  }
  client::shed_decoded();
  co_await sleep_for(informers_take);
  budget_.settle_decoded(model::Object::decoded());
  trim();
}

// Versions that are kept for who watches or reads on from them.
Task<void> MemoryKeeper::shed_history() {
  auto history = store_.watch("/registry/", store_.oldest());
  std::vector<store::Event> events;
  while (history) {
    events.clear();
    const auto count = (*history)->poll(events, at_once);
    if (!count || *count == 0) break;
    for (const store::Event& event : events)
      for (const store::EntryPtr& entry : {event.previous, event.entry})
        if (entry) apiserver::lighten(*entry);
    co_await yield_now();
  }
}

}  // namespace estiba::server
