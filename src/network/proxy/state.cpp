#include "network/proxy/state.h"

#include "base/log.h"

namespace estiba::network {

std::string Pick::chain() const {
  std::string name = "pick";
  if (any_address) name += "_any";
  if (part != Part::all) name += part == Part::inside ? "_inside" : "_outside";
  if (masquerade) name += "_masq";
  if (affinity) name += "_sticky_" + std::to_string(affinity);
  return name + "_" + std::to_string(count);
}

void ProxyState::use_backend(const Backend& backend, int by) {
  if (!pods_.contains(backend.address)) return;
  int& uses = uses_[backend.address];
  uses += by;
  if (uses == 0) {
    uses_.erase(backend.address);
    self_.erase(backend.address);
  } else if (uses == by) {
    self_.set(backend.address, {});
  }
}

void ProxyState::drop(const std::string& owner) {
  auto found = wants_.find(owner);
  if (found == wants_.end()) return;
  for (const Entry& entry : found->second) {
    auto holder = holders_.find(entry.front);
    if (holder == holders_.end() || holder->second != owner) continue;
    holders_.erase(holder);
    if (entry.backends.empty()) refused_.erase(entry.front);
    if (!entry.backends.empty() || !entry.inside.empty()) picks_.erase(entry.front);
    if (!entry.inside.empty()) inside_.erase(entry.front);
    drop_backends(entry, entry.backends, 0);
    drop_backends(entry, entry.inside, first_inside);
    unfence(entry);
  }
  wants_.erase(found);
  waiting_.erase(owner);
}

void ProxyState::claim(const std::string& owner, const Entry& entry) {
  auto [holder, fresh] = holders_.try_emplace(entry.front, owner);
  if (!fresh) {
    log::warn("network", "a service's address and port belong to another service already",
              {{"service", owner}, {"held_by", holder->second}, {"address", entry.front.address.text()}, {"port", entry.front.port}});
    waiting_.insert(owner);
    return;
  }
  fence(entry);
  if (entry.backends.empty()) refused_.set(entry.front, entry.drops);
  if (entry.backends.empty() && entry.inside.empty()) return;
  const auto pick = [&](const std::vector<Backend>& backends, Pick::Part part) -> Pick {
    return {uint32_t(backends.size()), entry.front.address.is_zero(), entry.masquerade, entry.affinity, part};
  };
  picks_.set(entry.front, pick(entry.backends, entry.inside.empty() ? Pick::Part::all : Pick::Part::outside));
  if (!entry.inside.empty()) inside_.set(entry.front, pick(entry.inside, Pick::Part::inside));
  put_backends(entry, entry.backends, 0);
  put_backends(entry, entry.inside, first_inside);
}

void ProxyState::put_backends(const Entry& entry, const std::vector<Backend>& backends, uint32_t first) {
  for (const Backend& backend : backends) {
    backends_.set({entry.front, first++}, backend);
    if (entry.affinity && keeps_[{entry.front, backend}]++ == 0) kept_.set({entry.front, backend}, {});
    use_backend(backend, 1);
  }
}

void ProxyState::drop_backends(const Entry& entry, const std::vector<Backend>& backends, uint32_t first) {
  for (const Backend& backend : backends) {
    backends_.erase({entry.front, first++});
    use_backend(backend, -1);
    if (!entry.affinity) continue;
    auto kept = keeps_.find({entry.front, backend});
    if (--kept->second > 0) continue;
    kept_.erase(kept->first);
    keeps_.erase(kept);
  }
}

// Fronts with the same ranges share a chain.
void ProxyState::fence(const Entry& entry) {
  if (entry.sources.empty()) return;
  Fence& fence = fence_chains_[entry.sources];
  if (fence.uses++ == 0) {
    fence.chain = "from_" + std::to_string(++next_fence_);
    allowed_.set(fence.chain, entry.sources);
  }
  fences_.set(entry.front, fence.chain);
}

void ProxyState::unfence(const Entry& entry) {
  auto fence = fence_chains_.find(entry.sources);
  if (entry.sources.empty() || fence == fence_chains_.end()) return;
  fences_.erase(entry.front);
  if (--fence->second.uses > 0) return;
  allowed_.erase(fence->second.chain);
  fence_chains_.erase(fence);
}

void ProxyState::set(const std::string& owner, std::vector<Entry> entries) {
  drop(owner);
  // Two equal fronts of one owner (the same address twice) are one.
  std::ranges::sort(entries, {}, &Entry::front);
  auto last = std::ranges::unique(entries, {}, &Entry::front);
  entries.erase(last.begin(), last.end());
  for (const Entry& entry : entries) claim(owner, entry);
  if (!entries.empty()) wants_[owner] = std::move(entries);
  // What this owner has given up may be what others wait for.
  for (const std::string& other : std::set<std::string>(std::exchange(waiting_, {}))) {
    if (other == owner) {
      waiting_.insert(owner);
      continue;
    }
    auto again = wants_[other];
    drop(other);
    for (const Entry& entry : again) claim(other, entry);
    wants_[other] = std::move(again);
  }
}

Change ProxyState::take_change() {
  return {picks_.take(), backends_.take(), inside_.take(), refused_.take(), fences_.take(), allowed_.take(), kept_.take(), self_.take()};
}

Change ProxyState::take_whole() {
  return {picks_.take_whole(),  backends_.take_whole(), inside_.take_whole(), refused_.take_whole(),
          fences_.take_whole(), allowed_.take_whole(),  kept_.take_whole(),   self_.take_whole()};
}

}  // namespace estiba::network
