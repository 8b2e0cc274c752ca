#include "apiserver/bell.h"

#include <vector>

namespace estiba::apiserver {

bool Bell::listen(const std::shared_ptr<Event>& event) {
  bool rang = !watch_;
  std::vector<store::Event> events;
  while (watch_) {
    auto count = watch_->poll(events, 1024);
    if (!count) watch_.reset();
    if (!count || *count == 0) break;
    rang = true;
    events.clear();
  }
  if (!watch_) {
    auto made = store_.watch(prefix_, store_.revision());
    if (!made) return true;
    watch_ = std::move(*made);
    rang = true;
  }
  watch_->arm([event, executor = Executor::current()] { executor->post([event] { event->set(); }); });
  return rang;
}

}  // namespace estiba::apiserver
