// The contents of a context's files once they belong to a build: small ones one behind the other in a file, each large one in a file of
// its own, which a layer can take over without a copy.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace estiba::build {

/// Where a file's bytes lie.
struct ContentPlace {
  enum class Kind : unsigned char { nowhere, shared, own };
  Kind kind = Kind::nowhere;  ///< nowhere: an empty file
  uint64_t at = 0;            ///< the offset in the shared file, or the number of its own
};

/// Bytes of a file that is open.
struct OpenContent {
  Fd own;  ///< keeps the descriptor; empty when it belongs to somebody else
  int fd = -1;
  uint64_t offset = 0;
};

class Contents {
 public:
  static constexpr uint64_t large = 256 << 10;

  /// In `directory`, which goes with the build; it takes what is free there, but for a reserve.
  static Result<std::unique_ptr<Contents>> open(std::string directory);

  /// One file after another: add(), then write() until it is whole. Blocking; one thread.
  Result<ContentPlace> add(uint64_t size);
  Result<void> write(std::string_view bytes);
  /// The same from the file `fd`, within the kernel.
  Result<void> write_from(int fd, uint64_t size);
  /// Call after the last one; only then may files be read.
  Result<void> finish();

  /// Any thread.
  Result<OpenContent> read(ContentPlace place) const;
  /// Moves the file to `target`, a new name, where its content must stay as it is: it can still be read here. False: it must be copied.
  bool give(ContentPlace place, const std::string& target);

 private:
  Contents(std::string directory, uint64_t room) : directory_(std::move(directory)), room_(room), left_(room) {}
  std::string path(uint64_t number) const { return directory_ + "/file-" + std::to_string(number); }
  Result<void> flush();

  const std::string directory_;
  const uint64_t room_;
  uint64_t left_;
  Fd shared_, current_;  // current_: of a large file
  std::string waiting_;  // of the shared file
  uint64_t shared_size_ = 0, numbers_ = 0;
  mutable std::mutex mutex_;
  std::map<uint64_t, Fd> given_;  // guarded by mutex_; files that are elsewhere now
};

}  // namespace estiba::build
