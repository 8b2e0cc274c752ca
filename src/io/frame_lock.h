// FrameLock: several coroutines write frames to one stream, whole and one after the other. Internal to io/.
#pragma once
#include "io/stream.h"

namespace estiba::io {

class FrameLock {
 public:
  explicit FrameLock(Stream& stream) : stream_(stream) {}

  /// The right to write; it ends with the object. A turn that is dropped within a frame closes the stream, because the
  /// peer could not make sense of what follows.
  class Turn {
   public:
    explicit Turn(FrameLock* lock) : lock_(lock) {}
    Turn(Turn&& other) noexcept : lock_(std::exchange(other.lock_, nullptr)), whole_(other.whole_) {}
    ~Turn() {
      if (!lock_) return;
      if (!whole_) lock_->stream_.close();
      lock_->busy_ = false;
      lock_->free_.set();
    }
    Task<Result<void>> write(std::string_view head, std::string_view first = {}, std::string_view second = {}) {
      std::string_view parts[] = {head, first, second};
      whole_ = false;
      auto result = co_await lock_->stream_.write_parts(parts);
      whole_ = result.has_value();
      co_return result;
    }

   private:
    FrameLock* lock_;
    bool whole_ = true;
  };

  Task<Turn> take() {
    while (busy_) {
      free_.reset();
      co_await free_.wait();
    }
    busy_ = true;
    co_return Turn(this);
  }

 private:
  Stream& stream_;
  bool busy_ = false;
  Event free_;
};

}  // namespace estiba::io
