// FanOut: the turns of watches that have something to tell. One write may wake thousands of them at once. They take turns, for a slice of
// time after which the loop looks at everything else: so requests are answered meanwhile, and what is written while a watch waits for its
// turn goes out with the same piece of answer. After a long round they rest, so that the next one has more to tell each of them: a
// delivery costs a TLS record and a system call however many events are in it.
#pragma once
#include <coroutine>
#include <memory>
#include <mutex>

#include "base/executor.h"

namespace estiba::apiserver {

class FanOut : public std::enable_shared_from_this<FanOut> {
 public:
  /// How long watches are served before others have their turn: a request waits so long at most for each thing that it waits for.
  static constexpr Duration slice = std::chrono::microseconds(250);
  /// Rounds that took so long and longer are followed by a rest of the same length, but of no more than longest_rest.
  static constexpr Duration long_round = std::chrono::milliseconds(2), longest_rest = std::chrono::milliseconds(10);

  /// Watches of this executor; it outlives them.
  explicit FanOut(Executor& executor) : executor_(executor) {}
  FanOut(const FanOut&) = delete;

  /// One watch's place. It belongs to a coroutine of the executor, which waits by `co_await turn` until it has been rung and its turn
  /// has come. A ring that comes while it does not wait is remembered; several are one.
  class Turn {
   public:
    explicit Turn(std::shared_ptr<FanOut> fan_out) : fan_out_(std::move(fan_out)) {}
    Turn(const Turn&) = delete;
    ~Turn();
    /// Any thread. Nobody may ring any more when the Turn goes.
    void ring();

    bool await_ready() const { return false; }
    bool await_suspend(std::coroutine_handle<> handle);
    void await_resume() {}

   private:
    friend class FanOut;
    std::shared_ptr<FanOut> fan_out_;
    // Guarded by the fan-out's mutex.
    Turn *next_ = nullptr, *previous_ = nullptr;
    bool queued_ = false;
    // Touched on the executor's thread only.
    std::coroutine_handle<> waiting_;
    bool come_ = false;  // the turn came while the coroutine was at something else
  };

 private:
  void enqueue(Turn& turn);
  void unlink(Turn& turn);
  void begin_round();
  Turn* pop();
  bool stop_if_empty();
  void post();
  void serve();

  Executor& executor_;
  std::mutex mutex_;
  Turn *first_ = nullptr, *last_ = nullptr;  // guarded by mutex_
  bool posted_ = false;                      // guarded by mutex_
  size_t queued_ = 0;                        // how many wait; guarded by mutex_
  size_t round_ = 0;                         // how many of them belong to the round that is under way
  // Touched on the executor's thread only.
  Duration busy_{};   // served since the last rest
  Instant served_{};  // until when was served last
  Instant rest_until_{};
};

}  // namespace estiba::apiserver
