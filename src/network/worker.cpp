#include "network/worker.h"

#include <pthread.h>
#include <signal.h>

namespace estiba::network {

Worker::Worker(const char* name) : thread_([this, name] { loop(name); }) {}

Worker::~Worker() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Worker::post(UniqueFunction<void()> work) {
  {
    std::lock_guard lock(mutex_);
    queue_.push_back(std::move(work));
  }
  wake_.notify_one();
}

void Worker::loop(const char* name) {
  pthread_setname_np(pthread_self(), name);
  sigset_t all;  // signals are for the main thread
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stop_ || !queue_.empty(); });
    if (queue_.empty()) return;
    auto work = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    work();
    work.reset();
    lock.lock();
  }
}

}  // namespace estiba::network
