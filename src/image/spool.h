// Spool: a blob that is read by one thread while another still writes it, from the page cache. Internal to image/.
#pragma once
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>

#include "base/fd.h"
#include "image/pipe.h"
#include "image/store.h"

namespace estiba::image {

class Spool {
 public:
  /// Opens the place of the blob; returns how much of it an earlier download has left there. Blocking.
  Result<uint64_t> prepare(Store& store, const Descriptor& descriptor);
  /// After prepare(). Reads `source` to its end into the store as the blob `descriptor`, and lets readers follow. Blocking.
  Result<void> receive(Pipe::Reader& source, const Descriptor& descriptor);
  /// The blob is in the store already, or will never come.
  void settle(std::optional<Error> error);
  /// It was in the store before.
  bool was_there();
  /// The blob's bytes from its start; waits for what is not there yet. Blocking; refers to `store`.
  std::unique_ptr<Source> reader(const Store& store, std::string digest);

 private:
  class Follower;
  void note(uint64_t size);
  std::mutex mutex_;
  std::condition_variable grown_;
  std::optional<BlobWriter> blob_;
  Fd file_;            // of the blob on its way
  uint64_t size_ = 0;  // written so far
  bool done_ = false, received_ = false;
  std::optional<Error> error_;
};

}  // namespace estiba::image
