#include "network/proxy/state.h"

#include "base/log.h"

namespace estiba::network {

std::string Pick::chain() const {
  std::string name = "pick";
  if (any_address) name += "_any";
  if (masquerade) name += "_masq";
  if (affinity) name += "_sticky_" + std::to_string(affinity);
  return name + "_" + std::to_string(count);
}

void ProxyState::use_backend(const Backend& backend, int by) {
  if (!pods_.contains(Address::from_number(backend.address))) return;
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
    if (entry.backends.empty()) rejected_.erase(entry.front);
    else picks_.erase(entry.front);
    for (uint32_t i = 0; i < entry.backends.size(); ++i) {
      backends_.erase({entry.front, i});
      if (entry.affinity) kept_.erase({entry.front, entry.backends[i]});
      use_backend(entry.backends[i], -1);
    }
  }
  wants_.erase(found);
  waiting_.erase(owner);
}

void ProxyState::claim(const std::string& owner, const Entry& entry) {
  auto [holder, fresh] = holders_.try_emplace(entry.front, owner);
  if (!fresh) {
    log::warn("network", "a service's address and port belong to another service already",
              {{"service", owner},
               {"held_by", holder->second},
               {"address", Address::from_number(entry.front.address).text()},
               {"port", entry.front.port}});
    waiting_.insert(owner);
    return;
  }
  if (entry.backends.empty()) return rejected_.set(entry.front, {});
  picks_.set(entry.front, {uint32_t(entry.backends.size()), entry.front.address == 0, entry.masquerade, entry.affinity});
  for (uint32_t i = 0; i < entry.backends.size(); ++i) {
    backends_.set({entry.front, i}, entry.backends[i]);
    if (entry.affinity) kept_.set({entry.front, entry.backends[i]}, {});
    use_backend(entry.backends[i], 1);
  }
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

Change ProxyState::take_change() { return {picks_.take(), backends_.take(), rejected_.take(), kept_.take(), self_.take()}; }

Change ProxyState::take_whole() {
  (void)take_change();
  return {picks_.whole(), backends_.whole(), rejected_.whole(), kept_.whole(), self_.whole()};
}

}  // namespace estiba::network
