#include "store/etcd/compactor.h"

#include "base/log.h"
#include "store/etcd/replica.h"

namespace estiba::store::etcd {

Task<void> Compactor::compact(Revision revision) {
  auto done = co_await client_.compact(encode_compaction(revision));
  if (!done && done.error().code != Code::gone)
    log::warn("store", "etcd was not compacted", {{"revision", revision}, {"error", done.error()}});
}

// A note in etcd counts the turns. Who counts it on from the number he knows may compact to the revision that he knows; the
// others learn both and wait.
Task<Result<Compactor::Turn>> Compactor::take(Turn turn) {
  const std::string key = prefix_ + std::string(compaction_key);
  Compare compare{.target = Compare::Target::version, .key = key, .operand = turn.version};
  const std::string text = std::to_string(turn.revision);
  Put put{key, text};
  std::string bytes = CO_TRY(co_await client_.txn(encode_txn({{key, &compare, &put}})));
  TxnAnswer answer = CO_TRY(decode_txn(bytes));
  if (!answer.succeeded) {
    const bool there = !answer.found.empty() && answer.found[0];
    co_return Turn{there ? answer.found[0]->version : 0, answer.revision};
  }
  if (turn.revision > 0) co_await compact(turn.revision);
  co_return Turn{turn.version + 1, answer.revision};
}

Task<void> Compactor::run() {
  Turn turn;
  for (;;) {
    co_await sleep_for(interval_);
    auto next = co_await take(turn);
    if (next) turn = *next;
    else log::warn("store", "etcd was not compacted", {{"error", next.error()}});
  }
}

}  // namespace estiba::store::etcd
