#include "store/embedded/restore.h"

#include <unordered_set>

#include "os/file.h"
#include "store/embedded/database.h"
#include "store/embedded/lock.h"

namespace estiba::store {

namespace {

constexpr size_t batch_keys = 1000;

// A revision creates one key here. In etcd another program's transaction may have created several: all but the first of them
// get revisions of their own, behind the snapshot's.
std::vector<Event> creations(const SnapshotContents& contents, Revision& revision) {
  std::vector<Event> out;
  out.reserve(contents.entries.size());
  std::unordered_set<Revision> taken;
  for (const EntryPtr& entry : contents.entries) {
    EntryPtr made = entry;
    if (!taken.insert(entry->create_revision).second) {
      auto moved = std::make_shared<Entry>();
      moved->key = entry->key;
      moved->value = entry->value;
      moved->create_revision = moved->mod_revision = ++revision;
      moved->version = 1;
      taken.insert(revision);
      made = std::move(moved);
    }
    out.push_back({Event::Kind::put, made->mod_revision, made, nullptr});
  }
  return out;
}

Result<void> fill(const std::string& path, const SnapshotContents& contents) {
  auto database = TRY(Database::open(path));
  Revision revision = contents.revision;
  const std::vector<Event> events = creations(contents, revision);
  for (size_t at = 0; at < events.size(); at += batch_keys) {
    const auto begin = events.begin() + ptrdiff_t(at);
    TRY(database->append({begin, begin + ptrdiff_t(std::min(batch_keys, events.size() - at))}));
    database->checkpoint_if_due();
  }
  return database->set_revision_at_least(revision);
}

}  // namespace

Result<void> restore_embedded(const std::string& directory, const SnapshotContents& contents) {
  DirectoryLock lock = TRY(DirectoryLock::take(directory));
  const std::string target = directory + "/store.db", part = directory + "/restoring";
  if (os::exists(target))
    return fail(Code::conflict, target + " is there already: restore into an empty --data-dir, or move " + directory + " away first");
  TRY(os::remove_all(part));
  TRY(os::make_dir(part, 0700));
  TRY(fill(part + "/store.db", contents));
  if (os::exists(part + "/store.db-wal"))
    return fail(Code::internal, part + "/store.db-wal was not written back; is there room on the disk?");
  TRY(os::rename_file(part + "/store.db", target));
  TRY(os::sync_dir(directory));
  return os::remove_all(part);
}

}  // namespace estiba::store
