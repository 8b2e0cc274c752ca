#include "store/embedded/embedded.h"

#include <pthread.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/log.h"
#include "observe/metrics.h"
#include "store/embedded/database.h"
#include "store/embedded/lock.h"
#include "store/memory/reads.h"

namespace estiba::store {

namespace {

// What one transaction takes at most, so that an answer never waits for more than a moment's worth of others.
constexpr size_t batch_writes = 2048;
constexpr size_t batch_bytes = 16 << 20;

struct Request {
  Write write;
  UniqueFunction<void(Result<WriteResult>)> done;
};

Result<void> compare(const Write& write, const Entry* now) {
  if (write.expect == 0 && now)
    return fail(Code::already_exists, "key " + write.key + " exists already (revision " + std::to_string(now->mod_revision) + ")");
  bool needed = write.expect > 0 || write.kind == Write::Kind::remove;
  if (needed && !now) return fail(Code::not_found, "key " + write.key + " does not exist");
  if (write.expect > 0 && now->mod_revision != write.expect) {
    return fail(Code::conflict,
                "key " + write.key + " has revision " + std::to_string(now->mod_revision) + ", not " + std::to_string(write.expect));
  }
  return {};
}

struct Meters {
  observe::Counter& writes = observe::metrics().counter("estiba_store_writes_total", "Durable writes.");
  observe::Counter& failed = observe::metrics().counter("estiba_store_failed_transactions_total", "Transactions that the disk refused.");
  observe::Histogram& seconds = observe::metrics().histogram("estiba_store_transaction_seconds", "Time to append and sync one transaction.",
                                                             observe::Histogram::exponential(0.0001, 2, 16));
  observe::Gauge& revision = observe::metrics().gauge("estiba_store_revision", "The newest revision.");
  observe::Gauge& keys = observe::metrics().gauge("estiba_store_keys", "Keys that exist.");
};

/// The work of one transaction: the writes whose comparison holds become events, each comparing with what those before
/// it leave behind.
class Batch {
 public:
  explicit Batch(const History& history) : history_(history), revision_(history.revision()) {}

  Result<WriteResult> stage(Write& write) {
    TRY(compare(write, current(write.key).get()));
    for (const Write& other : write.with) {
      if (auto holds = compare(other, current(other.key).get()); !holds)
        return fail(Code::conflict, "write " + write.key + " with others: " + holds.error().message);
    }
    for (Write& other : write.with) (void)append(other);
    return append(write);
  }
  const std::vector<Event>& events() const { return events_; }

 private:
  WriteResult append(Write& write) {
    EntryPtr now = current(write.key);
    Event event{write.kind == Write::Kind::put ? Event::Kind::put : Event::Kind::remove, ++revision_, now, now};
    if (event.kind == Event::Kind::put) event.entry = next_version(write, now.get());
    staged_[event.entry->key] = event.kind == Event::Kind::put ? event.entry : nullptr;
    events_.push_back(event);
    return WriteResult{revision_, event.entry, event.previous};
  }
  EntryPtr current(const std::string& key) const {
    if (auto found = staged_.find(key); found != staged_.end()) return found->second;
    const EntryPtr* entry = history_.tree().find(key);
    return entry ? *entry : nullptr;
  }
  EntryPtr next_version(Write& write, const Entry* now) const {
    auto entry = std::make_shared<Entry>();
    entry->key = std::move(write.key);
    entry->value = std::move(write.value);
    entry->create_revision = now ? now->create_revision : revision_;
    entry->mod_revision = revision_;
    entry->version = now ? now->version + 1 : 1;
    if (write.attachment) entry->attach(std::move(write.attachment));
    return entry;
  }

  const History& history_;
  Revision revision_;
  std::unordered_map<std::string_view, EntryPtr> staged_;  // keys live in the events' entries
  std::vector<Event> events_;
};

class Embedded final : public EmbeddedStore {
 public:
  Embedded(EmbeddedOptions options, DirectoryLock lock, std::unique_ptr<Database> database, History history)
      : options_(std::move(options)),
        lock_(std::move(lock)),
        database_(std::move(database)),
        history_(std::move(history)),
        memory_(std::make_shared<Memory>(history_.publish(options_.now(), 0))),
        thread_([this] { run(); }) {}

  ~Embedded() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

  Revision revision() const override { return memory_->newest.load()->revision; }
  Revision oldest() const override { return memory_->floor(*memory_->newest.load()); }

  Result<EntryPtr> get(std::string_view key, Revision at) override { return read_key(*memory_, key, at); }
  Result<ListResult> list(std::string_view prefix, const ListOptions& options) override { return read_range(*memory_, prefix, options); }
  uint64_t count(std::string_view prefix) override { return memory_->newest.load()->tree.count(KeyRange::of_prefix(prefix)); }
  Result<std::unique_ptr<Watch>> watch(std::string_view prefix, Revision after) override { return begin_watch(memory_, prefix, after); }
  Result<void> compact(Revision revision) override { return note_compaction(*memory_, revision); }

