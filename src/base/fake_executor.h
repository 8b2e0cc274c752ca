// FakeExecutor: an Executor for tests. Nothing runs until the test says so, and time stands still until it is advanced.
#pragma once
#include <map>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/executor.h"

namespace estiba {

class FakeExecutor final : public Executor {
 public:
  FakeExecutor();
  ~FakeExecutor() override;

  void post(Work work) override;
  Timer at(Instant when, Work work) override;
  bool cancel(Timer timer) override;
  Instant now() const override { return now_; }
  WallTime wall_now() const override { return wall_; }

  /// Runs what is posted, and what that posts, until nothing is left. Returns how many pieces of work ran.
  size_t run();
  /// Moves time on by `step`, running each timer at its instant and all posted work between.
  void advance(Duration step);
  /// Moves time on and runs nothing: called by work that takes so long.
  void pass(Duration step);
  /// Armed timers; a test of idleness asserts on it.
  size_t timers() const { return timers_.size(); }

 private:
  Instant now_{};
  WallTime wall_;
  std::mutex mutex_;
  std::vector<Work> posted_;  // guarded by mutex_
  std::map<std::pair<Instant, uint64_t>, Work> timers_;
  std::unordered_map<uint64_t, Instant> due_;  // of timers_, by the timer's id
  uint64_t next_id_ = 1;
  Executor* previous_ = nullptr;
};

}  // namespace estiba
