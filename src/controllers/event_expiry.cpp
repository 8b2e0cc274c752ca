// Events are forgotten an hour after they were last seen, as kube-apiserver's --event-ttl does.
#include <algorithm>
#include <map>

#include "base/lanes.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/time.h"
#include "client/backoff.h"
#include "controllers/framework.h"
#include "controllers/table.h"

namespace estiba::controllers {

using namespace std::chrono_literals;
using model::ObjectRef;

namespace {

// When the event was last seen. Read from the JSON and not kept: a typed struct of every event would cost more than the event.
WallTime last_seen(const ObjectRef& event) {
  WallTime last{};
  auto take = [&](std::string_view text) {
    if (auto time = parse_rfc3339(text)) last = std::max(last, *time);
  };
  take(event.meta().creation_timestamp);
  if (auto document = json::Document::parse(event.object->json())) {
    const json::Node& root = document->root();
    take(root.string_at("lastTimestamp"));
    take(root.string_at("eventTime"));
    take(root.string_at("series", "lastObservedTime"));
  }
  return last;
}

// Events are many and nobody here reads them: no cache holds them, only the time at which each is to be looked at next, to the width of a
// span. A key of the work queue is a span's number.
class EventExpiry final : public Controller {
 public:
  explicit EventExpiry(Context& context)
      : Controller(context, "event-expiry"), span_(std::max<Duration>(context.options.event_lifetime / 60, 1s)), following_(follow(this)) {}

 private:
  static Task<void> follow(EventExpiry* self) {
    client::Backoff backoff(20ms, 30s);
    for (int64_t revision = -1;;) {
      const Result<void> ended = co_await follow_once(self, &revision, &backoff);
      if (ended.error().code == Code::gone) revision = -1;
      co_await sleep_for(backoff.next());
    }
  }

  // From `revision`, or from a new list when it is negative, until the watch breaks; that is its error.
  static Task<Result<void>> follow_once(EventExpiry* self, int64_t* revision, client::Backoff* backoff) {
    if (*revision < 0) {
      const client::List list = CO_TRY(co_await self->client_.list(client::events, ""));
      self->noted_.clear();
      for (const ObjectRef& event : list.items) self->note(event.meta());
      *revision = list.revision;
    }
    const auto stream = CO_TRY(co_await self->client_.watch(client::events, "", *revision));
    for (;;) {
      for (const client::WatchEvent& event : CO_TRY(co_await stream->next())) {
        if (event.kind == client::WatchEvent::Kind::added) self->note(event.object.meta());
        *revision = std::max(*revision, event.object.revision);
      }
      backoff->reset();
    }
  }

  // It is seen at its creation and perhaps again later, which is found out when it would have to go.
  void note(const model::Meta& event) { note(client::key_of(event), parse_rfc3339(event.creation_timestamp).value_or(wall_now())); }
  void note(std::string_view key, WallTime seen) {
    const Duration due = (seen + context_.options.event_lifetime).time_since_epoch();
    const int64_t span = (due + span_ - Duration(1)) / span_;
    std::string& keys = noted_[span];
    if (keys.empty()) enqueue_after(std::to_string(span), span * span_ - wall_now().time_since_epoch());
    keys.append(key).push_back('\n');
  }

  Task<Result<void>> reconcile(std::string span) override {
    const auto node = noted_.extract(parse_number<int64_t>(span).value_or(0));
    if (!node) co_return {};
    const std::vector<std::string_view> keys = split(trim(node.mapped()), '\n');
    co_await in_lanes(keys.size(), write_lanes, [&](size_t i) { return look_at(this, std::string(keys[i])); });
    co_return {};
  }

  static Task<void> look_at(EventExpiry* self, std::string key) {
    const auto [ns, name] = client::split_key(key);
    const auto event = co_await self->client_.get(client::events, ns, name);
    if (!event && event.error().code == Code::not_found) co_return;
    if (event) {
      const WallTime seen = last_seen(*event);
      if (seen + self->context_.options.event_lifetime > self->wall_now()) co_return self->note(key, seen);
      // Not when it has been said again meanwhile.
      const auto removed = co_await self->client_.remove(client::events, ns, name, {.resource_version = event->resource_version()});
      if (removed || removed.error().code == Code::not_found) co_return;
      if (removed.error().code != Code::conflict)
        log::warn("event-expiry", "an event is not forgotten yet", {{"event", key}, {"error", removed.error()}});
    }
    self->note(key, self->wall_now() - self->context_.options.event_lifetime + self->span_);
  }

  const Duration span_;
  std::map<int64_t, std::string> noted_;  // by span since the epoch, in which they are due: keys of events, each with '\n' behind it
  Job following_;                         // last: ends first
};

}  // namespace

std::unique_ptr<Controller> make_event_expiry(Context& context) { return std::make_unique<EventExpiry>(context); }

}  // namespace estiba::controllers
