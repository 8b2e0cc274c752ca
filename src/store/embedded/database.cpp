#include "store/embedded/database.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace estiba::store {

namespace {

constexpr int64_t application_id = 0x45535442;  // "ESTB"
constexpr int64_t format_version = 1;
// 4 MB of log: long enough that a page is written back once for many changes, short enough to be read back quickly and to
// be written back with what the reserve holds.
constexpr int checkpoint_pages = 1000;

constexpr const char* schema =
    "CREATE TABLE entries("
    "create_revision INTEGER PRIMARY KEY,"
    "mod_revision INTEGER NOT NULL,"
    "version INTEGER NOT NULL,"
    "checksum INTEGER NOT NULL,"
    "key BLOB NOT NULL,"
    "value BLOB NOT NULL);"
    "CREATE TABLE state(id INTEGER PRIMARY KEY CHECK(id=1), revision INTEGER NOT NULL);"
    "INSERT INTO state VALUES(1,0);";

constexpr const char* texts[] = {
    "BEGIN IMMEDIATE",
    "COMMIT",
    "ROLLBACK",
    "INSERT INTO entries(create_revision,mod_revision,version,checksum,key,value) VALUES(?1,?2,?3,?4,?5,?6)",
    "UPDATE entries SET mod_revision=?2,version=?3,checksum=?4,value=?6 WHERE create_revision=?1",
    "DELETE FROM entries WHERE create_revision=?1",
    "UPDATE state SET revision=?1 WHERE id=1",
};

Code code_of(int rc) {
  switch (rc & 0xff) {
    case SQLITE_FULL: return Code::exhausted;
    case SQLITE_IOERR: return Code::exhausted;
    case SQLITE_NOMEM: return Code::exhausted;
    case SQLITE_TOOBIG: return Code::too_large;
    case SQLITE_NOTADB: return Code::invalid;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH: return Code::forbidden;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return Code::conflict;
    default: return Code::internal;
  }
}

const char* advice_of(int rc) {
  switch (rc & 0xff) {
    case SQLITE_FULL:
      return "; make room on its file system (nothing that was acknowledged is lost; keys can be changed and removed, not created)";
    case SQLITE_IOERR: return "; the file system refused to write, see the kernel's log";
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return "; the file is damaged or not a store: restore it from a backup, or move it away to start empty";
    default: return "";
  }
}

uint64_t mix(uint64_t hash, uint64_t word) {
  hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
  return hash ^ (hash >> 32);
}

uint64_t mix(uint64_t hash, std::string_view bytes) {
  hash = mix(hash, bytes.size());
  while (bytes.size() >= 8) {
    uint64_t word;
    memcpy(&word, bytes.data(), 8);
    hash = mix(hash, word);
    bytes.remove_prefix(8);
  }
  uint64_t word = 0;
  memcpy(&word, bytes.data(), bytes.size());
  return mix(hash, word);
}

std::string_view blob(sqlite3_stmt* row, int column) {
  const void* data = sqlite3_column_blob(row, column);
  return data ? std::string_view(static_cast<const char*>(data), static_cast<size_t>(sqlite3_column_bytes(row, column)))
              : std::string_view();
}

}  // namespace

uint64_t Database::checksum(const Entry& entry) {
  uint64_t hash = mix(0, static_cast<uint64_t>(entry.create_revision));
  hash = mix(hash, static_cast<uint64_t>(entry.mod_revision));
  hash = mix(hash, static_cast<uint64_t>(entry.version));
  return mix(mix(hash, entry.key), entry.value);
}

