#include "io/pool.h"

#include <vector>

namespace estiba::io {

using namespace std::chrono_literals;

struct Pool::State {
  explicit State(size_t most) : most(most) {}
  const size_t most;
  std::mutex mutex;
  std::condition_variable work_came, thread_ended;
  std::deque<Executor::Work> queue;
  size_t threads = 0, idle = 0;
  bool closing = false;
};

Pool::Pool(size_t threads) : state_(std::make_shared<State>(threads)) {}

Pool::~Pool() {
  std::deque<Executor::Work> dropped;
  std::unique_lock lock(state_->mutex);
  state_->closing = true;
  dropped.swap(state_->queue);
  state_->work_came.notify_all();
  state_->thread_ended.wait(lock, [&] { return state_->threads == 0; });
  lock.unlock();
}

Pool& Pool::shared() {
  static Pool* pool = new Pool(4);  // never destroyed: its threads may outlive main's statics
  return *pool;
}

void Pool::submit(Executor::Work work) {
  std::lock_guard lock(state_->mutex);
  state_->queue.push_back(std::move(work));
  if (state_->idle >= state_->queue.size() || state_->threads == state_->most) {
    state_->work_came.notify_one();
    return;
  }
  ++state_->threads;
  std::thread(work_until_idle, state_).detach();
}

void Pool::work_until_idle(std::shared_ptr<State> state) {
  std::unique_lock lock(state->mutex);
  while (!state->closing) {
    if (state->queue.empty()) {
      ++state->idle;
      bool came = state->work_came.wait_for(lock, 10s, [&] { return !state->queue.empty() || state->closing; });
      --state->idle;
      if (!came) break;
      continue;
    }
    Executor::Work work = std::move(state->queue.front());
    state->queue.pop_front();
    lock.unlock();
    work();
    work.reset();
    lock.lock();
  }
  --state->threads;
  state->thread_ended.notify_all();
}

}  // namespace estiba::io
