#include "runtime/shim_attach.h"

#include <sys/epoll.h>
#include <unistd.h>

namespace estiba::runtime {

void AttachPipe::close() {
  if (watching_) loop_.forget(fd_.get());
  watching_ = false;
  fd_.reset();
  kept_.clear();
}

void AttachPipe::send() {
  const bool was_full = full();
  size_t sent = 0;
  while (sent < kept_.size()) {
    ssize_t n = ::write(fd_.get(), kept_.data() + sent, kept_.size() - sent);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) break;
    if (n < 0) {
      close();
      break;
    }
    sent += size_t(n);
  }
  kept_.erase(0, sent);
  if (fd_ && kept_.empty() && finishing_) close();
  bool want = fd_ && !kept_.empty();
  if (want && !watching_) watching_ = bool(loop_.watch(fd_.get(), EPOLLOUT, [this](uint32_t) { send(); }));
  if (!want && watching_) {
    loop_.forget(fd_.get());
    watching_ = false;
  }
  if (was_full && !full()) taken_();
}

void AttachPipe::write(std::string_view bytes) {
  if (!fd_ || finishing_) return;
  if (!taken_ && kept_.size() + bytes.size() > limit) return close();
  if (kept_.empty()) {
    ssize_t n = ::write(fd_.get(), bytes.data(), bytes.size());
    if (n < 0 && errno != EAGAIN && errno != EINTR) return close();
    if (n > 0) bytes.remove_prefix(size_t(n));
    if (bytes.empty()) return;
  }
  kept_ += bytes;
  send();
}

void AttachPipe::finish() {
  finishing_ = true;
  if (!fd_) return;
  // The reader may still be reading when this process ends; a pipe that holds it all does not need us any more.
  if (!kept_.empty()) (void)os::grow_pipe(fd_.get(), kept_.size() + (128 << 10));
  send();
}

InputPump::~InputPump() {
  if (from_) loop_.forget(from_.get());
  if (to_) loop_.forget(to_.get());
}

Result<void> InputPump::start() {
  TRY(os::set_nonblocking(from_.get()));
  TRY(os::set_nonblocking(to_.get()));
  return loop_.watch(from_.get(), EPOLLIN, [this](uint32_t) { move(); });
}

void InputPump::move() {
  for (;;) {
    if (kept_.empty()) {
      char buffer[4096];
      ssize_t n = ::read(from_.get(), buffer, sizeof buffer);
      if (n < 0 && (errno == EAGAIN || errno == EINTR)) break;
      if (n <= 0) {  // nobody can type any more; the terminal stays
        loop_.forget(from_.get());
        from_.reset();
        loop_.forget(to_.get());
        return;
      }
      kept_.assign(buffer, size_t(n));
    }
    ssize_t n = ::write(to_.get(), kept_.data(), kept_.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      // The terminal's input is full: not until it is read.
      loop_.forget(from_.get());
      (void)loop_.watch(to_.get(), EPOLLOUT, [this](uint32_t) { move(); });
      return;
    }
    kept_.erase(0, n > 0 ? size_t(n) : kept_.size());
  }
  loop_.forget(to_.get());
  (void)loop_.watch(from_.get(), EPOLLIN, [this](uint32_t) { move(); });
}

}  // namespace estiba::runtime
