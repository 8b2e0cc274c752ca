#include "apiserver/custom/definitions.h"

#include "apiserver/custom/checks.h"
#include "base/log.h"

namespace estiba::apiserver {

bool Definitions::put(const store::Entry& entry) {
  auto made = model::CustomDefinition::make(entry.value, add_checks);
  if (!made) {
    log::warn("apiserver", "a custom resource definition cannot be served", {{"error", made.error()}});
    return by_key_.erase(entry.key) > 0;
  }
  model::CustomDefinitionPtr& here = by_key_[entry.key];
  // Most writes change a status that nothing is served by: the old tables stay, with all that was derived from them.
  if (here && here->fingerprint() == (*made)->fingerprint()) return false;
  here = std::move(*made);
  return true;
}

void Definitions::publish() {
  std::vector<model::CustomDefinitionPtr> all;
  all.reserve(by_key_.size());
  for (const auto& [key, definition] : by_key_) all.push_back(definition);
  catalog_ = std::make_shared<const model::Catalog>(std::move(all));
}

void Definitions::replace(const std::vector<store::EntryPtr>& entries) {
  std::map<std::string, model::CustomDefinitionPtr> before = std::exchange(by_key_, {});
  for (const store::EntryPtr& entry : entries) {
    if (auto known = before.find(entry->key); known != before.end()) by_key_[entry->key] = std::move(known->second);
    put(*entry);
  }
}

model::CatalogPtr Definitions::catalog() {
  std::lock_guard lock(mutex_);
  bool changed = !catalog_;
  follower_.catch_up(
      [this, &changed](const std::vector<store::EntryPtr>& entries) {
        replace(entries);
        changed = true;
      },
      [this, &changed](const store::Event& event) {
        if (event.kind == store::Event::Kind::put) changed |= put(*event.entry);
        else changed |= by_key_.erase(event.entry->key) > 0;
      });
  if (changed) publish();
  return catalog_;
}

}  // namespace estiba::apiserver
