// The cluster's Services and their EndpointSlices as the node watches them, once for the packet filter and the DNS.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "client/informer.h"
#include "model/types/core_v1.h"
#include "model/types/discovery_v1.h"

namespace estiba::network {

class ServiceObjects {
 public:
  /// Begins to list and watch.
  ServiceObjects(client::Client& client, std::string_view node_name);

  /// Calls with "ns/name" of the service that has changed, itself or in its slices; now for each that is known.
  void on_change(UniqueFunction<void(const std::string& service)> handler);
  Task<void> wait_synced();
  /// Calls when zone() has become another one.
  void on_zone_change(UniqueFunction<void()> handler) { zone_changed_ = std::move(handler); }
  /// Where this node is: its label topology.kubernetes.io/zone, or "".
  const std::string& zone() const { return zone_; }
  /// Keys of all services.
  std::vector<std::string> keys() const;
  /// Null when there is none. The pointers hold until the executor's next turn.
  const model::core_v1::Service* service(const std::string& key) const;
  model::ObjectRef object(const std::string& key) const { return services_.get(key); }
  std::vector<const model::discovery_v1::EndpointSlice*> slices(const std::string& key) const;

 private:
  client::Informer services_, slices_, node_;
  std::string zone_;
  UniqueFunction<void()> zone_changed_;
  client::Informer::Index by_service_;
};

}  // namespace estiba::network
