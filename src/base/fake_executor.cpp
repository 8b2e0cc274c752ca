#include "base/fake_executor.h"

namespace estiba {

FakeExecutor::FakeExecutor() : wall_(std::chrono::seconds(1'767'225'600)) {  // 2026-01-01T00:00:00Z
  now_ += std::chrono::seconds(1);
  previous_ = set_current(this);
}

FakeExecutor::~FakeExecutor() {
  posted_.clear();
  timers_.clear();
  set_current(previous_);
}

void FakeExecutor::post(Work work) {
  std::lock_guard lock(mutex_);
  posted_.push_back(std::move(work));
}

Executor::Timer FakeExecutor::at(Instant when, Work work) {
  Timer timer{next_id_++};
  when = std::max(when, now_);
  timers_.emplace(std::pair{when, timer.id}, std::move(work));
  due_.emplace(timer.id, when);
  return timer;
}

bool FakeExecutor::cancel(Timer timer) {
  const auto due = due_.extract(timer.id);
  if (due.empty()) return false;
  timers_.erase({due.mapped(), timer.id});
  return true;
}

size_t FakeExecutor::run() {
  size_t ran = 0;
  for (;;) {
    std::vector<Work> batch;
    {
      std::lock_guard lock(mutex_);
      batch.swap(posted_);
    }
    if (!batch.empty()) {
      for (Work& work : batch) work();
      ran += batch.size();
    } else if (!timers_.empty() && timers_.begin()->first.first <= now_) {
      auto due = timers_.extract(timers_.begin());
      due_.erase(due.key().second);
      due.mapped()();
      ++ran;
    } else {
      return ran;
    }
  }
}

void FakeExecutor::advance(Duration step) {
  run();
  const Instant end = now_ + step;
  while (!timers_.empty() && timers_.begin()->first.first <= end) {
    const Instant when = timers_.begin()->first.first;
    wall_ += when - now_;
    now_ = when;
    run();
  }
  wall_ += end - now_;
  now_ = end;
  run();
}

void FakeExecutor::pass(Duration step) {
  wall_ += step;
  now_ += step;
}

}  // namespace estiba
