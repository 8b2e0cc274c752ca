// Coroutines. A Task<T> is lazy: it runs when it is awaited, on the awaiting thread, and everything it awaits resumes on
// that same thread (its executor's). Dropping a Task, or the Job that runs it, cancels it: the frame is destroyed where it
// is suspended, and every awaitable in this file unhooks itself when that happens. So a timeout is "drop the task", and
// what must be undone is undone by destructors.
//
// Rules that keep coroutines safe here:
//  1. Parameters of a coroutine are taken by value, or refer to something that outlives the awaiting expression.
//  2. A lambda that is a coroutine captures nothing (its captures die with the lambda); pass arguments instead.
//  3. A Job is never destroyed from within its own running code.
#pragma once
#include <coroutine>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "base/executor.h"

namespace estiba {

template <class T = void>
class Task;

namespace task_detail {

struct PromiseBase {
  std::coroutine_handle<> continuation;
  std::suspend_always initial_suspend() noexcept { return {}; }
  struct Final {
    bool await_ready() noexcept { return false; }
    template <class P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> h) noexcept {
      auto next = h.promise().continuation;
      return next ? next : std::noop_coroutine();
    }
    void await_resume() noexcept {}
  };
  Final final_suspend() noexcept { return {}; }
  [[noreturn]] void unhandled_exception() noexcept { __builtin_trap(); }
};

template <class T>
struct Promise : PromiseBase {
  std::optional<T> value;
  Task<T> get_return_object();
  template <class U = T>
    requires std::is_constructible_v<T, U&&>
  void return_value(U&& u) {
    value.emplace(std::forward<U>(u));
  }
  T take() { return std::move(*value); }
};

template <>
struct Promise<void> : PromiseBase {
  Task<void> get_return_object();
  void return_void() {}
  void take() {}
};

}  // namespace task_detail

template <class T>
class [[nodiscard]] Task {
 public:
  using promise_type = task_detail::Promise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  Task() = default;
  explicit Task(Handle handle) : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(other.handle_, {});
    }
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  explicit operator bool() const { return bool(handle_); }
  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) noexcept {
    handle_.promise().continuation = awaiting;
    return handle_;
  }
  T await_resume() { return handle_.promise().take(); }

 private:
  Handle handle_;
};

namespace task_detail {
template <class T>
Task<T> Promise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<Promise<T>>::from_promise(*this));
}
inline Task<void> Promise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<Promise<void>>::from_promise(*this));
}

// The root frame of spawn(): runs a task and frees itself.
struct Detached {
  struct promise_type {
    Detached get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    [[noreturn]] void unhandled_exception() noexcept { __builtin_trap(); }
  };
};
}  // namespace task_detail

/// Starts `task` now, on this thread, and lets it run to its end by itself. Use it only for work that ends on its own;
/// what an object starts and must stop belongs in a Job or a TaskGroup of that object.
void spawn(Task<void> task);

/// A running task that its owner can wait for or cancel. Destroying the Job cancels the task.
class Job {
 public:
  Job();
  /// Starts `task` now, on this thread.
  explicit Job(Task<void> task);
  Job(Job&&) noexcept;
  Job& operator=(Job&&) noexcept;
  ~Job();

  bool done() const;
  void cancel();
  /// Waits for the end; several may wait. The Job must outlive the wait.
  Task<void> join();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Several running tasks with one owner: destroying the group cancels them all. Finished ones free themselves.
class TaskGroup {
 public:
  TaskGroup();
  ~TaskGroup();
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  /// Starts `task` now, on this thread.
  void start(Task<void> task);
  size_t size() const;
  /// Waits until all that were started have ended.
  Task<void> join();
  /// Cancels what still runs.
  void cancel();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// An event that coroutines of one thread wait for. While set, waiting returns at once.
class Event {
 public:
  Event() = default;
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void set();
  void reset() { set_ = false; }
  bool is_set() const { return set_; }

  class Waiter;
  /// `co_await event.wait()` returns true when the event is set.
  Waiter wait();
  /// The same with a limit: false if `when` came first.
  Waiter wait_until(Instant when);
  Waiter wait_for(Duration limit);

