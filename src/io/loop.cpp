#include "io/loop.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/log.h"

namespace estiba::io {

static thread_local Loop* current_loop = nullptr;

// One fd's interest. `armed` is what epoll knows; it is taken back lazily, when an event comes that nobody waits for, so
// that a stream which reads, waits, reads, waits makes no epoll_ctl at all.
struct Loop::Entry {
  int fd = -1;
  uint32_t generation = 0;
  uint32_t armed = 0;
  bool registered = false;
  bool pinned = false;
  // While those who waited are resumed: they may close the fd and wait for another one of the same number, which epoll then
  // does not know. A pinned fd is unwatched before it is closed.
  bool doubtful = false;
  Readiness* waiters[3] = {};  // by Readiness::Kind
  Callback callback;
  bool has_callback = false;
  uint32_t callback_events = 0;

  uint32_t wanted() const {
    uint32_t events = callback_events;
    if (waiters[0]) events |= EPOLLIN;
    if (waiters[1]) events |= EPOLLOUT;
    if (waiters[2]) events |= EPOLLRDHUP;
    return events;
  }
};

Loop* Loop::current() { return current_loop; }

Loop::Loop() {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  epoll_event event{.events = EPOLLIN, .data = {.u64 = uint32_t(wake_)}};
  if (epoll_ < 0 || wake_ < 0 || epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event) < 0) {
    log::error("io", "no event loop can be made; raise the limit of open files", {{"error", strerror(errno)}});
    abort();
  }
}

Loop::~Loop() {
  Executor* previous = set_current(this);
  Loop* previous_loop = std::exchange(current_loop, this);
  while (!local_.empty() || !remote_.empty()) {
    auto local = std::exchange(local_, {});
    auto remote = std::exchange(remote_, {});
  }
  current_loop = previous_loop;
  set_current(previous);
  close(wake_);
  close(epoll_);
}

// --- running -----------------------------------------------------------------------------------------------------------

void Loop::run() {
  // A peer that has gone shows as EPIPE, which the writer handles, not as a signal.
  // (Programs that are started from here reset it.)
  signal(SIGPIPE, SIG_IGN);
  Executor* previous = set_current(this);
  Loop* previous_loop = std::exchange(current_loop, this);
  while (!stop_.load(std::memory_order_acquire)) {
    run_posted();
    run_timers();
    if (stop_.load(std::memory_order_acquire)) break;
    wait();
  }
  stop_ = false;
  current_loop = previous_loop;
  set_current(previous);
}

void Loop::stop() {
  stop_.store(true, std::memory_order_release);
  if (current_loop != this) wake();
}

void Loop::wake() {
  uint64_t one = 1;
  [[maybe_unused]] auto written = ::write(wake_, &one, sizeof one);  // fails only when a wake-up is pending anyway
}

void Loop::post(Work work) {
  if (current_loop == this) {
    local_.push_back(std::move(work));
    return;
  }
  {
    std::lock_guard lock(mutex_);
    remote_.push_back(std::move(work));
  }
  if (!remote_waiting_.exchange(true)) wake();
}

void Loop::run_posted() {
  auto batch = std::exchange(local_, {});
  for (Work& work : batch) work();
  if (local_.empty()) {  // keeps the capacity
    batch.clear();
    local_.swap(batch);
  }
  if (!remote_waiting_.exchange(false)) return;
  std::vector<Work> remote;
  {
    std::lock_guard lock(mutex_);
    remote.swap(remote_);
  }
  for (Work& work : remote) work();
}

void Loop::run_timers() {
  if (timers_.size() == 0) return;
  Instant now = this->now();
  while (Work work = timers_.take_due(now)) work();
}

Executor::Timer Loop::at(Instant when, Work work) { return timers_.add(when, std::move(work)); }
bool Loop::cancel(Timer timer) { return timers_.cancel(timer); }

void Loop::wait() {
  int timeout = -1;
  if (!local_.empty()) {
    timeout = 0;
  } else if (auto next = timers_.next()) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(*next - now()).count();
    timeout = int(std::clamp<int64_t>(left, 0, 24 * 3600 * 1000));
  }
  epoll_event events[64];
  int count = epoll_wait(epoll_, events, 64, timeout);
  for (int i = 0; i < count; ++i) {
    int fd = int(uint32_t(events[i].data.u64));
    if (fd == wake_) {
      uint64_t value;
      [[maybe_unused]] auto got = ::read(wake_, &value, sizeof value);
    } else {
      dispatch(fd, uint32_t(events[i].data.u64 >> 32), events[i].events);
    }
  }
}

// --- descriptors -------------------------------------------------------------------------------------------------------

Loop::Entry* Loop::find(int fd) { return size_t(fd) < entries_.size() ? entries_[fd].get() : nullptr; }

Loop::Entry& Loop::entry(int fd) {
  if (size_t(fd) >= entries_.size()) entries_.resize(fd + 1);
  auto& slot = entries_[fd];
  if (!slot) {
    slot = std::make_unique<Entry>();
    slot->fd = fd;
    slot->generation = next_generation_++;
  }
  return *slot;
}

