#include "scheduler/queue.h"

#include <algorithm>
#include <vector>

#include "client/backoff.h"

namespace estiba::scheduler {

using namespace std::chrono_literals;

static constexpr Duration longest_wait = 5min;

Queue::~Queue() {
  for (auto& [key, pod] : pods_) stop_timer(pod);
}

void Queue::stop_timer(Pod& pod) {
  if (pod.timer.id) executor_.cancel(std::exchange(pod.timer, {}));
}

void Queue::make_ready(const std::string& key, Pod& pod) {
  stop_timer(pod);
  if (pod.ready) return;
  pod.ready = true;
  ready_.emplace(-pod.priority, pod.order, key);
  changed_.set();
}

void Queue::wake_at(const std::string& key, Pod& pod, Instant when) {
  stop_timer(pod);
  pod.timer = executor_.at(when, [this, &key, &pod] {
    pod.timer = {};
    make_ready(key, pod);
  });
}

void Queue::add(std::string_view key, int64_t priority) {
  auto [it, fresh] = pods_.try_emplace(std::string(key));
  if (it->second.in_hand) return;
  if (fresh) {
    it->second.priority = priority;
    it->second.order = next_order_++;
  }
  make_ready(it->first, it->second);
}

void Queue::remove(std::string_view key) {
  auto it = pods_.find(std::string(key));
  if (it == pods_.end()) return;
  stop_timer(it->second);
  if (it->second.ready) ready_.erase({-it->second.priority, it->second.order, it->first});
  pods_.erase(it);
}

std::string Queue::pop() {
  auto first = ready_.extract(ready_.begin());
  std::string key = std::move(std::get<2>(first.value()));
  Pod& pod = pods_.find(key)->second;
  pod.ready = false;
  pod.in_hand = true;
  ++pod.attempts;
  pod.rested = executor_.now() + client::Backoff::delay(first_rest_, longest_rest_, pod.attempts - 1);
  return key;
}

Queue::Pod& Queue::put_back(std::string_view key, int64_t priority) {
  auto [it, fresh] = pods_.try_emplace(std::string(key));
  if (fresh) {
    it->second.order = next_order_++;
    it->second.rested = executor_.now() + first_rest_;
  }
  it->second.priority = priority;
  it->second.in_hand = false;
  return it->second;
}

void Queue::put_back_unschedulable(std::string_view key, int64_t priority, std::initializer_list<std::pair<Awaited, bool>> awaits) {
  Pod& pod = put_back(key, priority);
  for (const auto& [what, awaited] : awaits)
    if (awaited) awaiting_[size_t(what)].emplace(key);
  asleep_.emplace(key);
  wake_at(pods_.find(std::string(key))->first, pod, executor_.now() + longest_wait);
}

void Queue::put_back_failed(std::string_view key, int64_t priority) {
  Pod& pod = put_back(key, priority);
  wake_at(pods_.find(std::string(key))->first, pod, pod.rested);
}

void Queue::end_rest(const std::string& key, Pod& pod) {
  if (pod.ready || pod.in_hand) return;
  if (pod.rested <= executor_.now()) make_ready(key, pod);
  else wake_at(key, pod, pod.rested);
}

void Queue::wake_all() {
  for (auto& awaiting : awaiting_) awaiting.clear();
  wake_these(std::exchange(asleep_, {}));
}

void Queue::wake(Awaited what) { wake_these(std::exchange(awaiting_[size_t(what)], {})); }

void Queue::wake(std::string_view key) { wake_these({std::string(key)}); }

void Queue::wake_these(const std::unordered_set<std::string>& keys) {
  std::vector<decltype(pods_)::iterator> woken;
  for (const std::string& key : keys)
    if (const auto pod = pods_.find(key); pod != pods_.end()) woken.push_back(pod);
  // Of those whose rest ends at the same time the most important gets up first.
  std::ranges::sort(woken, {}, [](const auto& pod) { return std::pair(-pod->second.priority, pod->second.order); });
  for (const auto& pod : woken) end_rest(pod->first, pod->second);
}

}  // namespace estiba::scheduler
