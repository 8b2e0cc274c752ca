// etcd's v3 messages, as far as the store needs them (etcd's api/etcdserverpb/rpc.proto and api/mvccpb/kv.proto, which name
// the fields' numbers). Requests are written by hand, answers are read into views of the bytes they came in.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/store.h"

namespace estiba::store::etcd {

/// The end of the range of all keys with a prefix.
std::string prefix_end(std::string_view prefix);

struct RangeRequest {
  std::string_view key, end;  ///< one key without an end
  int64_t limit = 0;          ///< 0: all
  Revision revision = 0;      ///< 0: now, after everything that was answered before (linearizable)
  bool keys_only = false, count_only = false;
};
std::string encode(const RangeRequest& request);

/// A transaction that compares each key's revision and, if all hold, writes all; else it reads the keys without their values.
struct Compare {
  enum class Target : uint8_t { version = 0, create = 1, mod = 2 };
  enum class Relation : uint8_t { equal = 0, greater = 1 };
  Target target = Target::mod;
  Relation relation = Relation::equal;
  std::string_view key;
  int64_t operand = 0;
};
struct Put {
  std::string_view key, value;
};
/// What a transaction does with one key. `compare` null: no comparison. `put` null: deletes the key.
struct Step {
  std::string_view key;
  const Compare* compare = nullptr;
  const Put* put = nullptr;
};
std::string encode_txn(const std::vector<Step>& steps);
/// Puts without a comparison, all at one revision.
std::string encode_puts(const std::vector<Put>& puts);
std::string encode_delete(std::string_view key);
std::string encode_compaction(Revision revision);
/// Events of a range from revision `from` on (inclusive), with a progress notification when nothing has happened for long.
std::string encode_watch(std::string_view key, std::string_view end, Revision from);

/// A key's version; the views live as long as the answer's bytes.
struct KeyValue {
  std::string_view key, value;
  Revision create_revision = 0, mod_revision = 0;
  int64_t version = 0;
};
struct RangeAnswer {
  Revision revision = 0;
  std::vector<KeyValue> kvs;
  bool more = false;
  int64_t count = 0;
};
struct TxnAnswer {
  Revision revision = 0;
  bool succeeded = false;
  std::vector<std::optional<KeyValue>> found;  ///< when it did not succeed: each step's key, if it exists
};
struct WatchEvent {
  bool removed = false;
  KeyValue kv;  ///< of a removal: the key and the revision that removed it
};
struct WatchAnswer {
  Revision revision = 0;
  bool created = false, canceled = false;
  Revision compacted = 0;  ///< not 0: the start was compacted away
  std::string_view reason;
  std::vector<WatchEvent> events;
};

/// Code::internal when the bytes are not such a message.
Result<RangeAnswer> decode_range(std::string_view bytes);
Result<TxnAnswer> decode_txn(std::string_view bytes);
Result<WatchAnswer> decode_watch(std::string_view bytes);
/// The answer of a compaction, put or deletion: the store's revision.
Result<Revision> decode_revision(std::string_view bytes);

}  // namespace estiba::store::etcd