  void write(Write write, UniqueFunction<void(Result<WriteResult>)> done) override {
    if (auto good = check(write); !good) return done(std::unexpected(std::move(good.error())));
    for (const Write& other : write.with) {
      if (auto good = check(other); !good) return done(std::unexpected(std::move(good.error())));
    }
    bool first;
    {
      std::lock_guard lock(mutex_);
      first = queue_.empty();
      queue_.push_back({std::move(write), std::move(done)});
    }
    if (first) wake_.notify_one();
  }

  EmbeddedCounters counters() const override { return {writes_.load(std::memory_order_relaxed), batches_.load(std::memory_order_relaxed)}; }

 private:
  Result<void> check(const Write& write) const {
    if (write.key.empty()) return fail(Code::invalid, "write: the key is empty");
    if (write.value.size() <= options_.value_bytes) return {};
    return fail(Code::too_large, "write " + write.key + ": the value has " + std::to_string(write.value.size()) + " bytes, at most " +
                                     std::to_string(options_.value_bytes) + " are allowed");
  }

  void run() {
    pthread_setname_np(pthread_self(), "store");
    std::vector<Request> requests;
    while (take(requests)) {
      handle(requests);
      requests.clear();
      database_->checkpoint_if_due();
    }
  }

  // Waits for writes; false when the store closes and none is left.
  bool take(std::vector<Request>& requests) {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return !queue_.empty() || stopping_; });
    size_t bytes = 0;
    // On a full disk each write stands alone: what changes or removes a key may succeed where what creates one cannot.
    size_t most = failing_ ? 1 : batch_writes;
    while (!queue_.empty() && requests.size() < most && bytes < batch_bytes) {
      bytes += queue_.front().write.value.size();
      requests.push_back(std::move(queue_.front()));
      queue_.pop_front();
    }
    return !requests.empty();
  }

  void handle(std::vector<Request>& requests) {
    Batch batch(history_);
    std::vector<Result<WriteResult>> results;
    results.reserve(requests.size());
    for (Request& request : requests) results.push_back(batch.stage(request.write));
    bool published = false;
    if (!batch.events().empty()) {
      Instant begun = options_.now();
      auto done = database_->append(batch.events());
      meters_.seconds.observe(std::chrono::duration<double>(options_.now() - begun).count());
      report(done);
      if (done) {
        publish(batch.events());
        published = true;
      } else {
        // Every result, a failed comparison too, may rest on a write that is not there now.
        for (auto& result : results) result = std::unexpected(done.error());
      }
    }
    for (size_t i = 0; i < requests.size(); ++i) requests[i].done(std::move(results[i]));
    if (published) memory_->hub.wake(batch.events());
  }

  // One line for the first failure, and at most one in ten seconds while they go on.
  void report(const Result<void>& done) {
    failing_ = !done;
    if (done) return;
    meters_.failed.add();
    Instant now = options_.now();
    if (now < next_report_) return;
    next_report_ = now + std::chrono::seconds(10);
    log::error("store", "write failed", {{"error", done.error()}});
  }

  void publish(const std::vector<Event>& events) {
    Instant now = options_.now();
    for (const Event& event : events) history_.append(event, now);
    memory_->newest.store(history_.publish(now, memory_->compacted.load(std::memory_order_relaxed)));
    writes_.fetch_add(events.size(), std::memory_order_relaxed);
    batches_.fetch_add(1, std::memory_order_relaxed);
    meters_.writes.add(events.size());
    meters_.revision.set(static_cast<double>(history_.revision()));
    meters_.keys.set(static_cast<double>(history_.tree().size()));
  }

  EmbeddedOptions options_;
  DirectoryLock lock_;
  std::unique_ptr<Database> database_;  // this, history_, failing_ and next_report_ belong to the writer's thread
  History history_;
  bool failing_ = false;  ///< the last transaction did
  Instant next_report_{};
  std::shared_ptr<Memory> memory_;
  Meters meters_;
  std::atomic<uint64_t> writes_{0};
  std::atomic<uint64_t> batches_{0};

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Request> queue_;  // guarded by mutex_
  bool stopping_ = false;      // guarded by mutex_
  std::thread thread_;         // last: it uses everything above
};

}  // namespace

Result<std::unique_ptr<EmbeddedStore>> open_embedded(EmbeddedOptions options) {
  DirectoryLock lock = TRY_AS("open store", DirectoryLock::take(options.directory));
  auto database = TRY_AS("open store", Database::open(options.directory + "/store.db"));
  auto contents = TRY_AS("open store", database->load());
  History history(options.history, contents.revision, Tree::from_sorted(contents.entries));
  contents.entries.clear();
  return std::make_unique<Embedded>(std::move(options), std::move(lock), std::move(database), std::move(history));
}

}  // namespace estiba::store
