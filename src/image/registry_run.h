// Runs one conversation with a registry on a loop of its own, in the calling thread. Internal to image/.
#pragma once
#include <optional>
#include <string>

#include "base/function.h"
#include "base/task.h"
#include "image/registry.h"
#include "io/loop.h"

namespace estiba::image {

/// TransferStop's side of it.
struct TransferRun {
  /// False when it has been stopped already.
  static bool begin(TransferStop* stop, io::Loop& loop) {
    if (!stop) return true;
    std::lock_guard lock(stop->mutex_);
    if (!stop->stopped_) stop->loop_ = &loop;
    return !stop->stopped_;
  }
  static void end(TransferStop* stop) {
    if (!stop) return;
    std::lock_guard lock(stop->mutex_);
    stop->loop_ = nullptr;
  }
  template <class T>
  static Task<void> go(UniqueFunction<Task<Result<T>>()>* start, io::Loop* loop, std::optional<Result<T>>* out) {
    out->emplace(co_await (*start)());
    loop->stop();
  }
};

/// `start` makes the task, on the loop; what it refers to outlives this call. Errors get "what: " before them.
template <class T>
Result<T> run_transfer(const std::string& what, TransferStop* stop, UniqueFunction<Task<Result<T>>()> start) {
  io::Loop loop;
  if (!TransferRun::begin(stop, loop)) return fail(Code::cancelled, what + ": cancelled");
  std::optional<Result<T>> result;
  Job job;
  loop.post([&] { job = Job(TransferRun::go<T>(&start, &loop, &result)); });
  loop.run();
  TransferRun::end(stop);
  if (!result) {
    // The job's frames unhook themselves from the loop, so they must go on it.
    loop.post([&] {
      job.cancel();
      loop.stop();
    });
    loop.run();
    return fail(Code::cancelled, what + ": cancelled");
  }
  return within(what, std::move(*result));
}

}  // namespace estiba::image
