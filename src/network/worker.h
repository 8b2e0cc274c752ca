// One thread for kernel work that blocks, in the order in which it was asked for: the kernel serialises changes of links
// and of nftables anyway, and order makes locks unnecessary.
#pragma once
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <type_traits>

#include "base/function.h"
#include "base/task.h"

namespace estiba::network {

class Worker {
 public:
  explicit Worker(const char* name);
  /// Finishes what is queued.
  ~Worker();
  Worker(const Worker&) = delete;

  void post(UniqueFunction<void()> work);

  /// Runs `work` on the worker's thread; the caller resumes on its own executor with what it returned. Work that was
  /// begun is finished even when the awaiting task is dropped, so it refers only to what outlives the worker.
  template <class F>
  Task<std::invoke_result_t<F&>> run(F work) {
    OneShot<std::invoke_result_t<F&>> done;
    post([sender = done.sender(), work = std::move(work)]() mutable { sender.send(work()); });
    auto result = co_await done;
    co_return std::move(*result);
  }

 private:
  void loop(const char* name);

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<UniqueFunction<void()>> queue_;  // guarded by mutex_
  bool stop_ = false;                         // guarded by mutex_
  std::thread thread_;
};

}  // namespace estiba::network
