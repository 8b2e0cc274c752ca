// Pipe: bytes between a coroutine and a thread that blocks, either way, with a bound on what is under way. The coroutine's side belongs to
// one executor; the blocking side is a Source or a Sink on a thread of a pool. Whoever goes first ends the other: a
// dropped coroutine makes the thread's next call fail with Code::cancelled, a thread that is done makes put() say so.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/task.h"
#include "image/stream.h"

namespace estiba::image {

/// The coroutine's end of a pipe whose other end is its reader or writer. Made on the executor's thread.
class Pipe {
 public:
  explicit Pipe(size_t capacity = 4 << 20);
  /// The blocking side fails from now on, unless end() was called and it has all.
  ~Pipe();
  Pipe(Pipe&&) noexcept = default;
  Pipe(const Pipe&) = delete;

  /// Gives bytes to the reader; waits while too much is under way. False when the reader has gone: more is pointless.
  Task<bool> put(std::string bytes);
  /// No more comes; with an error the reader fails with it.
  void end(std::optional<Error> error = std::nullopt);
  /// An empty string with room for `piece_size` bytes: one whose bytes have been used, where there is one. Any thread.
  std::string space();
  /// Gives such memory back.
  void give_back(std::string used);
  /// Bytes of the writer; empty at its end. An error of the writer (Writer::fail, or that it went without finish()) comes behind all
  /// its bytes.
  Task<Result<std::string>> take();

  /// The blocking ends; each is used by one thread. They may outlive the Pipe.
  class Reader;
  class Writer;
  static constexpr size_t piece_size = 256 * 1024;
  std::unique_ptr<Reader> reader();
  std::unique_ptr<Writer> writer();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

class Pipe::Reader final : public Source {
 public:
  explicit Reader(std::shared_ptr<State> state) : state_(std::move(state)) {}
  ~Reader() override;
  Result<size_t> read(std::span<char> buffer) override;
  /// The next bytes as they came, without a copy; empty is the end. Not mixed with read(). `used` is the piece before, or empty.
  Result<std::string> next(std::string used = {});

 private:
  std::shared_ptr<State> state_;
  std::string piece_;
  size_t taken_ = 0;
};

class Pipe::Writer final : public Sink {
 public:
  explicit Writer(std::shared_ptr<State> state) : state_(std::move(state)) {}
  ~Writer() override;
  /// Short writes are gathered; flush() sends them.
  Result<void> write(std::string_view bytes) override;
  Result<void> flush();
  /// All that `source` gives, read straight into the pieces.
  Result<void> copy_from(Source& source);
  void finish(std::optional<Error> error = std::nullopt);

 private:
  Result<void> push(std::string bytes);
  std::shared_ptr<State> state_;
  std::string small_;
};

}  // namespace estiba::image
