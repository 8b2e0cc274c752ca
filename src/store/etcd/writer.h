// Writer: a write is one transaction of etcd, which compares and puts or deletes. Lives on the store's loop.
//
// Writes of one key go one after the other, in the order they came; different keys go together. A write is answered when
// etcd has answered and the copy in memory has its event, so that whoever wrote sees it.
#pragma once
#include <deque>
#include <unordered_map>

#include "store/etcd/replica.h"

namespace estiba::store::etcd {

class Writer {
 public:
  Writer(EtcdClient& client, Replica& replica, std::string prefix);

  /// `done` runs on the loop, once, whatever happens.
  void write(Write write, UniqueFunction<void(Result<WriteResult>)> done);
  /// Waits until nothing is under way; what is left after `limit` fails with Code::cancelled.
  Task<void> drain(Duration limit);

 private:
  struct Request {
    Write write;
    UniqueFunction<void(Result<WriteResult>)> done;
  };
  struct Key {
    std::deque<std::unique_ptr<Request>> waiting;  ///< the first one is under way
    Expected expected;
    bool queued = false;  ///< in ready_ since too much is under way
  };
  using Keys = std::unordered_map<std::string, Key>;
  void begin(Keys::value_type& slot);
  static Task<void> run(Writer* self, Keys::value_type* slot);
  Task<Result<WriteResult>> perform(const Write& write, Expected& expected);
  Result<WriteResult> result_of(const Write& write, const Expected& expected, Revision revision, EntryPtr before);
  void finished(Keys::value_type& slot);

  EtcdClient& client_;
  Replica& replica_;
  std::string prefix_;
  Keys keys_;  // nodes keep their place
  std::deque<Keys::value_type*> ready_;
  size_t under_way_ = 0;
  estiba::Event idle_;
  TaskGroup jobs_;  // last: ends first
};

}  // namespace estiba::store::etcd
