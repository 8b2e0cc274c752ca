// Where objects are kept: the flags that say so, and opening it. Shared by `estiba server` and `estiba snapshot`.
#pragma once
#include <memory>
#include <string>

#include "cli/flags.h"
#include "store/etcd/etcd.h"
#include "store/freshness.h"
#include "store/store.h"

namespace estiba::server {

struct DatastoreFlags {
  std::string datastore = "embedded";  ///< or "etcd=https://a:2379,https://b:2379"
  std::string cafile, certfile, keyfile;
  std::string prefix = "/estiba";

  void declare(cli::Flags& flags);
  bool is_etcd() const { return datastore.starts_with("etcd="); }
  /// Code::invalid names the flag.
  Result<void> check() const;
};

/// Of flags whose datastore is etcd; reads the files that they name.
Result<store::EtcdOptions> etcd_options(const DatastoreFlags& flags);

struct Datastore {
  std::unique_ptr<store::Store> store;
  store::Freshness* freshness = nullptr;  ///< of `store`, when other servers may write to it
};

/// Blocks until everything is in memory. Errors name the file, the directory or the endpoint.
Result<Datastore> open_datastore(const DatastoreFlags& flags, const std::string& data_dir);

}  // namespace estiba::server
