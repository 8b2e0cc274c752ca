#include "runtime/shim_loop.h"

#include <sys/epoll.h>

namespace estiba::runtime {

Result<void> ShimLoop::open() {
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return fail_errno("epoll_create1");
  return {};
}

Result<void> ShimLoop::watch(int fd, uint32_t events, Handler handler) {
  epoll_event event{events, {.fd = fd}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) < 0) return fail_errno("epoll_ctl EPOLL_CTL_ADD");
  handlers_[fd] = std::make_shared<Handler>(std::move(handler));
  return {};
}

Result<void> ShimLoop::change(int fd, uint32_t events) {
  epoll_event event{events, {.fd = fd}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) < 0) return fail_errno("epoll_ctl EPOLL_CTL_MOD");
  return {};
}

void ShimLoop::forget(int fd) {
  if (handlers_.erase(fd)) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

uint64_t ShimLoop::at(Instant when, UniqueFunction<void()> work) {
  timers_.emplace(when, Timer{next_timer_, std::move(work)});
  return next_timer_++;
}

void ShimLoop::cancel(uint64_t timer) {
  for (auto it = timers_.begin(); it != timers_.end(); ++it) {
    if (it->second.id != timer) continue;
    timers_.erase(it);
    return;
  }
}

int ShimLoop::timeout_ms() const {
  if (timers_.empty()) return -1;
  auto left = timers_.begin()->first - Instant(std::chrono::steady_clock::now());
  if (left <= Duration::zero()) return 0;
  // Rounded up: waking a moment early would mean going round in circles until it is time.
  return int(std::min<int64_t>(std::chrono::ceil<std::chrono::milliseconds>(left).count(), 1 << 30));
}

void ShimLoop::run_timers() {
  while (!timers_.empty() && timers_.begin()->first <= Instant(std::chrono::steady_clock::now())) {
    auto node = timers_.extract(timers_.begin());
    node.mapped().work();
  }
}

void ShimLoop::run() {
  while (!stopped_) {
    epoll_event events[16];
    int n = epoll_wait(epoll_.get(), events, 16, timeout_ms());
    for (int i = 0; i < n && !stopped_; i++) {
      // Looked up anew for each: an earlier handler may have forgotten this one. A number that was closed and given out again in
      // between gets a spurious call, which all handlers bear.
      auto it = handlers_.find(events[i].data.fd);
      if (it == handlers_.end()) continue;
      auto handler = it->second;
      (*handler)(events[i].events);
    }
    run_timers();
  }
}

}  // namespace estiba::runtime
