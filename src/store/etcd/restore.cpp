#include "store/etcd/restore.h"

#include "io/loop.h"
#include "store/etcd/client.h"
#include "store/etcd/replica.h"

namespace estiba::store {

namespace {

using namespace etcd;

constexpr int workers = 64;

/// One restore, on one loop.
struct Restore {
  std::unique_ptr<EtcdClient> client;
  const EtcdOptions& options;
  const SnapshotContents& contents;
  size_t next = 0;
  Result<void> result;
  TaskGroup group;

  std::string note() const { return options.prefix + std::string(restoring_key); }

  Task<Result<int64_t>> count(std::string prefix) {
    std::string bytes = CO_TRY(co_await client->range(encode(RangeRequest{.key = prefix, .end = prefix_end(prefix), .count_only = true})));
    co_return CO_TRY(decode_range(bytes)).count;
  }

  Task<Result<void>> check_empty() {
    const int64_t all = CO_TRY(co_await count(options.prefix + "/"));
    const int64_t own = CO_TRY(co_await count(options.prefix + std::string(own_keys)));
    const int64_t unfinished = CO_TRY(co_await count(note()));
    const std::string way = "choose another --etcd-prefix, or delete them first: etcdctl del --prefix " + options.prefix + "/";
    if (unfinished) co_return fail(Code::conflict, "an earlier restore into " + options.prefix + " has not ended: " + way);
    if (all > own)
      co_return fail(Code::conflict, "etcd holds " + std::to_string(all - own) + " keys below " + options.prefix + "/ already: " + way);
    co_return {};
  }

  // A key that must not be there yet.
  Task<Result<void>> create(std::string key, SharedText value) {
    Compare compare{.target = Compare::Target::mod, .key = key};
    Put put{key, value};
    std::string bytes = CO_TRY(co_await client->txn(encode_txn({{key, &compare, &put}})));
    if (!CO_TRY(decode_txn(bytes)).succeeded)
      co_return fail(Code::conflict, "etcd's key " + key + " is there already: somebody else writes here");
    co_return {};
  }

  static Task<void> work(Restore* self) {
    while (self->result && self->next < self->contents.entries.size()) {
      const Entry& entry = *self->contents.entries[self->next++];
      auto done = co_await self->create(self->options.prefix + entry.key, entry.value);
      if (!done && self->result) self->result = std::move(done);
    }
  }

  static Task<Result<void>> run(Restore* self) {
    auto done = co_await self->go();
    self->client.reset();
    co_return done;
  }

  Task<Result<void>> go() {
    CO_TRY(co_await check_empty());
    CO_TRY(co_await create(note(), ""));
    for (int i = 0; i < workers; ++i) group.start(work(this));
    co_await group.join();
    CO_TRY(std::move(result));
    CO_TRY(co_await client->txn(encode_txn({{note()}})));
    co_return {};
  }
};

}  // namespace

Result<void> restore_etcd(const EtcdOptions& options, const SnapshotContents& contents) {
  TRY(check(options));
  io::Loop loop;
  Restore restore{.client = TRY(make_client(options)), .options = options, .contents = contents};
  return loop.block_on(Restore::run(&restore));
}

}  // namespace estiba::store
