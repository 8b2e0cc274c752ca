// WorkQueue: the heart of every controller. Keys go in as often as something changes; each is worked on by one coroutine
// at a time, again if it was added meanwhile, and again after a growing pause if it failed. Lives on one executor.
//
// Invariants: a key waits at most once; a key never runs twice at the same time; an added key runs at least once after
// the add; a key that succeeded and is not wanted again leaves nothing behind.
#pragma once
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/executor.h"
#include "base/function.h"
#include "base/result.h"
#include "base/task.h"

namespace estiba::client {

struct WorkQueueOptions {
  size_t workers = 4;  ///< keys in work at the same time
  Duration first_pause = std::chrono::milliseconds(5);
  Duration longest_pause = std::chrono::minutes(5);
};

class WorkQueue {
 public:
  /// Brings one key to what it should be. An error means "again later"; it is logged.
  using Reconcile = UniqueFunction<Task<Result<void>>(std::string key)>;

  /// Nothing runs before start(). `name` is for logs.
  WorkQueue(Executor& executor, std::string name, Reconcile reconcile, WorkQueueOptions options = {});
  /// Cancels what runs.
  ~WorkQueue();
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;

  void start();
  void add(std::string_view key);
  /// Adds the key when `delay` has passed; of several such waits the earliest holds.
  void add_after(std::string_view key, Duration delay);

  size_t waiting() const { return ready_.size(); }
  size_t running() const { return running_; }

 private:
  struct Entry {
    bool queued = false, running = false, dirty = false;
    int failures = 0;
    Executor::Timer timer;
    Instant due{};
  };
  Task<void> dispatch();
  static Task<void> work(WorkQueue* queue, std::string key);
  void finish(const std::string& key, const Result<void>& result);
  void enqueue(const std::string& key, Entry& entry);
  void arm(const std::string& key, Entry& entry, Instant due);

  Executor& executor_;
  const std::string name_;
  Reconcile reconcile_;
  const WorkQueueOptions options_;
  std::unordered_map<std::string, Entry> entries_;
  std::deque<std::string> ready_;
  size_t running_ = 0;
  Event wake_;
  TaskGroup workers_;
  Job dispatcher_;
};

}  // namespace estiba::client