std::unexpected<Error> Database::failed(std::string_view what, int rc) {
  int sys = db_ ? sqlite3_system_errno(db_) : 0;
  std::string message = path_;
  message.append(": ").append(what).append(": ").append(sqlite3_errstr(rc & 0xff));
  if (db_ && sqlite3_errcode(db_) == (rc & 0xff) && strcmp(sqlite3_errmsg(db_), sqlite3_errstr(rc & 0xff)) != 0) {
    message.append(" (").append(sqlite3_errmsg(db_)).append(")");
  }
  if (sys && ((rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN)) message.append(" (").append(strerror(sys)).append(")");
  message.append(advice_of(rc));
  return std::unexpected(Error{code_of(rc), sys, std::move(message), nullptr});
}

Result<std::unique_ptr<Database>> Database::open(const std::string& path) {
  std::unique_ptr<Database> database(new Database(path));
  // SQLite would make the file readable for all, and it holds secrets; its log takes the file's mode.
  int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return fail_errno("open " + path);
  close(fd);
  int rc = sqlite3_open_v2(path.c_str(), &database->db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  if (rc != SQLITE_OK) return database->failed("open", rc);
  sqlite3_extended_result_codes(database->db_, 1);
  // Exclusive locking keeps the log's index in the heap: no shared memory file, no lock calls for each transaction.
  TRY(
      database->run("PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0; PRAGMA "
                    "temp_store=MEMORY"));
  TRY(database->check_format());
  TRY(database->prepare());
  database->next_checkpoint_ = checkpoint_pages;
  database->reserve_.ensure();  // where it cannot be, append() says so
  sqlite3_wal_hook(
      database->db_,
      [](void* self, sqlite3*, const char*, int pages) {
        static_cast<Database*>(self)->log_pages_ = pages;
        return SQLITE_OK;
      },
      database.get());
  return database;
}

Database::~Database() {
  for (sqlite3_stmt* statement : statements_) sqlite3_finalize(statement);
  sqlite3_close(db_);
}

Result<void> Database::run(const char* sql) {
  int rc = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr);
  if (rc != SQLITE_OK) return failed("open", rc);
  return {};
}

Result<int64_t> Database::number(const char* sql) {
  sqlite3_stmt* row = nullptr;
  int rc = sqlite3_prepare_v2(db_, sql, -1, &row, nullptr);
  if (rc == SQLITE_OK) rc = sqlite3_step(row);
  int64_t value = rc == SQLITE_ROW ? sqlite3_column_int64(row, 0) : 0;
  sqlite3_finalize(row);
  if (rc != SQLITE_ROW) return failed("open", rc);
  return value;
}

Result<void> Database::check_format() {
  int64_t application = TRY(number("PRAGMA application_id"));
  int64_t version = TRY(number("PRAGMA user_version"));
  int64_t tables = TRY(number("SELECT count(*) FROM sqlite_master"));
  if (application == 0 && version == 0 && tables == 0) {
    std::string create = "BEGIN IMMEDIATE;" + std::string(schema) + "PRAGMA application_id=" + std::to_string(application_id) +
                         ";PRAGMA user_version=" + std::to_string(format_version) + ";COMMIT";
    return run(create.c_str());
  }
  if (application != application_id) return fail(Code::invalid, path_ + " is a database of another program; choose another directory");
  if (version != format_version) {
    return fail(Code::invalid, path_ + " has format " + std::to_string(version) + ", and this program knows format " +
                                   std::to_string(format_version) + "; use the version of the program that wrote it");
  }
  return {};
}

Result<void> Database::prepare() {
  for (int i = 0; i < statements; ++i) {
    int rc = sqlite3_prepare_v3(db_, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &statements_[i], nullptr);
    if (rc != SQLITE_OK) return failed("prepare", rc);
  }
  return {};
}

Result<EntryPtr> Database::read_row(sqlite3_stmt* row) {
  auto entry = std::make_shared<Entry>();
  entry->create_revision = sqlite3_column_int64(row, 0);
  entry->mod_revision = sqlite3_column_int64(row, 1);
  entry->version = sqlite3_column_int64(row, 2);
  entry->key = blob(row, 4);
  entry->value = blob(row, 5);
  if (static_cast<uint64_t>(sqlite3_column_int64(row, 3)) != checksum(*entry)) {
    return fail(Code::internal, path_ + ": the checksum of the entry created at revision " + std::to_string(entry->create_revision) +
                                    " (key " + entry->key + ") is wrong" + advice_of(SQLITE_CORRUPT));
  }
  return entry;
}

Result<Database::Contents> Database::load() {
  Contents contents;
  contents.revision = TRY(number("SELECT revision FROM state WHERE id=1"));
  sqlite3_stmt* row = nullptr;
  int rc = sqlite3_prepare_v2(db_, "SELECT create_revision,mod_revision,version,checksum,key,value FROM entries", -1, &row, nullptr);
  if (rc != SQLITE_OK) return failed("read", rc);
  std::unique_ptr<sqlite3_stmt, int (*)(sqlite3_stmt*)> guard(row, sqlite3_finalize);
  while ((rc = sqlite3_step(row)) == SQLITE_ROW) {
    contents.entries.push_back(TRY(read_row(row)));
    contents.revision = std::max(contents.revision, contents.entries.back()->mod_revision);
  }
  if (rc != SQLITE_DONE) return failed("read", rc);
  auto& entries = contents.entries;
  std::sort(entries.begin(), entries.end(), [](const EntryPtr& a, const EntryPtr& b) { return a->key < b->key; });
  auto twice = std::adjacent_find(entries.begin(), entries.end(), [](const EntryPtr& a, const EntryPtr& b) { return a->key == b->key; });
  if (twice != entries.end()) return fail(Code::internal, path_ + " holds key " + (*twice)->key + " twice" + advice_of(SQLITE_CORRUPT));
  guard.reset();
  sqlite3_db_release_memory(db_);  // the pages that were read are of no further use
  return contents;
}

Result<void> Database::step(Statement which) {
  int rc = sqlite3_step(statements_[which]);
  sqlite3_reset(statements_[which]);
  if (rc != SQLITE_DONE) return failed("write", rc);
  return {};
}

Result<void> Database::write_event(const Event& event) {
  const Entry& entry = *event.entry;
  Statement which = event.kind == Event::Kind::remove ? remove : event.previous ? update : insert;
  sqlite3_stmt* statement = statements_[which];
  sqlite3_bind_int64(statement, 1, entry.create_revision);
  if (which != remove) {
    sqlite3_bind_int64(statement, 2, entry.mod_revision);
    sqlite3_bind_int64(statement, 3, entry.version);
    sqlite3_bind_int64(statement, 4, static_cast<int64_t>(checksum(entry)));
    sqlite3_bind_blob64(statement, 6, entry.value.data(), entry.value.size(), SQLITE_STATIC);
  }
  if (which == insert) sqlite3_bind_blob64(statement, 5, entry.key.data(), entry.key.size(), SQLITE_STATIC);
  TRY(step(which));
  if (which == remove) return {};
  sqlite3_clear_bindings(statement);
  return {};
}

Result<void> Database::append_all(const std::vector<Event>& events) {
  TRY(step(begin));
  for (const Event& event : events) TRY(write_event(event));
  // A put as the last event leaves its revision in its row; a removal leaves nothing.
  if (events.back().kind == Event::Kind::remove) {
    sqlite3_bind_int64(statements_[set_revision], 1, events.back().revision);
    TRY(step(set_revision));
  }
  return step(commit);
}

Result<void> Database::set_revision_at_least(Revision revision) {
  sqlite3_bind_int64(statements_[set_revision], 1, revision);
  return step(set_revision);
}

Result<void> Database::append_once(const std::vector<Event>& events) {
  auto result = append_all(events);
  if (!result && !sqlite3_get_autocommit(db_)) (void)step(rollback);
  return result;
}

// On a full disk the log cannot grow, but once it is written back it starts again in the room that it has. That may need
// room in the file: the reserve's. It is not given up for new keys, which would only use it up.
Result<void> Database::append(const std::vector<Event>& events) {
  bool creates = std::any_of(events.begin(), events.end(), [](const Event& event) { return !event.previous; });
  if (creates && !reserve_.ensure()) return failed("create keys", SQLITE_FULL);
  auto result = append_once(events);
  if (!result && result.error().code == Code::exhausted && checkpoint()) result = append_once(events);
  if (!result && result.error().code == Code::exhausted && !creates && reserve_.release()) {
    checkpoint();
    result = append_once(events);
  }
  return result;
}

bool Database::checkpoint() {
  int left = 0, moved = 0;
  int rc = sqlite3_wal_checkpoint_v2(db_, nullptr, SQLITE_CHECKPOINT_PASSIVE, &left, &moved);
  return rc == SQLITE_OK && left == moved && moved > 0;
}

void Database::checkpoint_if_due() {
  if (log_pages_ < next_checkpoint_) return;
  // After a failure (a full disk) the log simply grows on; try again when it has grown as much once more.
  next_checkpoint_ = checkpoint() ? checkpoint_pages : log_pages_ + checkpoint_pages;
}

}  // namespace estiba::store
