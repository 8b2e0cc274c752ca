#include "apiserver/follower.h"

namespace estiba::apiserver {

void Follower::read_all(const All& all) {
  auto listed = store_.list(prefix_);
  if (!listed) return;
  all(listed->entries);
  auto watch = store_.watch(prefix_, listed->revision);
  changes_ = watch ? std::move(*watch) : nullptr;
}

void Follower::catch_up(const All& all, const One& one) {
  if (!changes_) read_all(all);
  for (std::vector<store::Event> events; changes_; events.clear()) {
    auto count = changes_->poll(events, 256);
    if (!count) return read_all(all);
    if (*count == 0) return;
    for (const store::Event& event : events) one(event);
  }
}

}  // namespace estiba::apiserver
