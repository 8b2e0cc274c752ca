#include "store/etcd/writer.h"

#include "observe/metrics.h"

namespace estiba::store::etcd {

namespace {

constexpr size_t most_under_way = 256;
constexpr Duration copy_patience = std::chrono::seconds(10);

struct Meters {
  observe::Counter& writes = observe::metrics().counter("estiba_store_writes_total", "Durable writes.");
  observe::Counter& failed =
      observe::metrics().counter("estiba_store_failed_transactions_total", "Transactions that were refused or lost.");
  observe::Histogram& seconds =
      observe::metrics().histogram("estiba_store_transaction_seconds", "Time until one transaction was durable and seen.",
                                   observe::Histogram::exponential(0.0001, 2, 16));
};
Meters& meters() {
  static Meters all;
  return all;
}

// A write's part of a transaction: what it points to lives here.
struct Part {
  const std::string key;
  const Compare compare;
  const Put put;
  const bool removes, compares;

  Part(const std::string& prefix, const Write& write)
      : key(prefix + write.key),
        compare(write.expect == Write::any ? Compare{Compare::Target::version, Compare::Relation::greater, key, 0}
                                           : Compare{.target = Compare::Target::mod, .key = key, .operand = write.expect}),
        put{key, write.value},
        removes(write.kind == Write::Kind::remove),
        compares(removes || write.expect != Write::any) {}
  Part(const Part&) = delete;
  Step step() const { return {key, compares ? &compare : nullptr, removes ? nullptr : &put}; }
};

std::string encode_write(const std::string& prefix, const Write& write) {
  std::deque<Part> parts;
  std::vector<Step> steps;
  steps.push_back(parts.emplace_back(prefix, write).step());
  for (const Write& other : write.with) steps.push_back(parts.emplace_back(prefix, other).step());
  return encode_txn(steps);
}

// Why a write's own comparison failed, when it did.
Result<void> compared(const Write& write, const std::optional<KeyValue>& found) {
  const bool needed = write.expect > 0 || write.kind == Write::Kind::remove;
  if (!found) {
    if (needed) return fail(Code::not_found, "key " + write.key + " does not exist");
    return {};
  }
  const std::string now = std::to_string(found->mod_revision);
  if (write.expect == 0) return fail(Code::already_exists, "key " + write.key + " exists already (revision " + now + ")");
  if (write.expect > 0 && found->mod_revision != write.expect)
    return fail(Code::conflict, "key " + write.key + " has revision " + now + ", not " + std::to_string(write.expect));
  return {};
}

std::unexpected<Error> refused(const Write& write, const TxnAnswer& answer) {
  const auto found = [&](size_t i) { return i < answer.found.size() ? answer.found[i] : std::optional<KeyValue>(); };
  if (auto own = compared(write, found(0)); !own) return std::unexpected(std::move(own.error()));
  for (size_t i = 0; i < write.with.size(); ++i) {
    if (auto other = compared(write.with[i], found(i + 1)); !other)
      return fail(Code::conflict, "write " + write.key + " with others: " + other.error().message);
  }
  return fail(Code::internal, "write " + write.key + ": etcd refused it and does not show why");
}

}  // namespace

Writer::Writer(EtcdClient& client, Replica& replica, std::string prefix) : client_(client), replica_(replica), prefix_(std::move(prefix)) {
  idle_.set();
}

void Writer::write(Write write, UniqueFunction<void(Result<WriteResult>)> done) {
  auto& slot = *keys_.try_emplace(write.key).first;
  slot.second.waiting.push_back(std::make_unique<Request>(std::move(write), std::move(done)));
  if (slot.second.waiting.size() == 1) begin(slot);
}

void Writer::begin(Keys::value_type& slot) {
  if (under_way_ >= most_under_way) {
    ready_.push_back(&slot);
    return;
  }
  ++under_way_;
  idle_.reset();
  jobs_.start(run(this, &slot));
}

Task<void> Writer::run(Writer* self, Keys::value_type* slot) {
  Request& request = *slot->second.waiting.front();
  Expected& expected = slot->second.expected;
  expected = {request.write.value, std::move(request.write.attachment), {}};
  self->replica_.writing[slot->first] = &expected;
  const Instant begun = Executor::current()->now();
  auto result = co_await self->perform(request.write, expected);
  self->replica_.writing.erase(slot->first);
  if (result) {
    meters().writes.add();
    meters().seconds.observe(std::chrono::duration<double>(Executor::current()->now() - begun).count());
  }
  auto done = std::move(request.done);
  done(std::move(result));
  self->finished(*slot);
}

void Writer::finished(Keys::value_type& slot) {
  --under_way_;
  slot.second.waiting.pop_front();
  if (!slot.second.waiting.empty()) begin(slot);
  else keys_.erase(keys_.find(slot.first));
  while (!ready_.empty() && under_way_ < most_under_way) {
    Keys::value_type* next = ready_.front();
    ready_.pop_front();
    begin(*next);
  }
  if (under_way_ == 0) idle_.set();
}

Task<Result<WriteResult>> Writer::perform(const Write& write, Expected& expected) {
  const EntryPtr* known = replica_.find(write.key);
  EntryPtr before = known ? *known : nullptr;
  auto bytes = co_await client_.txn(encode_write(prefix_, write));
  if (!bytes) {
    meters().failed.add();
    co_return std::unexpected(std::move(bytes.error()).context("write " + write.key));
  }
  TxnAnswer answer = CO_TRY(decode_txn(*bytes));
  if (!answer.succeeded) {
    // Whoever tries again reads what he was refused for.
    (void)co_await replica_.catch_up(answer.revision);
    co_return refused(write, answer);
  }
  if (!co_await replica_.reach(answer.revision, copy_patience)) {
    auto error = replica_.behind(answer.revision);
    co_return std::unexpected(std::move(error.error()).context("write " + write.key + " is written, but"));
  }
  co_return result_of(write, expected, answer.revision, std::move(before));
}

Result<WriteResult> Writer::result_of(const Write& write, const Expected& expected, Revision revision, EntryPtr before) {
  for (const Event& event : expected.seen)
    if (event.revision == revision) return WriteResult{revision, event.entry, event.previous};
  // The copy was loaded anew meanwhile, and events were lost.
  if (write.kind == Write::Kind::remove) return WriteResult{revision, before, before};
  if (const EntryPtr* now = replica_.find(write.key); now && (*now)->mod_revision == revision) return WriteResult{revision, *now, before};
  auto entry = std::make_shared<Entry>();
  entry->key = write.key;
  entry->value = write.value;
  entry->mod_revision = revision;
  entry->create_revision = before ? before->create_revision : revision;
  entry->version = before ? before->version + 1 : 1;
  return WriteResult{revision, std::move(entry), std::move(before)};
}

Task<void> Writer::drain(Duration limit) {
  co_await idle_.wait_for(limit);
  jobs_.cancel();
  ready_.clear();
  for (auto& [key, slot] : keys_) {
    for (auto& request : slot.waiting)
      if (request->done) request->done(fail(Code::cancelled, "write " + key + ": the store was closed before etcd answered"));
  }
  keys_.clear();
  replica_.writing.clear();
}

}  // namespace estiba::store::etcd
