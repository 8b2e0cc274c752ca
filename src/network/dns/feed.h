// Tells the DNS of the Services that the node watches, and lets it answer once it knows them all.
#pragma once
#include "base/task.h"
#include "network/dns/server.h"
#include "network/service_objects.h"

namespace estiba::network::dns {

class Feed {
 public:
  /// `objects` outlives the Feed.
  Feed(Server::Config config, ServiceObjects& objects);
  Feed(const Feed&) = delete;
  /// True once the DNS answers.
  bool ready() const { return ready_; }

 private:
  Task<void> run();

  ServiceObjects& objects_;
  Server server_;
  bool ready_ = false;
  Job job_;  // last: ends first
};

}  // namespace estiba::network::dns
