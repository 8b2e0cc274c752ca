#include "client/events.h"

#include "base/log.h"
#include "base/strings.h"
#include "base/time.h"
#include "client/json_writer.h"

namespace estiba::client {

using namespace std::chrono_literals;

static constexpr size_t most_known = 4096;
static constexpr double burst = 25;
static constexpr Duration refill = 5min;  // for one token
static constexpr Duration same_event = 1h;

EventTarget EventTarget::of(const model::ObjectRef& object) {
  const model::Meta& meta = object.meta();
  return {meta.api_version, meta.kind, meta.ns, meta.name, meta.uid, object.resource_version(), {}};
}

EventRecorder::EventRecorder(Client& client, Executor& executor, std::string component, std::string host)
    : client_(client), executor_(executor), component_(std::move(component)), host_(std::move(host)) {}

bool EventRecorder::allowed(const std::string& uid) {
  auto [it, fresh] = budgets_.try_emplace(uid);
  Budget& budget = it->second;
  const Instant now = executor_.now();
  if (!fresh) budget.tokens = std::min(burst, budget.tokens + double((now - budget.filled).count()) / double(refill.count()));
  budget.filled = now;
  if (budget.tokens < 1) return false;
  budget.tokens -= 1;
  return true;
}

// Both tables are bounded: what has not been said for an hour starts anew, which only costs one more Event object.
void EventRecorder::forget_old() {
  const Instant horizon = executor_.now() - same_event;
  // What is being written stays. There may be more of that than `most_known` for a while, so not every new one looks through all.
  const bool look = known_.size() > most_known && known_.size() % (most_known / 4) == 0;
  if (look) std::erase_if(known_, [&](const auto& e) { return !e.second.writing && e.second.last < horizon; });
  if (budgets_.size() > most_known) std::erase_if(budgets_, [&](const auto& e) { return e.second.filled < horizon; });
  if (look && known_.size() > most_known) std::erase_if(known_, [&](const auto& e) { return !e.second.writing; });
  if (budgets_.size() > most_known) budgets_.clear();
}

void EventRecorder::record(const EventTarget& about, EventType type, std::string_view reason, std::string_view message) {
  forget_old();
  if (!allowed(about.uid.empty() ? about.kind + "/" + about.name : about.uid)) return;
  std::string key = about.kind + "\n" + about.ns + "\n" + about.name + "\n" + about.uid + "\n" + about.field_path + "\n";
  key.append(type == EventType::warning ? "W" : "N").append(reason).append("\n").append(message);
  Known& known = known_[key];
  const Instant now = executor_.now();
  if (known.count > 0 && !known.writing && now - known.last > same_event) known = {};
  if (known.count == 0) {
    const auto nanos = executor_.wall_now().time_since_epoch().count() + int64_t(sequence_++);
    char suffix[24];
    *std::to_chars(suffix, suffix + sizeof suffix - 1, nanos, 16).ptr = '\0';
    known.name = about.name + "." + suffix;
    known.message = message;
  }
  ++known.count;
  known.last = now;
  if (!known.writing) {
    known.writing = true;
    writes_.start(write(this, std::move(key), about, type, std::string(reason)));
  }
}

std::string EventRecorder::body(const EventTarget& about, EventType type, const std::string& reason, const Known& known,
                                const std::string& now) const {
  JsonWriter json;
  json.object().field("apiVersion", "v1").field("kind", "Event");
  json.object("metadata").field("name", known.name).field("namespace", about.ns.empty() ? "default" : about.ns).end();
  json.object("involvedObject").field("kind", about.kind).optional("namespace", about.ns).field("name", about.name);
  json.optional("uid", about.uid).field("apiVersion", about.api_version).optional("resourceVersion", about.resource_version);
  json.optional("fieldPath", about.field_path).end();
  json.field("reason", reason).field("message", known.message);
  json.object("source").field("component", component_).optional("host", host_).end();
  json.field("firstTimestamp", now).field("lastTimestamp", now).field("count", known.count).null("eventTime");
  json.field("type", type == EventType::warning ? "Warning" : "Normal");
  json.field("reportingComponent", component_).field("reportingInstance", host_).end();
  return json.take();
}

Task<void> EventRecorder::write(EventRecorder* self, std::string key, EventTarget about, EventType type, std::string reason) {
  const std::string ns = about.ns.empty() ? "default" : about.ns;
  for (;;) {
    // Looked up anew each time: the table may have grown while we waited. What is being written is never forgotten.
    Known& known = self->known_.find(key)->second;
    if (known.written == known.count) {
      known.writing = false;
      co_return;
    }
    known.written = known.count;
    const std::string now = format_rfc3339(self->executor_.wall_now());
    Result<model::ObjectRef> result;
    if (known.created) {
      JsonWriter patch;
      patch.object().field("count", known.count).field("lastTimestamp", now).end();
      result = co_await self->client_.patch(events, ns, known.name, PatchType::merge, patch.take());
    } else {
      result = co_await self->client_.create(events, ns, self->body(about, type, reason, known, now));
    }
    Known& after = self->known_.find(key)->second;
    after.created = bool(result);
    if (result) continue;
    if (result.error().code == Code::not_found && after.count > 1) {
      // It has expired meanwhile: the next one begins a new series.
      after.name += "-1";
      after.count = 1;
      after.written = 0;
      after.created = false;
      if (after.name.size() < 250) continue;
    }
    log::debug("events", "an event was not recorded",
               {{"about", about.ns + "/" + about.name}, {"reason", reason}, {"error", result.error()}});
    self->known_.erase(key);
    co_return;
  }
}

}  // namespace estiba::client
