#include "io/stream.h"

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <climits>

#include "io/foreign_pipe.h"
#include "io/socket.h"

namespace estiba::io {

// --- what streams need not say themselves --------------------------------------------------------------------------------

Task<Result<void>> Stream::write_parts(std::span<const std::string_view> parts) {
  for (std::string_view part : parts) CO_TRY(co_await write(part));
  co_return {};
}
Task<void> Stream::readable() { co_return; }
void Stream::notify_hangup(Event*) {}
const Peer& Stream::peer() const {
  static const Peer nobody;
  return nobody;
}

namespace {

// --- sockets, pipes, terminals -------------------------------------------------------------------------------------------

class SocketStream final : public Stream {
 public:
  explicit SocketStream(int fd) : socket_(fd) {
    int type;
    socklen_t size = sizeof type;
    is_socket_ = getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
  }

  ~SocketStream() override {
    if (!is_socket_) socket_.close_foreign();
  }

  Task<Result<size_t>> read(char* to, size_t size) override {
    for (;;) {
      if (socket_.closed()) co_return closed_here();
      if (!is_socket_ && !has_input(socket_.fd())) {
        co_await socket_.readable();
        continue;
      }
      // recv(2) and sendmsg(2) pass by what files have beside sockets.
      ssize_t got = is_socket_ ? ::recv(socket_.fd(), to, size, 0) : ::read(socket_.fd(), to, size);
      if (got >= 0) co_return size_t(got);
      if (errno == EIO && !is_socket_) co_return 0;  // a terminal whose other side has closed
      if (errno == EINTR) continue;
      if (errno != EAGAIN) co_return fail_errno("read from " + socket_.peer.address);
      co_await socket_.readable();
    }
  }

  Task<Result<void>> write(std::string_view bytes) override {
    while (!bytes.empty()) {
      if (socket_.closed()) co_return closed_here();
      const ssize_t put = put_bytes(bytes);
      if (put >= 0) {
        bytes.remove_prefix(size_t(put));
      } else if (errno == EAGAIN) {
        co_await socket_.writable();
      } else if (errno != EINTR) {
        co_return fail_errno("write to " + socket_.peer.address);
      }
    }
    co_return {};
  }

  Task<Result<void>> write_parts(std::span<const std::string_view> parts) override {
    size_t offset = 0;  // into parts[0]
    while (!parts.empty()) {
      if (socket_.closed()) co_return closed_here();
      const ssize_t put = put_parts(parts, offset);
      if (put < 0 && errno == EAGAIN) co_await socket_.writable();
      if (put < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (put < 0) co_return fail_errno("write to " + socket_.peer.address);
      offset += size_t(put);
      while (!parts.empty() && offset >= parts[0].size()) {
        offset -= parts[0].size();
        parts = parts.subspan(1);
      }
    }
    co_return {};
  }

  Task<void> readable() override {
    if (!socket_.closed()) co_await socket_.readable();
  }
  Task<Result<void>> shutdown_write() override {
    if (socket_.closed()) co_return closed_here();
    if (::shutdown(socket_.fd(), SHUT_WR) < 0 && errno != ENOTCONN && errno != ENOTSOCK)
      co_return fail_errno("shut down the connection to " + socket_.peer.address);
    co_return {};
  }
  void close() override { is_socket_ ? socket_.close() : socket_.close_foreign(); }
  void notify_hangup(Event* event) override { socket_.notify_hangup(event); }
  const Peer& peer() const override { return socket_.peer; }

 private:
  ssize_t put_bytes(std::string_view bytes) {
    return is_socket_ ? ::send(socket_.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL) : ::write(socket_.fd(), bytes.data(), bytes.size());
  }

  // Few bytes are brought together here, which takes less time than the kernel needs for a message's vectors.
  ssize_t put_together(std::span<const std::string_view> parts, size_t offset) {
    char all[most_together];
    size_t size = 0;
    for (std::string_view part : parts) {
      part.remove_prefix(std::exchange(offset, 0));
      if (part.empty()) continue;  // It may have no address at all.
      memcpy(all + size, part.data(), part.size());
      size += part.size();
    }
    return put_bytes({all, size});
  }

  // Outside of the coroutine, whose frame would be too large for malloc's quick ways with the vectors in it.
  ssize_t put_parts(std::span<const std::string_view> parts, size_t offset) {
    if (parts.size() == 1) return put_bytes(parts[0].substr(offset));
    size_t size = 0;
    for (std::string_view part : parts) size += part.size();
    if (size <= most_together) return put_together(parts, offset);
    iovec vectors[64];
    int count = 0;
    for (; size_t(count) < parts.size() && count < 64; ++count) {
      const size_t skip = count == 0 ? offset : 0;
      vectors[count] = {const_cast<char*>(parts[count].data()) + skip, parts[count].size() - skip};
    }
    const msghdr message{.msg_iov = vectors, .msg_iovlen = size_t(count)};
    return is_socket_ ? ::sendmsg(socket_.fd(), &message, MSG_NOSIGNAL) : ::writev(socket_.fd(), vectors, count);
  }

  static constexpr size_t most_together = 4096;
  Socket socket_;
  bool is_socket_ = false;
};

// --- a stream whose beginning is here already ------------------------------------------------------------------------------

class PrefixedStream final : public Stream {
 public:
  PrefixedStream(std::string prefix, StreamPtr stream) : prefix_(std::move(prefix)), stream_(std::move(stream)) {}

