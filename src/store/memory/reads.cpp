#include "store/memory/reads.h"

namespace estiba::store {

namespace {

Result<void> check(const Memory& memory, const Snapshot& snapshot, Revision at) {
  if (at > snapshot.revision) {
    return fail(Code::invalid, "revision " + std::to_string(at) + " is in the future, the newest is " + std::to_string(snapshot.revision));
  }
  Revision floor = memory.floor(snapshot);
  if (at < floor) return fail(Code::gone, "revision " + std::to_string(at) + " is too old, history starts at " + std::to_string(floor));
  return {};
}

Result<Ref<Snapshot>> snapshot_for(const Memory& memory, Revision at) {
  auto snapshot = memory.newest.load();
  if (at) TRY(check(memory, *snapshot, at));
  return snapshot;
}

}  // namespace

Result<EntryPtr> read_key(const Memory& memory, std::string_view key, Revision at) {
  auto snapshot = TRY(snapshot_for(memory, at));
  EntryPtr entry = snapshot->find_at(key, at ? at : snapshot->revision);
  if (!entry) return fail(Code::not_found, "key " + std::string(key) + " does not exist");
  return entry;
}

Result<ListResult> read_range(const Memory& memory, std::string_view prefix, const ListOptions& options) {
  auto snapshot = TRY(snapshot_for(memory, options.revision));
  ListResult result;
  result.revision = options.revision ? options.revision : snapshot->revision;
  Tree tree = snapshot->tree_at(result.revision);
  KeyRange range = KeyRange::of_prefix(prefix);
  if (options.start_after >= range.first && !options.start_after.empty()) range.first = options.start_after + '\0';
  uint64_t total = tree.count(range);
  tree.collect(range, options.limit, result.entries);
  result.remaining = total - result.entries.size();
  result.more = result.remaining > 0;
  return result;
}

Result<std::unique_ptr<Watch>> begin_watch(std::shared_ptr<Memory> memory, std::string_view prefix, Revision after) {
  auto snapshot = memory->newest.load();
  TRY_AS("watch " + std::string(prefix), check(*memory, *snapshot, after));
  return std::make_unique<RingWatch>(std::move(memory), prefix, after);
}

Result<void> note_compaction(Memory& memory, Revision revision) {
  if (revision > memory.newest.load()->revision)
    return fail(Code::invalid, "compact: revision " + std::to_string(revision) + " is in the future");
  Revision before = memory.compacted.load();
  while (before < revision && !memory.compacted.compare_exchange_weak(before, revision)) {
  }
  return {};
}

}  // namespace estiba::store