 private:
  friend class Waiter;
  bool set_ = false;
  std::list<Waiter*> waiters_;
};

class Event::Waiter {
 public:
  explicit Waiter(Event& event, std::optional<Instant> limit) : event_(&event), limit_(limit) {}
  Waiter(const Waiter&) = delete;
  ~Waiter();
  bool await_ready() const { return event_->set_; }
  void await_suspend(std::coroutine_handle<> h);
  bool await_resume() const { return fired_ || event_->set_; }

 private:
  friend class Event;
  void unhook();
  Event* event_;
  std::optional<Instant> limit_;
  std::coroutine_handle<> handle_;
  Executor* executor_ = nullptr;
  Executor::Timer timer_;
  std::shared_ptr<bool> alive_;  // false once this waiter is gone; guards posted resumptions
  bool linked_ = false;
  bool fired_ = false;
};

/// `co_await sleep_for(1s)`: waits on the current executor's clock.
class SleepAwaiter {
 public:
  explicit SleepAwaiter(Instant when) : when_(when) {}
  SleepAwaiter(const SleepAwaiter&) = delete;
  ~SleepAwaiter();
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> h);
  void await_resume() const {}

 private:
  Instant when_;
  Executor* executor_ = nullptr;
  Executor::Timer timer_;
};
SleepAwaiter sleep_until(Instant when);
SleepAwaiter sleep_for(Duration delay);

/// `co_await yield_now()`: lets other work of this executor run first.
Task<void> yield_now();

/// A value sent once from any thread to one awaiting coroutine, which resumes on the executor where it awaited. If every
/// Sender goes without sending, the receiver gets nullopt.
template <class T>
class OneShot {
  struct State {
    std::mutex mutex;
    std::optional<T> value;
    bool closed = false;
    std::coroutine_handle<> handle;  // set while a receiver is suspended
    Executor* executor = nullptr;
  };
  static void wake(const std::shared_ptr<State>& state) {  // with state->mutex held
    if (!state->handle) return;
    state->executor->post([state] {
      std::coroutine_handle<> h;
      {
        std::lock_guard lock(state->mutex);
        h = std::exchange(state->handle, {});
      }
      if (h) h.resume();  // null when the receiver was dropped meanwhile
    });
  }

 public:
  class Sender {
   public:
    Sender() = default;
    explicit Sender(std::shared_ptr<State> s) : state_(std::move(s)) {}
    Sender(Sender&&) noexcept = default;
    Sender& operator=(Sender&& other) noexcept {
      close();
      state_ = std::move(other.state_);
      return *this;
    }
    ~Sender() { close(); }
    /// Delivers the value; later calls do nothing. Any thread.
    void send(T value) {
      if (!state_) return;
      auto state = std::move(state_);
      std::lock_guard lock(state->mutex);
      state->value.emplace(std::move(value));
      state->closed = true;
      wake(state);
    }

   private:
    void close() {
      if (!state_) return;
      auto state = std::move(state_);
      std::lock_guard lock(state->mutex);
      state->closed = true;
      wake(state);
    }
    std::shared_ptr<State> state_;
  };

  OneShot() : state_(std::make_shared<State>()) {}
  OneShot(const OneShot&) = delete;
  ~OneShot() {
    std::lock_guard lock(state_->mutex);
    state_->handle = {};
  }
  /// Call once.
  Sender sender() { return Sender(state_); }

  bool await_ready() const {
    std::lock_guard lock(state_->mutex);
    return state_->closed;
  }
  bool await_suspend(std::coroutine_handle<> h) {
    std::lock_guard lock(state_->mutex);
    if (state_->closed) return false;
    state_->handle = h;
    state_->executor = Executor::current();
    return true;
  }
  std::optional<T> await_resume() {
    std::lock_guard lock(state_->mutex);
    return std::exchange(state_->value, std::nullopt);
  }

 private:
  std::shared_ptr<State> state_;
};

/// Runs `task`, but drops (cancels) it when `limit` passes first: whether it ended in time.
Task<bool> with_timeout(Duration limit, Task<void> task);

/// Runs `task`, but drops (cancels) it when `limit` passes first: then nullopt.
template <class T>
Task<std::optional<T>> with_timeout(Duration limit, Task<T> task) {
  struct Run {
    static Task<void> go(Task<T> task, std::optional<T>* out, Event* done) {
      out->emplace(co_await std::move(task));
      done->set();
    }
  };
  Event done;
  std::optional<T> out;
  Job job(Run::go(std::move(task), &out, &done));
  co_await done.wait_for(limit);
  co_return std::move(out);
}

}  // namespace estiba
