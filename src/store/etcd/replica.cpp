#include "store/etcd/replica.h"

#include <algorithm>

#include "base/log.h"
#include "observe/metrics.h"

namespace estiba::store::etcd {

namespace {

constexpr int64_t page_keys = 500;  // of one answer while everything is read; each may have 1.5 MiB
// How long an event that may never come is waited for: long where etcd is ours alone, short where others' revisions were seen
// of late.
constexpr Duration rare_nudge = std::chrono::milliseconds(100), frequent_nudge = std::chrono::milliseconds(2);
constexpr Duration others_remembered = std::chrono::minutes(5);
constexpr Duration watch_patience = std::chrono::seconds(3);  // then the watch is taken for dead

Instant now() { return Executor::current()->now(); }

struct Meters {
  observe::Gauge& revision = observe::metrics().gauge("estiba_store_revision", "The newest revision.");
  observe::Gauge& keys = observe::metrics().gauge("estiba_store_keys", "Keys that exist.");
  observe::Counter& reconnects =
      observe::metrics().counter("estiba_etcd_watch_restarts_total", "Times that the watch on etcd broke and was begun again.");
  observe::Counter& reloads =
      observe::metrics().counter("estiba_etcd_reloads_total", "Times that everything was read anew, because etcd had compacted events.");
};
Meters& meters() {
  static Meters all;
  return all;
}

// Kubernetes stores protobuf behind this sign (apimachinery's runtime/serializer/protobuf).
bool is_foreign(std::string_view value) { return value.starts_with(std::string_view("k8s\0", 4)); }

}  // namespace

std::unexpected<Error> went_back(Revision now, Revision before) {
  return fail(Code::unavailable, "etcd is at revision " + std::to_string(now) + " and was at " + std::to_string(before) +
                                     " before: it has been restored or replaced; restart this server");
}

EntryPtr Replica::entry_of(const KeyValue& kv) {
  auto entry = std::make_shared<Entry>();
  entry->key = local(kv.key);
  entry->create_revision = kv.create_revision;
  entry->mod_revision = kv.mod_revision;
  entry->version = kv.version;
  auto own = writing.find(entry->key);
  if (own != writing.end() && own->second->value.view() == kv.value) {
    entry->value = own->second->value;
    if (own->second->attachment) entry->attach(own->second->attachment);
  } else {
    entry->value = kv.value;
  }
  return entry;
}

// A page after the other, all of the first one's revision.
Task<Result<Replica::Loaded>> Replica::read_all() {
  Loaded out;
  const std::string end = prefix_end(options_.prefix + "/");
  std::string from = options_.prefix + "/";
  for (bool more = true; more;) {
    std::string bytes =
        CO_TRY(co_await client_.range(encode(RangeRequest{.key = from, .end = end, .limit = page_keys, .revision = out.revision})));
    RangeAnswer page = CO_TRY(decode_range(bytes));
    if (out.revision == 0) out.revision = page.revision;
    for (const KeyValue& kv : page.kvs) {
      if (local(kv.key) == restoring_key)
        co_return fail(Code::invalid, "a restore into " + options_.prefix + " has not ended; delete what is there (etcdctl del --prefix " +
                                          options_.prefix + "/) and restore again");
      if (local(kv.key).starts_with(own_keys)) continue;
      if (is_foreign(kv.value))
        co_return fail(Code::invalid, "etcd's key " + std::string(kv.key) +
                                          " is an object of another Kubernetes; choose a prefix of its own with --etcd-prefix");
      out.entries.push_back(entry_of(kv));
    }
    more = page.more && !page.kvs.empty();
    if (more) from = std::string(page.kvs.back().key) + '\0';
  }
  co_return out;
}

Task<Result<void>> Replica::load() {
  Loaded loaded = CO_TRY(co_await read_all());
  history_.emplace(options_.history, loaded.revision, Tree::from_sorted(loaded.entries));
  memory_ = std::make_shared<Memory>(history_->publish(now(), 0));
  meters().revision.set(double(loaded.revision));
  meters().keys.set(double(loaded.entries.size()));
  co_return {};
}

// Events between the copy's revision and now are lost: readers' watches learn that they have to list again.
Task<Result<void>> Replica::reload() {
  Loaded loaded = CO_TRY(co_await read_all());
  history_.emplace(options_.history, loaded.revision, Tree::from_sorted(loaded.entries));
  compacted_ = false;
  meters().reloads.add();
  log::warn("store", "etcd had compacted events that were not seen; everything was read anew", {{"revision", loaded.revision}});
  publish({});
  memory_->hub.wake_all();
  co_return {};
}

void Replica::append(const WatchEvent& event, std::vector<Event>& events) {
  const std::string_view key = local(event.kv.key);
  if (key == revision_key) before_note_ = revision();
  if (key.starts_with(own_keys)) return;
  const EntryPtr* before = history_->tree().find(key);
  if (event.removed && !before) return;
  Event made{event.removed ? Event::Kind::remove : Event::Kind::put, event.kv.mod_revision, event.removed ? *before : entry_of(event.kv),
             before ? *before : nullptr};
  if (auto own = writing.find(key); own != writing.end()) own->second->seen.push_back(made);
  history_->append(made, now());
  events.push_back(std::move(made));
}

Result<void> Replica::apply(const WatchAnswer& answer) {
  if (answer.compacted) compacted_ = true;
  if (answer.canceled)
    return fail(Code::unavailable, "etcd ended the watch" + (answer.reason.empty() ? std::string() : ": " + std::string(answer.reason)));
  if (answer.created) return {};
  std::vector<Event> events;
  const Revision before = revision();
  Revision reached = answer.events.empty() ? answer.revision : 0;  // without events it is a progress notification
  for (const WatchEvent& event : answer.events) {
    if (event.kv.mod_revision <= before) continue;
    append(event, events);
    reached = std::max(reached, event.kv.mod_revision);
  }
  history_->advance(reached);
  publish(events);
  return {};
}

void Replica::publish(const std::vector<Event>& events) {
  memory_->newest.store(history_->publish(now(), memory_->compacted.load(std::memory_order_relaxed)));
  memory_->hub.wake(events);
  memory_->hub.advance(revision());
  meters().revision.set(double(revision()));
  meters().keys.set(double(history_->tree().size()));
  while (!waiting_.empty() && waiting_.begin()->first <= revision()) {
    waiting_.begin()->second->set();
    waiting_.erase(waiting_.begin());
  }
}

Task<bool> Replica::reach(Revision wanted, Duration limit) {
  if (revision() >= wanted) co_return true;
  struct Place {
    std::multimap<Revision, estiba::Event*>& all;
    estiba::Event event;
    Place(std::multimap<Revision, estiba::Event*>& where, Revision at) : all(where) { all.emplace(at, &event); }
    Place(const Place&) = delete;
    ~Place() {
      std::erase_if(all, [&](const auto& pair) { return pair.second == &event; });
    }
  } place(waiting_, wanted);
  co_return co_await place.event.wait_for(limit);
}

Task<void> Replica::nudge(Replica* self) {
  const std::string key = self->options_.prefix + std::string(revision_key);
  auto done = co_await self->client_.txn(encode_puts({{key, ""}}));
  if (!done) log::debug("store", "no note could be written to etcd", {{"error", done.error()}});
  self->nudging_ = false;
}

// etcd's revision may come of keys of others, for which no event comes: then a note of our own is written, whose event does.
Task<Result<void>> Replica::catch_up(Revision wanted) {
  if (co_await reach(wanted, now() < others_until_ ? frequent_nudge : rare_nudge)) co_return {};
  if (!std::exchange(nudging_, true)) jobs_.start(nudge(this));
  if (co_await reach(wanted, watch_patience)) {
    if (before_note_ < wanted) others_until_ = now() + others_remembered;
    co_return {};
  }
  log::warn("store", "the watch on etcd says nothing; it is begun again", {{"revision", wanted}, {"reached", revision()}});
  if (broken_) broken_->set();
  if (co_await reach(wanted, watch_patience)) co_return {};
  co_return behind(wanted);
}

std::unexpected<Error> Replica::behind(Revision wanted) const {
  return fail(Code::timeout,
              "this server's copy of etcd is at revision " + std::to_string(revision()) + " and does not reach " + std::to_string(wanted));
}

// A watch that begins in the future would wait in silence.
Task<Result<void>> Replica::check_revision() {
  std::string bytes =
      CO_TRY(co_await client_.range(encode(RangeRequest{.key = options_.prefix + std::string(revision_key), .keys_only = true})));
  RangeAnswer answer = CO_TRY(decode_range(bytes));
  if (answer.revision < revision()) co_return went_back(answer.revision, revision());
  co_return {};
}

Task<Result<void>> Replica::follow_once() {
  if (compacted_) CO_TRY(co_await reload());
  CO_TRY(co_await check_revision());
  auto stream = CO_TRY(co_await client_.watch(encode_watch(options_.prefix + "/", prefix_end(options_.prefix + "/"), revision() + 1)));
  for (;;) {
    auto message = co_await stream->next();
    if (!message) co_return client_.failure(stream->status());
    CO_TRY(apply(CO_TRY(decode_watch(*message))));
  }
}

Task<void> Replica::follow_into(Replica* self, std::optional<Result<void>>* out, estiba::Event* done) {
  out->emplace(co_await self->follow_once());
  done->set();
}

Task<void> Replica::follow() {
  Duration pause = options_.reconnect_delay;
  for (;;) {
    const Instant begun = now();
    const bool reloading = compacted_;
    std::optional<Result<void>> ended;
    {
      estiba::Event done;
      broken_ = &done;
      Job watch(follow_into(this, &ended, &done));
      co_await done.wait();
      broken_ = nullptr;
    }
    meters().reconnects.add();
    if (now() - begun > std::chrono::seconds(10)) pause = options_.reconnect_delay;
    // Broken from outside it begins again at once; so does what only just learned that it has to read everything anew.
    if (ended && (reloading || !compacted_)) {
      log::warn("store", "the watch on etcd broke and begins again", {{"error", ended->error()}});
      co_await sleep_for(pause);
      pause = std::min<Duration>(2 * pause, std::chrono::seconds(2));
    }
  }
}

}  // namespace estiba::store::etcd
