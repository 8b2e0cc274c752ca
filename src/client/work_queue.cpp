#include "client/work_queue.h"

#include "base/log.h"
#include "client/backoff.h"

namespace estiba::client {

WorkQueue::WorkQueue(Executor& executor, std::string name, Reconcile reconcile, WorkQueueOptions options)
    : executor_(executor), name_(std::move(name)), reconcile_(std::move(reconcile)), options_(options) {}

WorkQueue::~WorkQueue() {
  dispatcher_.cancel();
  workers_.cancel();
  for (auto& [key, entry] : entries_)
    if (entry.timer.id) executor_.cancel(entry.timer);
}

void WorkQueue::start() {
  if (dispatcher_.done()) dispatcher_ = Job(dispatch());
}

void WorkQueue::enqueue(const std::string& key, Entry& entry) {
  if (entry.timer.id) executor_.cancel(std::exchange(entry.timer, {}));
  if (entry.running) {
    entry.dirty = true;
  } else if (!entry.queued) {
    entry.queued = true;
    ready_.push_back(key);
    wake_.set();
  }
}

void WorkQueue::add(std::string_view key) {
  auto it = entries_.try_emplace(std::string(key)).first;
  enqueue(it->first, it->second);
}

void WorkQueue::add_after(std::string_view key, Duration delay) {
  if (delay <= Duration::zero()) return add(key);
  auto it = entries_.try_emplace(std::string(key)).first;
  if (it->second.queued) return;  // it will look by itself, and ask again if it is too early
  arm(it->first, it->second, executor_.now() + delay);
}

void WorkQueue::arm(const std::string& key, Entry& entry, Instant due) {
  if (entry.timer.id) {
    if (entry.due <= due) return;
    executor_.cancel(entry.timer);
  }
  entry.due = due;
  // Entries are never moved and stay while their timer is armed.
  entry.timer = executor_.at(due, [this, &entry, &key] {
    entry.timer = {};
    enqueue(key, entry);
  });
}

Task<void> WorkQueue::dispatch() {
  for (;;) {
    co_await wake_.wait();
    wake_.reset();
    while (!ready_.empty() && running_ < options_.workers) {
      const std::string key = std::move(ready_.front());
      ready_.pop_front();
      Entry& entry = entries_.find(key)->second;
      entry.queued = false;
      entry.running = true;
      ++running_;
      workers_.start(work(this, key));
    }
  }
}

Task<void> WorkQueue::work(WorkQueue* queue, std::string key) {
  const Result<void> result = co_await queue->reconcile_(key);
  queue->finish(key, result);
}

void WorkQueue::finish(const std::string& key, const Result<void>& result) {
  auto it = entries_.find(key);
  Entry& entry = it->second;
  entry.running = false;
  if (running_-- == options_.workers) wake_.set();
  const bool again = std::exchange(entry.dirty, false);
  if (!result) {
    const Duration pause = Backoff::delay(options_.first_pause, options_.longest_pause, entry.failures++);
    // A conflict means that somebody else was quicker; the watch is about to say so.
    const auto level = result.error().code == Code::conflict ? log::Level::debug : log::Level::warn;
    log::write(level, name_, "will try again", {{"key", key}, {"failures", entry.failures}, {"error", result.error()}});
    if (!again) return arm(it->first, entry, executor_.now() + pause);
  } else {
    entry.failures = 0;
  }
  if (again) return enqueue(it->first, entry);
  if (!entry.timer.id && entry.failures == 0) entries_.erase(it);
}

}  // namespace estiba::client
