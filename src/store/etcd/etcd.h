// The store on etcd (3.4 and later, by its v3 API). etcd decides every write and keeps the revisions; reads and watches are
// served from a copy in memory that a watch feeds (replica.h). docs/datastore.md describes keys, consistency and failures.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "store/freshness.h"
#include "store/memory/history.h"
#include "store/store.h"

namespace estiba::store {

struct EtcdOptions {
  std::vector<std::string> endpoints;            ///< "https://10.0.0.1:2379"
  std::string ca_pem, certificate_pem, key_pem;  ///< for https; without a CA the system's are trusted
  std::string prefix = "/estiba";                ///< begins with '/', does not end with it
  HistoryLimits history;
  Duration start_patience = std::chrono::seconds(20);  ///< how long open_etcd waits for etcd
  Duration patience = std::chrono::seconds(10);        ///< how long a call goes on trying endpoints
  Duration reconnect_delay = std::chrono::milliseconds(20);
  /// History older than this is compacted away in etcd, as kube-apiserver's --etcd-compaction-interval; 0: never.
  Duration compaction_interval = std::chrono::minutes(5);
};

/// Checks what can be checked without etcd. Code::invalid names the option.
Result<void> check(const EtcdOptions& options);

namespace etcd {
class EtcdClient;
/// A client as the options say.
Result<std::unique_ptr<EtcdClient>> make_client(const EtcdOptions& options);
}  // namespace etcd

class EtcdStore : public Store, public Freshness {};

/// Connects and reads everything. Blocks until then, at most start_patience. Code::unavailable says why etcd could not be
/// reached or refused. Watches may outlive the store and then stay silent. Keys begin with '/'.
Result<std::unique_ptr<EtcdStore>> open_etcd(EtcdOptions options);

}  // namespace estiba::store
