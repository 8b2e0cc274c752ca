// Blocking byte streams between files, hashes, compressors and archives. Used on pool threads and in the CLI, never on an
// event loop.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"
#include "image/digest.h"

namespace estiba::image {

class Source {
 public:
  virtual ~Source() = default;
  /// Fills some of `buffer` (not empty) and says how much; 0 is the end.
  virtual Result<size_t> read(std::span<char> buffer) = 0;
};

class Sink {
 public:
  virtual ~Sink() = default;
  virtual Result<void> write(std::string_view bytes) = 0;
};

/// Bytes [offset, offset + length) of a seekable file, which stays the caller's; or all that a pipe gives.
class FileSource final : public Source {
 public:
  explicit FileSource(int fd) : fd_(fd) {}
  FileSource(int fd, uint64_t offset, uint64_t length) : fd_(fd), positioned_(true), offset_(offset), left_(length) {}
  Result<size_t> read(std::span<char> buffer) override;

 private:
  int fd_;
  bool positioned_ = false;
  uint64_t offset_ = 0, left_ = 0;
};

class StringSource final : public Source {
 public:
  explicit StringSource(std::string_view text) : text_(text) {}
  Result<size_t> read(std::span<char> buffer) override;

 private:
  std::string_view text_;
};

/// Passes on another source's bytes, hashing and counting them, and copying them to `tee` when there is one.
class HashingSource final : public Source {
 public:
  explicit HashingSource(Source& inner, Sink* tee = nullptr) : inner_(inner), tee_(tee) {}
  Result<size_t> read(std::span<char> buffer) override;
  /// Of all that was read. Call once.
  std::string digest() { return hash_.digest(); }
  uint64_t count() const { return count_; }

 private:
  Source& inner_;
  Sink* tee_;
  Sha256 hash_;
  uint64_t count_ = 0;
};

class FileSink final : public Sink {
 public:
  explicit FileSink(int fd) : fd_(fd) {}
  Result<void> write(std::string_view bytes) override;

 private:
  int fd_;
};

class HashingSink final : public Sink {
 public:
  explicit HashingSink(Sink& inner) : inner_(inner) {}
  Result<void> write(std::string_view bytes) override;
  std::string digest() { return hash_.digest(); }
  uint64_t count() const { return count_; }

 private:
  Sink& inner_;
  Sha256 hash_;
  uint64_t count_ = 0;
};

enum class Compression : unsigned char { none, gzip, zstd };

/// What `inner` holds, decompressed: gzip and zstd are known by their first bytes, anything else is passed on as it is.
/// Truncated or damaged compressed data is malformed.
class Decompressor final : public Source {
 public:
  explicit Decompressor(Source& inner);
  ~Decompressor() override;
  Result<size_t> read(std::span<char> buffer) override;
  /// Known after the first read.
  Compression compression() const { return compression_; }
  /// Reads as much as is needed to know it.
  Result<Compression> find_compression();

 private:
  struct State;
  Result<void> detect();
  Result<size_t> read_gzip(std::span<char> buffer);
  Result<size_t> read_zstd(std::span<char> buffer);
  Result<bool> refill();

  Source& inner_;
  Compression compression_ = Compression::none;
  std::unique_ptr<State> state_;
};

/// Compresses to zstd (level 1: the store trades size for import time).
class ZstdSink final : public Sink {
 public:
  explicit ZstdSink(Sink& inner);
  ~ZstdSink() override;
  Result<void> write(std::string_view bytes) override;
  /// Ends the frame. Call once, last.
  Result<void> finish();

 private:
  Result<void> step(std::string_view bytes, int mode);
  struct State;
  Sink& inner_;
  std::unique_ptr<State> state_;
};

class GzipSink final : public Sink {
 public:
  /// `level` 1 to 9.
  explicit GzipSink(Sink& inner, int level = 6);
  ~GzipSink() override;
  Result<void> write(std::string_view bytes) override;
  Result<void> finish();

 private:
  Result<void> step(std::string_view bytes, int mode);
  struct State;
  Sink& inner_;
  std::unique_ptr<State> state_;
};

inline constexpr size_t chunk_size = 256 * 1024;

/// Copies to the end; `sink` may be null to read only. Returns the number of bytes. More than `limit` bytes: too_large.
Result<uint64_t> copy_all(Source& source, Sink* sink, uint64_t limit = UINT64_MAX);
Result<std::string> read_all(Source& source, uint64_t limit);

}  // namespace estiba::image
