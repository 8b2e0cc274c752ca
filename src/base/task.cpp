#include "base/task.h"

namespace estiba {

static task_detail::Detached run_detached(Task<void> task) { co_await std::move(task); }

void spawn(Task<void> task) { run_detached(std::move(task)); }

// Starts a lazy task without awaiting it; its frame stays owned by `root`.
static void start_root(Task<void>& root) { root.await_suspend(std::noop_coroutine()).resume(); }

// --- Job -------------------------------------------------------------------------------------------------------------

struct Job::State {
  Event ended;
  Task<void> root;

  static Task<void> run(State* state, Task<void> task) {
    co_await std::move(task);
    state->ended.set();
  }
};

Job::Job() = default;
Job::Job(Job&&) noexcept = default;
Job& Job::operator=(Job&&) noexcept = default;
Job::~Job() = default;

Job::Job(Task<void> task) : state_(std::make_unique<State>()) {
  state_->root = State::run(state_.get(), std::move(task));
  start_root(state_->root);
}

bool Job::done() const { return !state_ || state_->ended.is_set(); }
void Job::cancel() { state_.reset(); }

Task<void> Job::join() {
  if (state_) co_await state_->ended.wait();
}

// --- TaskGroup -------------------------------------------------------------------------------------------------------

struct TaskGroup::State {
  using Roots = std::list<Task<void>>;
  Roots running, ended;
  Event idle;

  static Task<void> run(State* state, Roots::iterator self, Task<void> task) {
    co_await std::move(task);
    // This frame is still on the stack: whoever comes next frees it.
    state->ended.splice(state->ended.end(), state->running, self);
    if (state->running.empty()) state->idle.set();
  }
  // Destroying a frame may start or cancel others: each leaves the list before it goes.
  static void clear(Roots& roots) {
    while (!roots.empty()) {
      const Task<void> root = std::move(roots.front());
      roots.pop_front();
    }
  }
};

TaskGroup::TaskGroup() : state_(std::make_unique<State>()) {}
TaskGroup::~TaskGroup() { cancel(); }

void TaskGroup::start(Task<void> task) {
  State::clear(state_->ended);
  state_->idle.reset();
  const auto self = state_->running.emplace(state_->running.end());
  *self = State::run(state_.get(), self, std::move(task));
  start_root(*self);
}

size_t TaskGroup::size() const { return state_->running.size(); }

Task<void> TaskGroup::join() {
  while (!state_->running.empty()) co_await state_->idle.wait();
  State::clear(state_->ended);
}

void TaskGroup::cancel() {
  State::clear(state_->running);
  State::clear(state_->ended);
  state_->idle.set();
}

// --- Event -----------------------------------------------------------------------------------------------------------

Event::~Event() {
  for (Waiter* waiter : waiters_) waiter->linked_ = false;
}

Event::Waiter Event::wait() { return Waiter(*this, std::nullopt); }
Event::Waiter Event::wait_until(Instant when) { return Waiter(*this, when); }
Event::Waiter Event::wait_for(Duration limit) { return Waiter(*this, Executor::current()->now() + limit); }

void Event::set() {
  set_ = true;
  while (!waiters_.empty()) {
    Waiter* waiter = waiters_.front();
    waiter->unhook();
    waiter->fired_ = true;
    auto alive = waiter->alive_ = std::make_shared<bool>(true);
    waiter->executor_->post([alive, h = waiter->handle_] {
      if (*alive) h.resume();
    });
  }
}

void Event::Waiter::await_suspend(std::coroutine_handle<> h) {
  handle_ = h;
  executor_ = Executor::current();
  event_->waiters_.push_back(this);
  linked_ = true;
  if (limit_) {
    timer_ = executor_->at(*limit_, [this] {
      timer_ = {};
      unhook();
      handle_.resume();
    });
  }
}

void Event::Waiter::unhook() {
  if (linked_) {
    event_->waiters_.remove(this);
    linked_ = false;
  }
  if (timer_.id) executor_->cancel(std::exchange(timer_, {}));
}

Event::Waiter::~Waiter() {
  if (executor_) unhook();
  if (alive_) *alive_ = false;
}

// --- sleeping --------------------------------------------------------------------------------------------------------

SleepAwaiter sleep_until(Instant when) { return SleepAwaiter(when); }
SleepAwaiter sleep_for(Duration delay) { return SleepAwaiter(Executor::current()->now() + delay); }

void SleepAwaiter::await_suspend(std::coroutine_handle<> h) {
  executor_ = Executor::current();
  timer_ = executor_->at(when_, [this, h] {
    timer_ = {};
    h.resume();
  });
}

SleepAwaiter::~SleepAwaiter() {
  if (timer_.id) executor_->cancel(timer_);
}

Task<void> yield_now() {
  auto event = std::make_shared<Event>();
  Executor::current()->post([event] { event->set(); });
  co_await event->wait();
}

Task<bool> with_timeout(Duration limit, Task<void> task) {
  Job job(std::move(task));
  if (job.done()) co_return true;
  Event ended;
  Job watch([](Job* job, Event* ended) -> Task<void> {
    co_await job->join();
    ended->set();
  }(&job, &ended));
  co_return co_await ended.wait_for(limit);
}

}  // namespace estiba
