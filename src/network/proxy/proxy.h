// Keeps the node's packet filter as the cluster's Services and EndpointSlices say. Lives on the loop's thread; the kernel
// is written to by a Worker. Changes that come while one is being written are written together next.
#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/task.h"
#include "network/proxy/table.h"
#include "network/service_objects.h"
#include "network/worker.h"

namespace estiba::network {

class Proxy {
 public:
  /// `objects` outlives the Proxy.
  Proxy(ProxyTable::Config config, std::string node_name, ServiceObjects& objects);
  ~Proxy();
  Proxy(const Proxy&) = delete;

  /// Makes the table if there is none. One that is there goes on working until the lists have come, and is then replaced
  /// in one transaction.
  Task<Result<void>> start();
  /// True once the table says what the lists say.
  bool ready() const { return ready_.is_set(); }
  Task<void> wait_ready();

  /// Leads ports of the node to a pod; none takes them away.
  void set_host_ports(const std::string& uid, const std::vector<HostPort>& ports, const Address& pod);
  /// Somebody else has changed the table: it is written whole again.
  void rewrite();
  /// Where changes of ours come from.
  uint32_t port() const { return socket_.port(); }
  /// Ends the watching; the table stays.
  void stop();
  Task<Result<void>> remove_all();

 private:
  Task<void> run();
  Task<bool> write();
  Task<void> forget_flows(const Change& change);
  Task<void> forget_stale_flows();
  void refresh(const std::string& service);

  ProxyTable table_;
  std::string node_name_;
  ServiceObjects& objects_;
  ProxyState state_;
  std::set<std::string> dirty_;
  bool whole_ = true;    // the next write replaces the table
  bool broken_ = false;  // asked for meanwhile
  Event wake_, ready_;
  os::netlink::Socket socket_;  // used by the worker's thread only
  Worker worker_;
  Job job_;  // last: ends first
};

}  // namespace estiba::network
