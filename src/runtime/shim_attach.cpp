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
  while (!kept_.empty()) {
    ssize_t n = ::write(fd_.get(), kept_.data(), kept_.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) break;
    if (n < 0) return close();
    kept_.erase(0, size_t(n));
  }
  if (kept_.empty() && finishing_) return close();
  bool want = !kept_.empty();
  if (want && !watching_) watching_ = bool(loop_.watch(fd_.get(), EPOLLOUT, [this](uint32_t) { send(); }));
  if (!want && watching_) {
    loop_.forget(fd_.get());
    watching_ = false;
  }
}

void AttachPipe::write(std::string_view bytes) {
  if (!fd_ || finishing_) return;
  if (kept_.size() + bytes.size() > limit) return close();
  kept_ += bytes;
  send();
}

void AttachPipe::finish() {
  finishing_ = true;
  if (fd_) send();
}

}  // namespace estiba::runtime
