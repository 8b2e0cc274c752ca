#include "io/foreign_pipe.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <memory>

namespace estiba::io {

namespace {

struct Closing {
  enum Step : int { begun, apart, failed, left };
  const int fd;
  std::atomic<int> step{begun};

  void go_to(Step next) {
    step.store(next);
    step.notify_all();
  }
};
using ClosingRef = std::shared_ptr<Closing>;

// Its own table of descriptors has nothing but the pipe; once the process has let go of that, it is the last to do so.
void* close_apart(void* argument) {
  const std::unique_ptr<ClosingRef> owned(static_cast<ClosingRef*>(argument));
  Closing& closing = **owned;
  if (unshare(CLONE_FILES) != 0) {
    closing.go_to(Closing::failed);
    return nullptr;
  }
  closing.go_to(Closing::apart);
  closing.step.wait(Closing::apart);
  if (closing.fd > 0) close_range(0, unsigned(closing.fd) - 1, 0);
  close_range(unsigned(closing.fd) + 1, ~0U, 0);
  ::close(closing.fd);
  return nullptr;
}

bool start(const ClosingRef& closing) {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return false;
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  auto argument = std::make_unique<ClosingRef>(closing);
  pthread_t thread;
  const bool started = pthread_create(&thread, &attributes, close_apart, argument.get()) == 0;
  if (started) (void)argument.release();
  pthread_attr_destroy(&attributes);
  return started;
}

}  // namespace

bool has_input(int fd) {
  pollfd asked{.fd = fd, .events = POLLIN, .revents = 0};
  return poll(&asked, 1, 0) != 0;
}

void close_foreign_pipe(int fd) {
  struct stat facts{};
  const bool pipe = fstat(fd, &facts) == 0 && S_ISFIFO(facts.st_mode);
  const auto closing = std::make_shared<Closing>(fd);
  if (!pipe || !start(closing)) {
    ::close(fd);
    return;
  }
  closing->step.wait(Closing::begun);
  ::close(fd);
  if (closing->step.load() == Closing::apart) closing->go_to(Closing::left);
}

}  // namespace estiba::io
