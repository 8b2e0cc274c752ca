#include "image/pipe.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <vector>

namespace estiba::image {

struct Pipe::State {
  explicit State(size_t limit) : capacity(limit), executor(Executor::current()) {}

  const size_t capacity;
  Executor* const executor;
  std::shared_ptr<Event> changed = std::make_shared<Event>();  // the coroutine's side waits for it; only its thread touches it
  std::mutex mutex;
  std::condition_variable moved;  // the thread's side waits for it
  std::deque<std::string> pieces;
  std::vector<std::string> spare;  // memory of pieces that have been used
  size_t size = 0;
  bool ended = false;      // whoever writes has said that it is at its end
  bool gone_here = false;  // the Pipe
  bool gone_there = false;
  bool coroutine_waits = false;
  std::optional<Error> error;

  /// With the mutex held.
  void keep(std::string used) {
    if (used.capacity() < piece_size || spare.size() * piece_size >= capacity) return;
    used.clear();
    spare.push_back(std::move(used));
  }
  /// With the mutex held.
  void wake_coroutine() {
    if (gone_here || !std::exchange(coroutine_waits, false)) return;
    executor->post([event = std::weak_ptr<Event>(changed)] {
      if (auto e = event.lock()) e->set();
    });
  }
};

namespace {
std::string take_space(std::mutex& mutex, std::vector<std::string>& spare) {
  {
    std::lock_guard lock(mutex);
    if (!spare.empty()) {
      std::string out = std::move(spare.back());
      spare.pop_back();
      return out;
    }
  }
  std::string out;
  out.reserve(Pipe::piece_size);
  return out;
}
}  // namespace

std::string Pipe::space() { return take_space(state_->mutex, state_->spare); }

void Pipe::give_back(std::string used) {
  std::lock_guard lock(state_->mutex);
  state_->keep(std::move(used));
}

Pipe::Pipe(size_t capacity) : state_(std::make_shared<State>(capacity)) {}

Pipe::~Pipe() {
  if (!state_) return;
  std::lock_guard lock(state_->mutex);
  state_->gone_here = true;
  state_->changed.reset();
  state_->moved.notify_all();
}

Task<bool> Pipe::put(std::string bytes) {
  auto state = state_;
  auto changed = state->changed;
  for (;;) {
    {
      std::lock_guard lock(state->mutex);
      if (state->gone_there) co_return false;
      if (state->size < state->capacity) {
        state->size += bytes.size();
        if (!bytes.empty()) state->pieces.push_back(std::move(bytes));
        state->moved.notify_all();
        co_return true;
      }
      state->coroutine_waits = true;
      changed->reset();
    }
    co_await changed->wait();
  }
}

void Pipe::end(std::optional<Error> error) {
  std::lock_guard lock(state_->mutex);
  state_->ended = true;
  state_->error = std::move(error);
  state_->moved.notify_all();
}

Task<Result<std::string>> Pipe::take() {
  auto state = state_;
  auto changed = state->changed;
  for (;;) {
    {
      std::lock_guard lock(state->mutex);
      if (!state->pieces.empty()) {
        std::string piece = std::move(state->pieces.front());
        state->pieces.pop_front();
        state->size -= piece.size();
        state->moved.notify_all();
        co_return piece;
      }
      if (state->error) co_return std::unexpected(*state->error);
      if (state->ended) co_return std::string();
      if (state->gone_there) co_return fail(Code::cancelled, "the writer has gone");
      state->coroutine_waits = true;
      changed->reset();
    }
    co_await changed->wait();
  }
}

std::unique_ptr<Pipe::Reader> Pipe::reader() { return std::make_unique<Reader>(state_); }
std::unique_ptr<Pipe::Writer> Pipe::writer() { return std::make_unique<Writer>(state_); }

Pipe::Reader::~Reader() {
  std::lock_guard lock(state_->mutex);
  state_->gone_there = true;
  state_->pieces.clear();
  state_->wake_coroutine();
}

Result<size_t> Pipe::Reader::read(std::span<char> buffer) {
  if (taken_ == piece_.size()) {
    std::unique_lock lock(state_->mutex);
    state_->moved.wait(lock, [&] { return !state_->pieces.empty() || state_->ended || state_->gone_here; });
    if (state_->pieces.empty()) {
      if (state_->error) return std::unexpected(*state_->error);
      if (state_->ended) return 0;
      return fail(Code::cancelled, "cancelled");
    }
    piece_ = std::move(state_->pieces.front());
    taken_ = 0;
    state_->pieces.pop_front();
    state_->size -= piece_.size();
    if (state_->size <= state_->capacity / 2) state_->wake_coroutine();
  }
  size_t n = piece_.copy(buffer.data(), buffer.size(), taken_);
  taken_ += n;
  return n;
}

Result<std::string> Pipe::Reader::next(std::string used) {
  std::unique_lock lock(state_->mutex);
  state_->keep(std::move(used));
  state_->moved.wait(lock, [&] { return !state_->pieces.empty() || state_->ended || state_->gone_here; });
  if (state_->pieces.empty()) {
    if (state_->error) return std::unexpected(*state_->error);
    if (state_->ended) return std::string();
    return fail(Code::cancelled, "cancelled");
  }
  std::string piece = std::move(state_->pieces.front());
  state_->pieces.pop_front();
  state_->size -= piece.size();
  if (state_->size <= state_->capacity / 2) state_->wake_coroutine();
  return piece;
}

Pipe::Writer::~Writer() {
  std::lock_guard lock(state_->mutex);
  state_->gone_there = true;
  state_->wake_coroutine();
}

Result<void> Pipe::Writer::push(std::string bytes) {
  if (bytes.empty()) return {};
  std::unique_lock lock(state_->mutex);
  state_->moved.wait(lock, [&] { return state_->size < state_->capacity || state_->gone_here; });
  if (state_->gone_here) return fail(Code::cancelled, "cancelled");
  state_->size += bytes.size();
  state_->pieces.push_back(std::move(bytes));
  state_->wake_coroutine();
  return {};
}

Result<void> Pipe::Writer::write(std::string_view bytes) {
  if (small_.size() + bytes.size() < 64 * 1024) {
    small_ += bytes;
    return {};
  }
  TRY(flush());
  return push(std::string(bytes));
}

Result<void> Pipe::Writer::copy_from(Source& source) {
  TRY(flush());
  for (;;) {
    std::string piece = take_space(state_->mutex, state_->spare);
    size_t size = 0;
    piece.resize_and_overwrite(piece_size, [](char*, size_t n) { return n; });
    while (size < piece_size) {
      size_t n = TRY(source.read({piece.data() + size, piece_size - size}));
      if (n == 0) break;
      size += n;
    }
    if (size == 0) return {};
    piece.resize(size);
    TRY(push(std::move(piece)));
  }
}

Result<void> Pipe::Writer::flush() { return push(std::exchange(small_, {})); }

void Pipe::Writer::finish(std::optional<Error> error) {
  if (auto pushed = flush(); !pushed) return;
  std::lock_guard lock(state_->mutex);
  state_->ended = true;
  state_->error = std::move(error);
  state_->wake_coroutine();
}

}  // namespace estiba::image