  Task<Result<size_t>> read(char* to, size_t size) override {
    if (at_ == prefix_.size()) return stream_->read(to, size);
    return take(this, to, size);
  }
  Task<Result<void>> write(std::string_view bytes) override { return stream_->write(bytes); }
  Task<Result<void>> write_parts(std::span<const std::string_view> parts) override { return stream_->write_parts(parts); }
  Task<void> readable() override { return at_ == prefix_.size() ? stream_->readable() : Stream::readable(); }
  Task<Result<void>> shutdown_write() override { return stream_->shutdown_write(); }
  void close() override { stream_->close(); }
  void notify_hangup(Event* event) override { stream_->notify_hangup(event); }
  const Peer& peer() const override { return stream_->peer(); }

 private:
  static Task<Result<size_t>> take(PrefixedStream* self, char* to, size_t size) {
    size = std::min(size, self->prefix_.size() - self->at_);
    memcpy(to, self->prefix_.data() + self->at_, size);
    self->at_ += size;
    if (self->at_ == self->prefix_.size()) {
      std::string().swap(self->prefix_);
      self->at_ = 0;
    }
    co_return size;
  }
  std::string prefix_;
  size_t at_ = 0;
  StreamPtr stream_;
};

// --- in memory -------------------------------------------------------------------------------------------------------------

struct Pipe {
  std::string bytes;
  size_t capacity;
  bool ended = false;   // nothing more will be written
  bool broken = false;  // nobody reads any more
  Event readable, writable;
  explicit Pipe(size_t capacity) : capacity(capacity) {}
};

class MemoryStream final : public Stream {
 public:
  MemoryStream(std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out) : in_(std::move(in)), out_(std::move(out)) { peer_.address = "memory"; }
  ~MemoryStream() override { MemoryStream::close(); }

  Task<Result<size_t>> read(char* to, size_t size) override {
    auto pipe = in_;
    for (;;) {
      if (pipe->broken) co_return closed_here();
      if (!pipe->bytes.empty() || pipe->ended) break;
      pipe->readable.reset();
      co_await pipe->readable.wait();
    }
    size = std::min(size, pipe->bytes.size());
    memcpy(to, pipe->bytes.data(), size);
    pipe->bytes.erase(0, size);
    pipe->writable.set();
    co_return size;
  }
  Task<Result<void>> write(std::string_view bytes) override {
    auto pipe = out_;
    while (!bytes.empty()) {
      if (pipe->ended) co_return closed_here();
      if (pipe->broken) co_return fail(Code::unavailable, "write: the other end has closed");
      size_t room = std::min(bytes.size(), pipe->capacity - pipe->bytes.size());
      if (room == 0) {
        pipe->writable.reset();
        co_await pipe->writable.wait();
        continue;
      }
      pipe->bytes.append(bytes.substr(0, room));
      bytes.remove_prefix(room);
      pipe->readable.set();
    }
    co_return {};
  }
  Task<void> readable() override {
    auto pipe = in_;
    if (!pipe->bytes.empty() || pipe->ended || pipe->broken) co_return;
    pipe->readable.reset();
    co_await pipe->readable.wait();
  }
  Task<Result<void>> shutdown_write() override {
    out_->ended = true;
    out_->readable.set();
    co_return {};
  }
  void close() override {
    out_->ended = true;
    in_->broken = true;
    for (Event* event : {&out_->readable, &out_->writable, &in_->readable, &in_->writable}) event->set();
  }
  const Peer& peer() const override { return peer_; }

 private:
  std::shared_ptr<Pipe> in_, out_;
  Peer peer_;
};

Task<void> copy_one_way(Stream* from, Stream* to, bool* failed, int* running, Event* done) {
  std::string buffer(16 * 1024, '\0');
  for (;;) {
    auto got = co_await from->read(buffer.data(), buffer.size());
    if (!got) *failed = true;
    if (!got || *got == 0) break;
    auto put = co_await to->write(std::string_view(buffer).substr(0, *got));
    if (!put) *failed = true;
    if (!put) break;
  }
  if (!*failed && !co_await to->shutdown_write()) *failed = true;
  if (--*running == 0 || *failed) done->set();
}

}  // namespace

StreamPtr stream_from_fd(int fd) { return std::make_unique<SocketStream>(fd); }

StreamPtr with_prefix(std::string already_read, StreamPtr stream) {
  if (already_read.empty()) return stream;
  return std::make_unique<PrefixedStream>(std::move(already_read), std::move(stream));
}

std::pair<StreamPtr, StreamPtr> stream_pair(size_t capacity) {
  auto there = std::make_shared<Pipe>(capacity), back = std::make_shared<Pipe>(capacity);
  return {std::make_unique<MemoryStream>(back, there), std::make_unique<MemoryStream>(there, back)};
}

Task<void> copy_both_ways(Stream& a, Stream& b) {
  bool failed = false;
  int running = 2;
  Event done;
  Job there(copy_one_way(&a, &b, &failed, &running, &done));
  Job back(copy_one_way(&b, &a, &failed, &running, &done));
  co_await done.wait();
}

Task<Result<std::string>> read_all(Stream& stream, size_t limit) {
  std::string all;
  char buffer[4096];
  for (;;) {
    size_t got = CO_TRY(co_await stream.read(buffer, sizeof buffer));
    if (got == 0) co_return all;
    if (all.size() + got > limit) co_return fail(Code::too_large, "more than " + std::to_string(limit) + " bytes came");
    all.append(buffer, got);
  }
}

}  // namespace estiba::io
