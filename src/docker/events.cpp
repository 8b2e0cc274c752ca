#include "docker/events.h"

#include "docker/json_writer.h"

namespace estiba::docker {

namespace {

constexpr size_t kept_events = 256, most_waiting = 4096;

std::string print(const EventMessage& event) {
  JsonWriter out;
  out.object();
  // Clients older than 1.22 read these three; only containers and images had them.
  if (event.type == "container" || event.type == "image") {
    out.put("status", event.action).put("id", event.id);
    for (const auto& [key, value] : event.attributes)
      if (key == "image" && event.type == "container") out.put("from", value);
  }
  out.put("Type", event.type).put("Action", event.action);
  out.object("Actor").put("ID", event.id).object("Attributes");
  for (const auto& [key, value] : event.attributes) out.put(key, value);
  out.end().end();
  const int64_t nanoseconds = event.time.time_since_epoch().count();
  out.put("scope", "local").put("time", nanoseconds / 1'000'000'000).put("timeNano", nanoseconds);
  return out.end().take();
}

}  // namespace

Events::Subscription::Subscription(Events& events) : events_(events) { events_.subscriptions_.push_back(this); }
Events::Subscription::~Subscription() { events_.subscriptions_.remove(this); }

Task<EventRef> Events::Subscription::next() { return next_until(Instant::max()); }

Task<EventRef> Events::Subscription::next_until(Instant limit) {
  while (waiting_.empty()) {
    arrived_.reset();
    if (limit == Instant::max()) co_await arrived_.wait();
    else if (!co_await arrived_.wait_until(limit)) co_return nullptr;
  }
  EventRef event = std::move(waiting_.front());
  waiting_.pop_front();
  co_return event;
}

void Events::publish(std::string type, std::string action, std::string id, std::vector<std::pair<std::string, std::string>> attributes) {
  auto event = std::make_shared<EventMessage>();
  event->type = std::move(type);
  event->action = std::move(action);
  event->id = std::move(id);
  event->attributes = std::move(attributes);
  event->time = executor_.wall_now();
  event->json = print(*event);
  kept_.push_back(event);
  if (kept_.size() > kept_events) kept_.pop_front();
  for (Subscription* subscription : subscriptions_) {
    subscription->waiting_.push_back(event);
    if (subscription->waiting_.size() > most_waiting) subscription->waiting_.pop_front();
    subscription->arrived_.set();
  }
}

std::vector<EventRef> Events::past(WallTime since, WallTime until) const {
  std::vector<EventRef> out;
  for (const auto& event : kept_)
    if (event->time >= since && event->time <= until) out.push_back(event);
  return out;
}

}  // namespace estiba::docker
