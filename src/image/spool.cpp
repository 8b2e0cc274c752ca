#include "image/spool.h"

#include <fcntl.h>
#include <unistd.h>

#include "os/file.h"

namespace estiba::image {

Result<uint64_t> Spool::prepare(Store& store, const Descriptor& descriptor) {
  constexpr uint64_t worth_keeping = 1 << 20;
  blob_.emplace(TRY(descriptor.size < worth_keeping ? store.new_blob() : store.partial_blob(descriptor.digest, descriptor.size)));
  return blob_->size();
}

Result<void> Spool::receive(Pipe::Reader& source, const Descriptor& descriptor) {
  auto received = [&]() -> Result<void> {
    BlobWriter blob = std::move(*blob_);
    {
      std::lock_guard lock(mutex_);
      file_ = TRY(os::open_file(blob.path(), O_RDONLY));
      received_ = true;
    }
    note(blob.size());
    std::string piece;
    for (;;) {
      piece = TRY(source.next(std::move(piece)));
      if (piece.empty()) break;
      TRY(blob.write(piece));
      note(blob.size());
    }
    TRY(blob.commit(descriptor.digest));
    return {};
  }();
  received = within("blob " + descriptor.digest, std::move(received));
  settle(received ? std::nullopt : std::optional(received.error()));
  return received;
}

void Spool::note(uint64_t size) {
  std::lock_guard lock(mutex_);
  size_ = size;
  grown_.notify_all();
}

void Spool::settle(std::optional<Error> error) {
  std::lock_guard lock(mutex_);
  if (done_ || error_) return;
  error_ = std::move(error);
  done_ = !error_;
  grown_.notify_all();
}

bool Spool::was_there() {
  std::lock_guard lock(mutex_);
  return !received_;
}

class Spool::Follower final : public Source {
 public:
  Follower(Spool& spool, const Store& store, std::string digest) : spool_(spool), store_(store), digest_(std::move(digest)) {}

  Result<size_t> read(std::span<char> buffer) override {
    if (stored_) return stored_->read(buffer);
    uint64_t there = 0;
    {
      std::unique_lock lock(spool_.mutex_);
      spool_.grown_.wait(lock, [&] { return spool_.size_ > offset_ || spool_.done_ || spool_.error_; });
      if (spool_.error_) return std::unexpected(*spool_.error_);
      there = spool_.size_;
      if (there == offset_ && spool_.file_) return 0;
    }
    if (there == 0) {  // it was in the store from the beginning
      stored_ = TRY(store_.open_layer_source(digest_));
      return stored_->read(buffer);
    }
    size_t want = std::min<uint64_t>(buffer.size(), there - offset_);
    for (;;) {
      ssize_t n = ::pread(spool_.file_.get(), buffer.data(), want, off_t(offset_));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return fail_errno("read blob " + digest_);
      offset_ += uint64_t(n);
      return size_t(n);
    }
  }

 private:
  Spool& spool_;
  const Store& store_;
  std::string digest_;
  uint64_t offset_ = 0;
  std::unique_ptr<Source> stored_;
};

std::unique_ptr<Source> Spool::reader(const Store& store, std::string digest) {
  return std::make_unique<Follower>(*this, store, std::move(digest));
}

}  // namespace estiba::image
