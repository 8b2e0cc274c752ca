// Events are forgotten an hour after they were last seen, as kube-apiserver's --event-ttl does.
#include <algorithm>

#include "base/time.h"
#include "controllers/framework.h"
#include "controllers/table.h"

namespace estiba::controllers {

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

class EventExpiry final : public Controller {
 public:
  explicit EventExpiry(Context& context) : Controller(context, "event-expiry", {.workers = 4}), known_(watch(client::events)) {}

 private:
  Task<Result<void>> reconcile(std::string key) override {
    const ObjectRef event = known_.get(key);
    if (!event) co_return {};
    const Duration left = last_seen(event) + context_.options.event_lifetime - wall_now();
    if (left > Duration{}) {
      enqueue_after(key, left);
      co_return {};
    }
    // Not when it has been said again meanwhile.
    auto removed = co_await client_.remove(client::events, event.meta().ns, event.meta().name, {.resource_version = event.resource_version()});
    if (!removed && removed.error().code != Code::not_found && removed.error().code != Code::conflict)
      co_return std::unexpected(std::move(removed.error().context("forget event " + key)));
    co_return {};
  }

  client::Informer& known_;
};

}  // namespace

std::unique_ptr<Controller> make_event_expiry(Context& context) { return std::make_unique<EventExpiry>(context); }

}  // namespace estiba::controllers
