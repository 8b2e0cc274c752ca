// Database: the SQLite file below the embedded store (docs/store-format.md). Used by one thread at a time.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/embedded/reserve.h"
#include "store/store.h"

struct sqlite3;
struct sqlite3_stmt;

namespace estiba::store {

class Database {
 public:
  struct Contents {
    std::vector<EntryPtr> entries;  ///< by key, ascending
    Revision revision = 0;
  };

  /// Opens or creates the file. Code::invalid for a file of another format or program, Code::internal for a damaged one,
  /// Code::exhausted when there is no room to create it; the message names the file.
  static Result<std::unique_ptr<Database>> open(const std::string& path);
  ~Database();
  Database(const Database&) = delete;

  /// Reads everything and verifies every row's checksum.
  Result<Contents> load();
  /// Appends the events, in revision order, in one transaction and returns after it is on disk. After an error nothing of
  /// them is visible to a later load(), unless the disk itself lied about a failed sync. When the disk is full, events that
  /// create a key give Code::exhausted; others still succeed as long as the reserve lasts.
  Result<void> append(const std::vector<Event>& events);
  /// The next load() sees at least this revision.
  Result<void> set_revision_at_least(Revision revision);
  /// Moves what has been appended from the log into the file when the log has grown enough. Not needed for durability.
  void checkpoint_if_due();

  /// The checksum column: see docs/store-format.md.
  static uint64_t checksum(const Entry& entry);

 private:
  enum Statement { begin, commit, rollback, insert, update, remove, set_revision, statements };
  explicit Database(const std::string& path) : path_(path), reserve_(path + "-reserve") {}
  Result<void> run(const char* sql);
  Result<void> prepare();
  Result<void> check_format();
  Result<int64_t> number(const char* sql);
  Result<void> step(Statement which);
  Result<void> append_once(const std::vector<Event>& events);
  Result<void> append_all(const std::vector<Event>& events);
  Result<void> write_event(const Event& event);
  Result<EntryPtr> read_row(sqlite3_stmt* row);
  bool checkpoint();
  [[nodiscard]] std::unexpected<Error> failed(std::string_view what, int rc);

  std::string path_;
  Reserve reserve_;
  sqlite3* db_ = nullptr;
  sqlite3_stmt* statements_[statements] = {};
  int log_pages_ = 0;
  int next_checkpoint_ = 0;
};

}  // namespace estiba::store
