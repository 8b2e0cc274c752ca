#include "apiserver/fairness/level.h"

#include <algorithm>

namespace estiba::apiserver {

std::vector<size_t> deal_hand(uint64_t hash, size_t queues, size_t hand) {
  std::vector<size_t> out;  // sorted
  for (size_t i = 0; i < std::min(hand, queues); ++i) {
    const uint64_t left = queues - i;
    size_t card = size_t(hash % left);
    hash /= left;
    // The card-th of those that are not dealt yet.
    auto at = out.begin();
    for (; at != out.end() && *at <= card; ++at) ++card;
    out.insert(at, card);
  }
  return out;
}

// --- lending -----------------------------------------------------------------------------------------------------------------

void Lending::set(const std::vector<std::shared_ptr<Level>>& levels) {
  {
    std::lock_guard lock(mutex_);
    levels_.assign(levels.begin(), levels.end());
  }
  dispatch_all();
}

bool Lending::borrow(Level& level) {
  std::lock_guard lock(mutex_);
  int lent = 0, borrowed = 0;
  for (const auto& known : levels_) {
    const auto other = known.lock();
    if (!other || other->exempt()) continue;
    const int nominal = other->nominal_.load(), used = other->in_use_.load();
    borrowed += std::max(0, used - nominal);
    if (other.get() != &level) lent += std::min(other->lendable_.load(), std::max(0, nominal - used));
  }
  const int limit = level.borrowing_limit_.load(), over = level.in_use_.load() - level.nominal_.load();
  if (lent <= borrowed || (limit >= 0 && over >= limit)) return false;
  level.in_use_.fetch_add(1);
  return true;
}

void Lending::dispatch_all() {
  std::vector<std::weak_ptr<Level>> levels;
  {
    std::lock_guard lock(mutex_);
    levels = levels_;
  }
  for (const auto& known : levels)
    if (const auto level = known.lock(); level && level->waiting_.load() > 0) level->dispatch();
}

// --- seats -------------------------------------------------------------------------------------------------------------------

void Seat::leave() {
  if (auto level = std::exchange(level_, nullptr)) level->leave();
}

void Level::reshape(LevelShape shape) {
  std::lock_guard lock(mutex_);
  if (shape == shape_) return;
  // Who waits goes on to wait in his queue; queues that are no longer dealt to empty themselves.
  queues_.resize(std::max(shape.queues, queues_.size()));
  shape_ = shape;
  exempt_ = shape.exempt;
  nominal_ = shape.nominal;
  lendable_ = shape.lendable;
  borrowing_limit_ = shape.borrowing_limit;
}

bool Level::take_own() {
  int now = in_use_.load();
  while (now < nominal_.load())
    if (in_use_.compare_exchange_weak(now, now + 1)) return true;
  return false;
}

Seat Level::try_enter() {
  if (waiting_.load() > 0) return {};
  return take_own() || lending_->borrow(*this) ? Seat(shared_from_this()) : Seat();
}

void Level::leave() {
  in_use_.fetch_sub(1);
  if (lending_->waiting.load() == 0) return;
  if (waiting_.load() > 0) dispatch();
  // What others may borrow has become more.
  if (lending_->waiting.load() > 0) lending_->dispatch_all();
}

// Seats who waits, one of each queue in turn, as long as there are seats.
void Level::dispatch() {
  std::lock_guard lock(mutex_);
  while (waiting_.load() > 0) {
    if (!take_own() && !lending_->borrow(*this)) return;
    while (queues_[next_ % queues_.size()].empty()) ++next_;
    auto& queue = queues_[next_++ % queues_.size()];
    WaiterPtr waiter = std::move(queue.front());
    queue.pop_front();
    waiting_.fetch_sub(1);
    lending_->waiting.fetch_sub(1);
    waiter->state = State::seated;
    waiter->sender.send(true);
  }
}

Level::WaiterPtr Level::enqueue(uint64_t flow, OneShot<bool>::Sender sender) {
  std::lock_guard lock(mutex_);
  if (shape_.queues == 0) return nullptr;
  size_t shortest = 0, length = SIZE_MAX;
  for (size_t index : deal_hand(flow, shape_.queues, shape_.hand_size)) {
    if (queues_[index].size() >= length) continue;
    shortest = index;
    length = queues_[index].size();
  }
  if (length >= shape_.queue_length) return nullptr;
  auto waiter = std::make_shared<Waiter>(std::move(sender), State::queued, shortest);
  queues_[shortest].push_back(waiter);
  waiting_.fetch_add(1);
  lending_->waiting.fetch_add(1);
  return waiter;
}

// The waiter's request has gone: out of the queue, or out of the seat that it got meanwhile.
void Level::give_up(const WaiterPtr& waiter) {
  {
    std::lock_guard lock(mutex_);
    if (waiter->state == State::queued) {
      queues_[waiter->queue].remove(waiter);
      waiting_.fetch_sub(1);
      lending_->waiting.fetch_sub(1);
      waiter->state = State::gone;
      return;
    }
    if (std::exchange(waiter->state, State::gone) != State::seated) return;
  }
  leave();
}

namespace {

Task<bool> answer(OneShot<bool>* seated) { co_return (co_await *seated).value_or(false); }

}  // namespace

Task<Seat> Level::enter(uint64_t flow, Duration patience) {
  if (Seat seat = try_enter()) co_return seat;
  OneShot<bool> seated;
  WaiterPtr waiter = enqueue(flow, seated.sender());
  if (!waiter) co_return Seat();
  struct Waiting {
    std::shared_ptr<Level> level;
    WaiterPtr waiter;
    ~Waiting() {
      if (waiter) level->give_up(waiter);
    }
  } waiting{shared_from_this(), waiter};
  // A seat may have become free between the two.
  dispatch();
  auto got = co_await with_timeout(patience, answer(&seated));
  if (!got || !*got) co_return Seat();
  waiting.waiter = nullptr;
  co_return Seat(shared_from_this());
}

}  // namespace estiba::apiserver
