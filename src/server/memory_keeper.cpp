#include "server/memory_keeper.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>

#include "apiserver/kept.h"
#include "base/log.h"
#include "base/strings.h"
#include "os/file.h"

namespace estiba::server {
namespace {

constexpr Duration between_looks = std::chrono::seconds(10);

// proc(5), statm: pages; the second number is what is resident.
uint64_t resident_bytes() {
  const auto text = os::read_file("/proc/self/statm");
  if (!text) return 0;
  const std::string_view rest = split_once(*text, ' ').second.value_or("");
  return parse_number<uint64_t>(rest.substr(0, rest.find(' '))).value_or(0) * uint64_t(sysconf(_SC_PAGESIZE));
}

}  // namespace

bool MemoryBudget::look(uint64_t resident, store::Revision revision) {
  const bool busy = uint64_t(revision - std::exchange(last_, revision)) >= burst;
  settled_ = std::min(settled_, resident);
  return !busy && resident > settled_ + std::max(slack, settled_ / 8);
}

MemoryKeeper::MemoryKeeper(store::Store& store)
    : store_(store), executor_(*Executor::current()), self_(std::make_shared<MemoryKeeper*>(this)) {
  budget_.settle(resident_bytes());
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
  if (const Instant now = executor_.now(); now >= looked_ + between_looks) {
    looked_ = now;
    if (budget_.look(resident_bytes(), store_.revision())) {
      malloc_trim(0);
      budget_.settle(resident_bytes());
    }
  }
  wait();
}

}  // namespace estiba::server
