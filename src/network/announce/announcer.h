// Which of the cluster's addresses the nodes are to announce: those that Services of type LoadBalancer have of the pool, as the
// controller's condition says. Other load balancers' addresses are theirs.
#pragma once
#include <map>
#include <memory>
#include <string>

#include "client/events.h"
#include "network/announce/speaker.h"
#include "network/service_objects.h"

namespace estiba::network::announce {

/// Of one Service with its slices.
std::map<Address, Announced> announced_of(const std::string& key, const model::core_v1::Service& service,
                                          const std::vector<const model::discovery_v1::EndpointSlice*>& slices);

class Announcer {
 public:
  /// On an io::Loop's thread. `objects` outlives the Announcer.
  Announcer(std::string node_name, client::Client& client, Executor& loop, ServiceObjects& objects);
  Announcer(const Announcer&) = delete;

 private:
  void refresh(const std::string& key);
  Task<void> run();

  const std::string node_name_;
  client::Client& client_;
  ServiceObjects& objects_;
  client::EventRecorder events_;
  std::map<std::string, std::map<Address, Announced>> services_;
  std::unique_ptr<Speaker> speaker_;
  Event changed_;
  Job job_;
};

}  // namespace estiba::network::announce
