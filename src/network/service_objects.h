// The cluster's Services and their EndpointSlices as the node watches them, once for the packet filter and the DNS.
#pragma once
#include <string>
#include <vector>

#include "client/informer.h"
#include "model/types/core_v1.h"
#include "model/types/discovery_v1.h"

namespace estiba::network {

class ServiceObjects {
 public:
  /// Begins to list and watch.
  explicit ServiceObjects(client::Client& client);

  /// Calls with "ns/name" of the service that has changed, itself or in its slices; now for each that is known.
  void on_change(UniqueFunction<void(const std::string& service)> handler);
  Task<void> wait_synced();
  /// Null when there is none. The pointers hold until the executor's next turn.
  const model::core_v1::Service* service(const std::string& key) const;
  std::vector<const model::discovery_v1::EndpointSlice*> slices(const std::string& key) const;

 private:
  client::Informer services_, slices_;
  client::Informer::Index by_service_;
};

}  // namespace estiba::network