// Makes epoll report `events`; false if it refuses the fd.
bool Loop::update(Entry& entry, uint32_t events) {
  if (entry.registered && entry.armed == events && !entry.doubtful) return true;
  epoll_event event{.events = events, .data = {.u64 = uint64_t(entry.generation) << 32 | uint32_t(entry.fd)}};
  if (events == 0) {
    // EPOLLHUP and EPOLLERR come even when nothing is asked for, so an fd that nobody waits for leaves epoll.
    if (entry.registered) epoll_ctl(epoll_, EPOLL_CTL_DEL, entry.fd, nullptr);
    entry.registered = false;
  } else {
    int done = epoll_ctl(epoll_, entry.registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, entry.fd, &event);
    if (done < 0 && errno == ENOENT && entry.doubtful) done = epoll_ctl(epoll_, EPOLL_CTL_ADD, entry.fd, &event);
    if (done < 0) return false;
    entry.registered = true;
    entry.doubtful = false;
  }
  entry.armed = events;
  return true;
}

void Loop::release_if_unused(Entry& entry) {
  if (entry.pinned || entry.wanted() || entry.has_callback) return;
  update(entry, 0);
  entries_[entry.fd].reset();
}

void Loop::pin(int fd) { entry(fd).pinned = true; }

void Loop::interrupt(int fd) {
  Entry* entry = find(fd);
  if (!entry) return;
  bool had = interrupted_ != nullptr;
  for (Readiness*& head : entry->waiters) {
    while (Readiness* waiter = head) {
      waiter->unlink();
      waiter->link(&interrupted_);
    }
  }
  if (interrupted_ && !had) post([this] { resume_interrupted(); });
  release_if_unused(*entry);
}

void Loop::resume_interrupted() {
  while (Readiness* waiter = interrupted_) {
    waiter->unlink();
    waiter->handle_.resume();
  }
}

void Loop::unwatch(int fd) {
  Entry* entry = find(fd);
  if (!entry) return;
  entry->pinned = false;
  entry->has_callback = false;
  entry->callback_events = 0;
  Callback dropped = std::move(entry->callback);
  update(*entry, entry->wanted());
  release_if_unused(*entry);
}

Result<void> Loop::watch(int fd, uint32_t events, Callback callback) {
  Entry& e = entry(fd);
  e.callback = std::move(callback);
  e.has_callback = true;
  e.callback_events = events;
  if (update(e, e.wanted())) return {};
  auto error = fail_errno("watch a file descriptor");
  unwatch(fd);
  return error;
}

void Loop::call_back(Entry& entry, uint32_t events) {
  // The callback may unwatch its fd, and so end itself.
  int fd = entry.fd;
  uint32_t generation = entry.generation;
  Callback callback = std::move(entry.callback);
  callback(events);
  Entry* still = find(fd);
  if (still && still->generation == generation && still->has_callback && !still->callback) still->callback = std::move(callback);
}

void Loop::dispatch(int fd, uint32_t generation, uint32_t events) {
  Entry* e = find(fd);
  if (!e || e->generation != generation) return;  // closed earlier in this batch
  if (e->has_callback) return call_back(*e, events);
  constexpr uint32_t gone = EPOLLHUP | EPOLLERR;
  const uint32_t wakes[3] = {EPOLLIN | EPOLLRDHUP | gone, EPOLLOUT | gone, EPOLLRDHUP | gone};
  Readiness* ready = nullptr;
  for (int kind = 0; kind < 3; ++kind) {
    if (!(events & wakes[kind])) continue;
    while (Readiness* waiter = e->waiters[kind]) {
      waiter->unlink();
      waiter->link(&ready);
    }
  }
  // An event for nobody: stop asking for it.
  if (!ready) {
    update(*e, e->wanted());
    release_if_unused(*e);
    return;
  }
  e->doubtful = !e->pinned;
  while (ready) {
    Readiness* waiter = ready;
    waiter->unlink();
    waiter->handle_.resume();
  }
  Entry* still = find(fd);
  if (!still || still->generation != generation) return;
  still->doubtful = false;
  release_if_unused(*still);
}

void Loop::Readiness::link(Readiness** head) {
  next_ = *head;
  if (next_) next_->link_ = &next_;
  *head = this;
  link_ = head;
}

void Loop::Readiness::unlink() {
  *link_ = next_;
  if (next_) next_->link_ = link_;
  next_ = nullptr;
  link_ = nullptr;
}

bool Loop::Readiness::await_suspend(std::coroutine_handle<> h) {
  handle_ = h;
  Entry& entry = loop_.entry(fd_);
  link(&entry.waiters[int(kind_)]);
  uint32_t wanted = entry.wanted();
  if (((wanted & ~entry.armed) || entry.doubtful) && !loop_.update(entry, entry.armed | wanted)) {
    unlink();
    loop_.release_if_unused(entry);
    return false;
  }
  return true;
}

Loop::Readiness::~Readiness() {
  if (!link_) return;
  unlink();
  Entry* entry = loop_.find(fd_);
  if (entry) loop_.release_if_unused(*entry);
}

}  // namespace estiba::io
