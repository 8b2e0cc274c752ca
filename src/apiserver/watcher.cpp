#include "apiserver/watcher.h"

#include "apiserver/api_errors.h"
#include "model/custom/definition.h"

namespace estiba::apiserver {

void Watcher::begin_with(std::vector<model::ObjectRef> objects, bool bookmark) {
  for (model::ObjectRef& object : objects) {
    store::Revision revision = object.revision;
    initial_.push_back({WatchItem::Kind::added, false, std::move(object), revision});
  }
  if (bookmark) initial_.push_back({WatchItem::Kind::bookmark, true, {}, position_});
}

Result<void> Watcher::translate(const store::Event& event, std::vector<WatchItem>& out) {
  const Strategy& strategy = strategy_of(resource_);
  bool before = false, now = false;
  if (selection_.everything()) {
    before = event.kind == store::Event::Kind::remove || event.previous != nullptr;
    now = event.kind == store::Event::Kind::put;
  } else {
    const store::Entry* old = event.kind == store::Event::Kind::remove ? event.entry.get() : event.previous.get();
    before = old && selection_.matches(*TRY(kept(*old, strategy)));
    now = event.kind == store::Event::Kind::put && selection_.matches(*TRY(kept(*event.entry, strategy)));
  }
  if (!before && !now) return {};
  WatchItem item;
  item.kind = !before ? WatchItem::Kind::added : now ? WatchItem::Kind::modified : WatchItem::Kind::removed;
  // An object that stops matching is shown as it was, at the revision of the change.
  const store::EntryPtr& shown =
      item.kind == WatchItem::Kind::removed && event.kind == store::Event::Kind::put ? event.previous : event.entry;
  item.object = TRY(object_of(*shown, resource_));
  item.object.revision = event.revision;
  item.revision = event.revision;
  out.push_back(std::move(item));
  return {};
}

void Watcher::look_at_definition() {
  std::vector<store::Event> events;
  auto count = definition_->poll(events, 256);
  if (!count) ended_ = true;
  for (const store::Event& event : events) {
    // Most writes only touch conditions.
    auto now = event.kind == store::Event::Kind::put ? model::CustomDefinition::make(event.entry->value) : fail(Code::not_found, "");
    if (!now || (*now)->fingerprint() != model::custom_of(resource_)->definition->fingerprint()) ended_ = true;
  }
}

Result<std::vector<WatchItem>> Watcher::poll() {
  if (!initial_.empty()) return std::exchange(initial_, {});
  // Asked first: what was written before the definition changed is still told.
  if (definition_ && !ended_) look_at_definition();
  std::vector<WatchItem> out;
  std::vector<store::Event> events;
  auto count = events_->poll(events, 256);
  if (!count) {
    if (count.error().code == Code::gone) return too_old_resource_version(position_, store_.revision());
    return std::unexpected(std::move(count.error()));
  }
  for (const store::Event& event : events) TRY(translate(event, out));
  position_ = std::max(position_, events_->position());
  return out;
}

void Watcher::arm(FanOut::Turn& turn) {
  if (definition_ && !ended_) definition_->arm([&turn] { turn.ring(); });
  events_->arm([&turn] { turn.ring(); });
}

Task<Result<std::vector<WatchItem>>> Watcher::next() {
  for (;;) {
    auto items = CO_TRY(poll());
    if (!items.empty() || ended_) co_return items;
    OneShot<bool> wake;
    if (definition_) definition_->arm([sender = wake.sender()]() mutable { sender.send(true); });
    events_->arm([sender = wake.sender()]() mutable { sender.send(true); });
    co_await wake;
  }
}

}  // namespace estiba::apiserver
