// Mutex: one coroutine of a thread at a time, the others in the order of their coming.
//
//   auto held = co_await mutex.lock();   // until `held` goes
#pragma once
#include <list>
#include <memory>
#include <utility>

#include "base/task.h"

namespace estiba::docker {

class Mutex {
 public:
  class Held {
   public:
    Held() = default;
    explicit Held(Mutex* mutex) : mutex_(mutex) {}
    Held(Held&& other) noexcept : mutex_(std::exchange(other.mutex_, nullptr)) {}
    Held& operator=(Held&& other) noexcept {
      release();
      mutex_ = std::exchange(other.mutex_, nullptr);
      return *this;
    }
    ~Held() { release(); }
    void release() {
      if (Mutex* mutex = std::exchange(mutex_, nullptr)) mutex->unlock();
    }

   private:
    Mutex* mutex_ = nullptr;
  };

  /// The mutex outlives the waiting and what it returns.
  Task<Held> lock() {
    if (!locked_) {
      locked_ = true;
      co_return Held(this);
    }
    Turn turn(*this);
    co_await turn.come.wait();
    turn.taken = true;
    co_return Held(this);
  }
  bool locked() const { return locked_; }

 private:
  // A place in the queue. One that is dropped after its turn has come passes the turn on.
  struct Turn {
    explicit Turn(Mutex& mutex) : mutex(mutex) { mutex.queue_.push_back(this); }
    ~Turn() {
      if (!come.is_set()) mutex.queue_.remove(this);
      else if (!taken) mutex.unlock();
    }
    Mutex& mutex;
    Event come;
    bool taken = false;
  };
  void unlock() {
    if (queue_.empty()) {
      locked_ = false;
      return;
    }
    Turn* next = queue_.front();
    queue_.pop_front();
    next->come.set();
  }

  bool locked_ = false;
  std::list<Turn*> queue_;
};

}  // namespace estiba::docker
