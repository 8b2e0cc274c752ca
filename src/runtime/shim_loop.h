// The shim's event loop: epoll, one thread, timers by deadline. io::Loop does more and so costs more memory; a shim is there
// once per pod.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "base/executor.h"
#include "base/function.h"
#include "os/fd.h"

namespace estiba::runtime {

class ShimLoop {
 public:
  using Handler = UniqueFunction<void(uint32_t events)>;

  Result<void> open();
  /// Calls `handler` while one of the epoll events holds. A handler may forget any fd, its own too.
  Result<void> watch(int fd, uint32_t events, Handler handler);
  Result<void> change(int fd, uint32_t events);
  /// Before the fd is closed.
  void forget(int fd);
  /// Calls `work` once, at `when`; returns a number for cancel().
  uint64_t at(Instant when, UniqueFunction<void()> work);
  void cancel(uint64_t timer);
  void run();
  void stop() { stopped_ = true; }

 private:
  int timeout_ms() const;
  void run_timers();

  struct Timer {
    uint64_t id;
    UniqueFunction<void()> work;
  };
  os::Fd epoll_;
  std::map<int, std::shared_ptr<Handler>> handlers_;
  std::multimap<Instant, Timer> timers_;
  uint64_t next_timer_ = 1;
  bool stopped_ = false;
};

}  // namespace estiba::runtime
