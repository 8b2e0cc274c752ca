// A snapshot: every key of a store at one revision, as one file (docs/datastore.md, "Snapshots"). Written piece by piece, so that
// a server streams it; read as a whole, because nothing may be restored before the checksum at its end holds.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/store.h"

struct evp_md_ctx_st;

namespace estiba::store {

struct SnapshotContents {
  Revision revision = 0;
  std::vector<EntryPtr> entries;  ///< in key order
};

class SnapshotWriter {
 public:
  SnapshotWriter();
  SnapshotWriter(const SnapshotWriter&) = delete;
  ~SnapshotWriter();

  // The file's bytes are what these return, in this order.
  std::string begin(Revision revision, size_t count);
  std::string entry(const Entry& entry);
  std::string end();

 private:
  std::string record(std::string_view message);
  std::string counted(std::string bytes);
  evp_md_ctx_st* hash_;
};

/// The whole file.
std::string write_snapshot(const SnapshotContents& contents);
/// `name` is the file's, for messages. Code::invalid for what is no snapshot, is of another format, is cut off or damaged.
Result<SnapshotContents> read_snapshot(std::string_view bytes, std::string_view name);

}  // namespace estiba::store
