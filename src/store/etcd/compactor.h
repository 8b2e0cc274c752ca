// Compactor: has etcd forget old revisions, as kube-apiserver does (its storage/etcd3/compact.go): every interval, one of the
// servers that share a prefix compacts to the revision that was the newest one interval ago.
#pragma once
#include <string>

#include "store/etcd/client.h"

namespace estiba::store::etcd {

class Compactor {
 public:
  Compactor(EtcdClient& client, std::string prefix, Duration interval) : client_(client), prefix_(std::move(prefix)), interval_(interval) {}
  /// For ever.
  Task<void> run();
  /// Compacts now. That somebody has done so before is well.
  Task<void> compact(Revision revision);

 private:
  struct Turn {
    int64_t version = 0;
    Revision revision = 0;
  };
  Task<Result<Turn>> take(Turn turn);
  EtcdClient& client_;
  std::string prefix_;
  Duration interval_;
};

}  // namespace estiba::store::etcd
